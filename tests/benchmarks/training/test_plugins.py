"""Loss hooks and weight averages in whole runs: what is evaluated, what is counted, what the record says."""

import pytest
import torch

from sambench.benchmarks.resolve import make_spec
from sambench.benchmarks.spec import RunSpec
from sambench.benchmarks.training.run import run_spec
from sambench.benchmarks.training.state import TrainState
from sambench.datasets import load
from sambench.errors import ConfigError
from sambench.registry import load_plugin, source_hash
from sambench.results.records.record import RunRecord
from sambench.results.records.store import Store
from sambench.variants import AVERAGES, HOOKS

PLUGIN = '''
from sambench.datasets.samplers import SAMPLERS, SamplingPolicy
from sambench.variants import AVERAGES, HOOKS, LossHook, WeightAverage

@AVERAGES.register
class Half(WeightAverage):
    """a <- (a + w) / 2."""
    name, summary = "half", "half of the old average, half of the new weights"

    def share(self, step):
        return 0.5

@HOOKS.register
class Small(LossHook):
    """h(z) = ||z||^2."""
    name, summary = "small", "keeps the outputs small"

    def targets(self, run, batch):
        return ()

    def term(self, logits, targets):
        return logits.square().sum(1)

@SAMPLERS.register
class Backwards(SamplingPolicy):
    """The uniform order, from its end."""
    name, summary = "backwards", "the uniform order, from its end"

    def begin_epoch(self, epoch, score):
        super().begin_epoch(epoch, score)
        self.order = self.order.flip(0)
'''


def test_swa_is_measured_with_recomputed_statistics_and_pays_for_them_once(tiny_spec, tmp_path):
    averaged = {"variant": "sam", "model": "wrn10_1", "average": "swa", "hyper": {"swa_start": 0.1}}
    record = run_spec(tiny_spec(**averaged), Store(tmp_path / "swa"))
    passes = record.counters.steps // 2  # an epoch of three steps, of two
    assert record.counters.forward_evaluations == record.evaluated.passes == passes == 3
    assert (record.evaluated.average, record.evaluated.models, record.evaluated.statistics) == ("swa", 2, "recomputed")
    assert record.plugin_sources == {"average": source_hash(AVERAGES.get("swa"))}
    often = run_spec(tiny_spec(**averaged, norm="group"), Store(tmp_path / "group"))
    assert often.counters.forward_evaluations == 0, "a model without BatchNorm has nothing to recompute"


def test_the_model_that_trains_is_left_alone(tiny_spec):
    spec = tiny_spec(model="wrn10_1", average="swa", hyper={"swa_start": 0.1})
    run = TrainState(spec, load("digits"), torch.device("cpu"))
    run.begin_epoch(0)
    for step in range(run.sampler.steps):
        run.oracle.bind(run.batch(run.sampler.draw(step, run.score), step), epoch=0, step=step)
        run.optimizer.step(run.oracle)
        run.oracle.finish_step()
    before = run.weights_digest()
    with run.evaluated() as passes:
        assert (passes, run.weights_digest() == before) == (3, False)
        inside = run.weights_digest()
    with run.evaluated():
        assert run.weights_digest() == inside
    assert run.weights_digest() == before


def test_mesa_pays_a_forward_pass_a_step(tiny_spec, tmp_path):
    record = run_spec(tiny_spec(variant="sam", hook="mesa", hyper={"mesa_start": 0.5}), Store(tmp_path))
    assert record.counters.forward_evaluations == 3
    assert record.evaluated is None
    assert record.plugin_sources == {"hook": source_hash(HOOKS.get("mesa"))}


def test_runs_without_plug_ins_keep_their_ids():
    spec = make_spec({"variant": "sam"})
    assert not {"hook", "average"} & spec.model_dump().keys()
    assert RunSpec.model_validate(spec.model_dump()).run_id == spec.run_id
    assert make_spec({"variant": "sam", "hook": "none", "average": ""}).run_id == spec.run_id
    assert make_spec({"variant": "sam", "average": "ema"}).run_id != spec.run_id


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"average": "emma"}, "unknown weight average 'emma'; did you mean 'ema'"),
        ({"hook": "sav"}, "unknown loss hook 'sav'; did you mean 'saf'"),
        ({"variant": "swa", "average": "ema"}, "'swa' is its base with average 'swa'; give another variant"),
        ({"hyper": {"ema_decay": 0.9}}, "unknown hyper-parameter 'ema_decay' of 'sgd'"),
        ({"average": "ema", "hyper": {"ema_decay": 2}}, "ema_decay=2 is not valid"),
    ],
)
def test_wrong_plug_ins_are_refused(fields, says):
    with pytest.raises(ConfigError, match=says):
        make_spec(fields)


def test_a_file_may_bring_plug_ins_of_every_kind(tiny_spec, tmp_path):
    (tmp_path / "mine.py").write_text(PLUGIN)
    assert load_plugin(tmp_path / "mine.py") == ["backwards", "half", "small"]
    spec = tiny_spec(variant="sam", hook="small", average="half", sampler="backwards")
    record = run_spec(spec, Store(tmp_path))
    assert record.evaluated.models == 6
    assert RunRecord.model_validate_json(record.model_dump_json()) == record
    assert spec.label() == "sam rho=0.05 + small + half seed 0"
