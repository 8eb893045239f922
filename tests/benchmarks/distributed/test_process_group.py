"""Whole runs on two devices: the run of one, written once, resumed to the bit, stopped by all or by none."""

import pytest
from device_runs import asked_to_stop, drifting, killed, make, raising
from process_pair import STEP, Pair, together

from sambench.benchmarks.training.checkpoint import Checkpoints
from sambench.benchmarks.training.run import run_spec
from sambench.errors import ConfigError, StateError
from sambench.results.records.store import Store

SETTINGS = {
    "plain": {"variant": "sam", "model": "wrn10_1", "augment": "crop:1,flip,cutout:3"},
    "bf16": {"variant": "sam", "model": "wrn10_1", "precision": "bf16", "accumulate": 3, "bn_update": "last"},
    "ragged": {"variant": "m_sam", "hyper": {"m": 7}, "batch_size": 41, "drop_last": False},
    "scored": {"variant": "is_sam", "split": "search"},
    "observed": {"variant": "esam", "sampler": "importance", "hyper": {"refresh": 0}},
    "presampled": {"variant": "is_usam", "sampler": "presample", "clip": 1.0},
}
APART = {
    "vasso, m=16": {"variant": "vasso", "hyper": {"m": 16}},
    "importance, m=16": {"variant": "is_sam", "hyper": {"m": 16, "refresh": 0}, "augment": "crop:1"},
}


@pytest.fixture(scope="module")
def specs(tiny_spec):
    return {name: tiny_spec(**fields) for name, fields in (SETTINGS | APART).items()}


@pytest.fixture(scope="module")
def made(specs, tmp_path_factory):
    """All runs by one pair: the records of both processes, by name."""
    folder = tmp_path_factory.mktemp("made")
    answers = together(make, folder, list(specs.values()))
    assert all(isinstance(answer, list) for answer in answers), answers
    assert answers[0] == answers[1]
    records = {name: Store(folder).read(spec.run_id) for name, spec in specs.items()}
    assert [record.model_dump() for record in records.values()] == answers[0]
    assert not list(folder.rglob("step-*.pt"))
    return records


@pytest.mark.parametrize("name", SETTINGS)
def test_a_run_is_that_of_one_device_to_rounding(name, made, specs, tmp_path):
    record, alone = made[name], run_spec(specs[name], Store(tmp_path))
    assert (record.environment.devices, alone.environment.devices) == (2, 1)
    assert record.run_id == alone.run_id
    assert record.counters == alone.counters
    # Three steps agree to the rounding of a sum; from there a perturbation of length one makes much of little, and how
    # much depends on the processor: 1e-5 after six steps on one, 1e-4 on another.
    first, later = (2e-2, 2e-2) if specs[name].precision == "bf16" else (1e-6, 1e-3)
    for point, other, exact in zip(record.curve, alone.curve, (first, later), strict=True):
        assert point.train_loss == pytest.approx(other.train_loss, rel=exact)
        assert point.validation_loss == pytest.approx(other.validation_loss, rel=exact)
    assert record.metrics.loss == pytest.approx(alone.metrics.loss, rel=later)
    assert record.metrics.count == alone.metrics.count


def test_m_is_in_the_spec_and_the_number_of_devices_is_not(specs, tiny_spec, made):
    spec, plain = specs["vasso, m=16"], tiny_spec(variant="vasso")
    assert spec.run_id != plain.run_id
    assert "m=16" in spec.label()
    assert made["vasso, m=16"].spec["hyper"]["m"] == 16
    assert tiny_spec(variant="vasso", hyper={"m": 32}) == plain  # one perturbation for the whole batch is no m


@pytest.mark.parametrize("name", ["scored", *(pytest.param(name, marks=pytest.mark.slow) for name in APART)])
def test_a_killed_pair_resumes_to_the_bit(name, made, specs, tmp_path, essence):
    pair = Pair(make, tmp_path, [specs[name]], 0.0)
    for _ in range(4):
        assert pair.pipes[0].recv() == STEP
    for process in pair.processes:
        process.kill()
    assert pair.answers() == [-9, -9]
    assert Checkpoints(Store(tmp_path).checkpoints(specs[name].run_id), "", "").newest_step() >= 2
    together(make, tmp_path, [specs[name]])
    assert essence(Store(tmp_path).read(specs[name].run_id)) == essence(made[name])


@pytest.mark.slow  # starts several processes
def test_a_signal_to_one_process_stops_both_and_both_go_on(made, specs, tmp_path, essence):
    one, other = together(make, tmp_path, [specs["plain"]], 60.0, asked_to_stop)
    assert one == other
    assert one.startswith("Interrupted: stopped after step 4")
    with pytest.raises(StateError, match=r"begun on 2 device\(s\) .* finish it with --devices 2"):
        run_spec(specs["plain"], Store(tmp_path))
    together(make, tmp_path, [specs["plain"]])
    assert essence(Store(tmp_path).read(specs["plain"].run_id)) == essence(made["plain"])


def test_m_is_made_on_its_number_of_devices_only(specs, tmp_path):
    with pytest.raises(ConfigError, match="is a run on 2 devices, not on 1: give --devices 2"):
        run_spec(specs["vasso, m=16"], Store(tmp_path))


def test_a_killed_process_ends_the_other_and_the_run_goes_on_later(made, specs, tmp_path, essence):
    told, code = together(make, tmp_path, [specs["plain"]], 0.0, killed)
    assert told.startswith("ProcessLost: another process of this run died without giving a reason")
    assert code == -9
    assert not Store(tmp_path).failed_ids()
    together(make, tmp_path, [specs["plain"]])
    assert essence(Store(tmp_path).read(specs["plain"].run_id)) == essence(made["plain"])


def test_the_record_of_a_failure_names_what_failed_first(specs, tmp_path):
    answers = together(make, tmp_path, [specs["plain"]], 60.0, raising)
    assert answers[1] == "RuntimeError: the device caught fire"
    (record,) = Store(tmp_path).records()
    assert (record.status, record.error) == ("failed", "RuntimeError: the device caught fire (on device 1)")


def test_devices_that_drift_apart_are_noticed(specs, tmp_path):
    answers = together(make, tmp_path, [specs["vasso, m=16"]], 60.0, drifting)
    assert answers[0] == answers[1]
    assert "StateError: the weights differ between the 2 devices" in answers[0]


def test_both_hear_that_somebody_else_makes_the_run(specs, tmp_path):
    run_id = specs["plain"].run_id
    with Checkpoints(Store(tmp_path).checkpoints(run_id), run_id, "").claimed():
        answers = together(make, tmp_path, [specs["plain"]])
    assert answers[0] == answers[1]
    assert "is being trained by another process" in answers[0]
