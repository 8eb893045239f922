"""Code that changed between a run and its resumption, or after it, is told, and `--anew` makes the run again."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from sambench import cli, load_plugin
from sambench.benchmarks.measuring.measurements import MeasuringOptions, measure_runs
from sambench.benchmarks.suites.suite import Suite
from sambench.benchmarks.training.keeping import Keep
from sambench.benchmarks.training.made_with import begin, made_with, outdated
from sambench.benchmarks.training.run import run_spec
from sambench.errors import StateError
from sambench.results.records.measurement import Measurements
from sambench.results.records.models import list_models
from sambench.results.records.retire import retire
from sambench.results.records.store import Store
from sambench.slurm.launch import launch_suite
from sambench.variants.registry import VARIANTS

RULE = '''
import torch
from sambench.variants.registry import Hyper, register
from sambench.variants.sam import SAM

hyper = {{"rho": Hyper(0.05, "radius", low=0)}}

@register("mine", summary="SAM, {factor} times as far", paper=None, gradients=2, hyper=hyper)
class Mine(SAM):
    """{text}"""

    def ascent(self, at):
        return torch._foreach_mul(super().ascent(at), {factor})
'''


class Stopped(Exception):
    """Ends a run in its second epoch, as a kill would."""


@pytest.fixture
def rule(tmp_path):
    """Write the plug-in with a factor and a text, each time as another process would find it."""
    count = iter(range(100))

    def write(factor, text="SAM."):
        VARIANTS.members.pop("mine", None)
        path = tmp_path / f"{next(count)}" / "mine.py"
        path.parent.mkdir()
        path.write_text(RULE.format(factor=factor, text=text))
        load_plugin(path)

    return write


def interrupt(spec, store):
    def watch(run):
        def advance(state):
            if state.step == 4:
                raise Stopped

        return advance

    from sambench.benchmarks.training import run as module

    with pytest.MonkeyPatch.context() as patch:  # a kill writes no record
        patch.setattr(module, "make_record", lambda *args: (_ for _ in ()).throw(Stopped))
        with pytest.raises(Stopped):
            run_spec(spec, store, checkpoint_seconds=0, watch=watch)
    assert list(store.checkpoints(spec.run_id).glob("step-*.pt"))


def test_a_run_goes_on_with_the_code_that_began_it_and_no_other(rule, tiny_spec, tmp_path, essence, caplog):
    rule(1)
    spec, store = tiny_spec(variant="mine"), Store(tmp_path / "r")
    interrupt(spec, store)
    rule(2)
    with pytest.raises(StateError, match=r"begun with other code .variant mine: .*--anew"):
        run_spec(spec, store)
    assert outdated([(spec, None)], store) == [spec.run_id]
    begun = Store(shutil.copytree(store.root, tmp_path / "anew"))
    retire(begun, spec.run_id)
    assert outdated([(spec, None)], begun) == []
    assert run_spec(spec, begun).status == "completed"
    rule(1)
    assert outdated([(spec, None)], store) == []
    caplog.clear()
    record = run_spec(spec, store)
    assert record.status == "completed"
    assert "made_with" not in caplog.text
    assert not list(store.checkpoints(spec.run_id).glob("*"))
    whole = run_spec(spec, Store(tmp_path / "whole"))
    assert essence(record) == essence(whole)


def test_another_version_of_the_package_is_told_too(rule, tiny_spec, tmp_path):
    rule(1)
    spec = tiny_spec(variant="mine")
    noted = begin(tmp_path, made_with(spec, "digits"))
    (tmp_path / "step-000000001.pt").touch()
    (tmp_path / "made_with.json").write_text(json.dumps(noted | {"sambench": "0.0.1"}))
    with pytest.raises(StateError, match=r"sambench: 0.0.1, now "):
        begin(tmp_path, made_with(spec, "digits"))


def test_a_record_of_other_code_is_told_and_made_anew_when_asked(rule, tiny_spec, tmp_path, caplog):
    rule(1)
    specs = (tiny_spec(variant="mine"), tiny_spec(variant="sgd"))
    suite, store = Suite("tiny", "tiny", "", specs), Store(tmp_path / "r")
    launch_suite(suite, store, "debug")
    spec, other = specs
    first, kept = store.path(spec.run_id).read_bytes(), store.path(other.run_id).read_bytes()
    rule(3)
    assert run_spec(spec, store).weights == json.loads(first)["weights"]
    assert f"run {spec.run_id[:12]} was made with other code (variant mine" in caplog.text
    assert launch_suite(suite, store, "debug") == {}
    rule(1, "The same in other words.")
    assert launch_suite(suite, store, "debug", anew=True) == {}
    rule(3)
    assert launch_suite(suite, store, "debug", anew=True) == {spec.run_id: "completed"}
    assert (store.root / "replaced" / f"{spec.run_id}-1.json").read_bytes() == first
    assert store.read(spec.run_id).weights != json.loads(first)["weights"]
    assert store.path(other.run_id).read_bytes() == kept
    assert launch_suite(suite, store, "debug", anew=True) == {}


def test_at_the_command_line(rule, tmp_path):
    def sambench(*words):
        result = CliRunner().invoke(cli.app, [*words, "--results", str(tmp_path / "r")])
        assert result.exit_code == 0, result.output
        return result.output

    words = ("run", "--variant", "mine", "--subset", "96", "--batch-size", "32", "--epochs", "1", "--device", "cpu")
    rule(1)
    assert "completed" in sambench(*words)
    rule(2)
    assert "already in the store" in sambench(*words)
    assert "completed" in sambench(*words, "--anew")
    assert "already in the store" in sambench(*words, "--anew")
    assert len(list((tmp_path / "r" / "replaced").iterdir())) == 1


def test_what_was_kept_and_measured_of_a_run_goes_with_its_record(rule, tiny_spec, tmp_path):
    """Or the measurements of other weights stand beside the new record, and are never made again."""
    rule(1)
    spec, store = tiny_spec(variant="mine"), Store(tmp_path)

    def make():
        run_spec(spec, store, keep=Keep.parse("weights@0"))
        for epoch in (0, None):
            (one,) = measure_runs([spec.run_id], ["distance"], MeasuringOptions(tmp_path, epoch, device="cpu"))
            assert not one.failed
            made[one.made[0].weights] = one.made[0].values["distance"]

    made = {}
    for number in (1, 2):
        rule(number)
        make()
        weights = store.read(spec.run_id).weights
        retire(store, spec.run_id)
        assert not list_models(store)
        assert not list(Measurements(store).scan())
        there = tmp_path / "replaced" / f"{spec.run_id}-{number}"
        assert len(list((there / "models").iterdir())) == len(list((there / "measurements").iterdir())) == 2
        assert json.loads(there.with_suffix(".json").read_text())["weights"] == weights
    assert len(made) == 3
    shutil.rmtree(tmp_path / "replaced" / f"{spec.run_id}-1")
    (tmp_path / "replaced" / f"{spec.run_id}-1.json").unlink()
    run_spec(spec, store)
    retire(store, spec.run_id)
    assert (tmp_path / "replaced" / f"{spec.run_id}-3.json").is_file()
