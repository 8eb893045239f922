"""From spec to record: exact resume, divergence, failure, interruption; the store decides what is done."""

import math
import os
import platform
import re
import signal

import pytest
import torch
from torch import nn

from sambench.benchmarks.conformance.checks.memory_and_syncs import Ledger, Reads
from sambench.benchmarks.measures.epochs_to_fit import epochs_to_fit
from sambench.benchmarks.measuring.registry import NotApplicable
from sambench.benchmarks.models.registry import register_model
from sambench.benchmarks.training import environment
from sambench.benchmarks.training import run as module
from sambench.benchmarks.training import state as state_module
from sambench.benchmarks.training.checkpoint import Checkpoints
from sambench.benchmarks.training.evaluation import predict
from sambench.benchmarks.training.loop import train
from sambench.benchmarks.training.run import run_spec
from sambench.benchmarks.training.state import TrainState
from sambench.datasets import load, prepare
from sambench.errors import ConfigError, Interrupted, StateError
from sambench.results.records.epochs import EpochLine, read_epochs
from sambench.results.records.record import unpack_bits
from sambench.results.records.store import Store
from sambench.results.tables.dataframe import curves
from sambench.variants import get_info, list_variants

NAMES = [info.name for info in list_variants()]


def stop_at(step):
    """Ask for a stop, as a signal would, once a step is done."""

    def watch(run):
        def advance(state):
            if state.step == step:
                os.kill(os.getpid(), signal.SIGTERM)

        return advance

    return watch


@pytest.fixture
def normalized():
    """Register the smallest network with BatchNorm, whose buffers a resumed run must have, too; return its name."""

    @register_model("normalized", "one hidden layer with BatchNorm")
    def build(task):
        inputs = task.channels * task.image_size**2
        return nn.Sequential(
            nn.Flatten(), nn.Linear(inputs, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, task.classes)
        )

    return "normalized"


@pytest.mark.parametrize("name", NAMES)
def test_cost_is_as_declared_and_a_stopped_run_resumes_to_the_bit(name, tiny_spec, normalized, tmp_path, essence):
    spec = tiny_spec(variant=name, model=normalized)
    whole = run_spec(spec, Store(tmp_path / "whole"))
    info = get_info(name)
    assert whole.status == "completed"
    if not callable(info.gradients):  # costs that vary over steps are held to their declaration over whole epochs
        assert whole.counters.gradient_evaluations == whole.counters.steps * info.declared_gradients(spec.hyper)
    assert whole.variant_source == info.source_hash()
    store = Store(tmp_path / "parts")
    for step in (2, 3, 5):  # inside an epoch, at its end, inside the next
        with pytest.raises(Interrupted, match=f"after step {step} of 6"):
            run_spec(spec, store, watch=stop_at(step))
        assert not store.has(spec.run_id)
    assert essence(run_spec(spec, store)) == essence(whole)
    assert not store.checkpoints(spec.run_id).exists()


@pytest.mark.parametrize(
    "fields",
    [
        {"base": "adamw", "lr": 0.001, "weight_decay": 0.05},
        {"base": "lion", "lr": 1e-4},
        {"nesterov": True, "clip": 1.0, "accumulate": 2},
        {"precision": "bf16", "augment": "crop:1,flip,cutout:3", "schedule": "multistep"},
        pytest.param({"precision": "fp16", "bn_update": "last"}, marks=pytest.mark.slow, id="precision,bn_update"),
        {"sampler": "presample", "hyper": {"score": "loss"}},
        {"sampler": "importance", "hyper": {"refresh": 0}},
        {"weight_decay_mode": "in_loss", "warmup_epochs": 0.5, "drop_last": False, "label_smoothing": 0.1},
        {"model": "wrn10_1", "norm": "group"},
        {"noise": 0.2, "imbalance": 3.0, "subset": None},
    ],
    ids=lambda fields: ",".join(fields),
)
def test_every_setting_resumes_to_the_bit(fields, tiny_spec, normalized, tmp_path, essence):
    spec = tiny_spec(variant="sam", **{"model": normalized, "hyper": {}, **fields})
    whole = run_spec(spec, Store(tmp_path / "whole"))
    store = Store(tmp_path / "parts")
    with pytest.raises(Interrupted):
        run_spec(spec, store, watch=stop_at(4))
    assert essence(run_spec(spec, store)) == essence(whole)


def test_a_noisy_run_says_what_it_fits_and_another_does_not(tiny_spec, tmp_path):
    spec = tiny_spec(noise=0.4, eval_every=1)
    record = run_spec(spec, Store(tmp_path))
    parts = prepare(load("digits"), split="full", subset=spec.subset, noise=0.4, seed=spec.seed)
    corrupted = float((parts.train_labels != load("digits").train_labels[parts.train_ids]).double().mean())
    for point in record.curve:
        assert None not in (point.train_accuracy_clean, point.train_accuracy_corrupted)
    right = (1 - corrupted) * record.curve[-1].train_accuracy_clean
    right += corrupted * record.curve[-1].train_accuracy_corrupted
    assert record.train_error == pytest.approx(1 - right)
    seldom = run_spec(tiny_spec(noise=0.4, eval_every=2), Store(tmp_path))
    assert seldom.curve[0].train_accuracy_clean is None
    assert seldom.weights == record.weights
    clean = run_spec(tiny_spec(), Store(tmp_path))
    assert clean.train_error is None
    assert all(point.train_accuracy_clean is None for point in clean.curve)


def test_a_run_on_random_labels_and_moved_pixels_says_what_it_fits(tiny_spec, tmp_path):
    spec = tiny_spec(labels="random", pixels="shuffled", eval_every=1)
    record = run_spec(spec, Store(tmp_path))
    assert None not in (record.train_error, record.curve[0].train_accuracy_corrupted)
    measured = epochs_to_fit(record, accuracy=0.0)
    assert (measured["epochs"], measured["fitted"]) == (1, 1)
    never = epochs_to_fit(record, accuracy=1.0)
    assert (never["epochs"], never["fitted"]) == (spec.epochs, 0)
    moved = run_spec(tiny_spec(pixels="random"), Store(tmp_path))
    assert moved.train_error is not None
    assert moved.curve[-1].train_accuracy_corrupted is None
    with pytest.raises(NotApplicable, match="did not measure"):
        epochs_to_fit(run_spec(tiny_spec(), Store(tmp_path)), accuracy=0.9)
    with pytest.raises(ConfigError, match="labels='random' draws every label anew"):
        tiny_spec(labels="random", noise=0.1)


PASSES = ("sam_gap", "gradient_norm", "perturbed_gradient_norm")


@pytest.mark.parametrize(("name", "hyper"), [("sam", {}), ("m_sam", {"m": 20}), ("looksam", {"k": 2})])
def test_the_curve_has_the_means_of_what_two_passes_tell(name, hyper, tiny_spec, tmp_path):
    seen, waits = {}, set()

    def advance(run):
        if run.oracle.sam_gap is not None and run.step not in seen:
            norms = run.oracle.gradient_norms
            seen[run.step] = [float(value) for value in (run.oracle.sam_gap, norms[0], norms[-1])]
            ledger, sums = Ledger(()), run.pass_sums.clone()
            with ledger, Reads(ledger):
                ledger.open = True
                run.note_passes()
            waits.update(ledger.waits)
            run.pass_sums.copy_(sums)

    record = run_spec(tiny_spec(variant=name, hyper=hyper), Store(tmp_path), watch=lambda run: advance)
    assert not waits
    assert len(seen) == (3 if name == "looksam" else 6)
    for point in record.curve:
        steps = [seen[step] for step in range(3 * point.epoch - 2, 3 * point.epoch + 1) if step in seen]
        means = [sum(values) / len(steps) for values in zip(*steps, strict=True)]
        assert [getattr(point, key) for key in PASSES] == pytest.approx(means)
        assert point.sam_gap > 0
    table = curves([record])
    assert table[list(PASSES)].dtypes.eq("float64").all()


def test_the_curve_of_a_run_of_one_pass_has_none(tiny_spec, tmp_path):
    record = run_spec(tiny_spec(variant="sgd"), Store(tmp_path))
    assert {getattr(point, key) for point in record.curve for key in PASSES} == {None}


def test_the_same_spec_gives_the_same_bits(tiny_spec, tmp_path, essence):
    spec = tiny_spec(variant="sam", precision="bf16")
    a, b = (run_spec(spec, Store(tmp_path / name)) for name in "ab")
    assert essence(a) == essence(b)


def test_a_record_says_what_was_right(tiny_spec, tmp_path):
    record = run_spec(tiny_spec(), Store(tmp_path))
    bits = unpack_bits(record.metrics.correct, record.metrics.count)
    assert bits.mean() == pytest.approx(record.metrics.accuracy)
    assert record.metrics.split == "test"
    assert [point.epoch for point in record.curve] == [1, 2]
    assert record.best_validation_accuracy == max(point.validation_accuracy for point in record.curve)
    assert record.dataset_fingerprint == load("digits").fingerprint


def test_a_search_run_does_not_touch_the_test_set(tiny_spec, tmp_path):
    record = run_spec(tiny_spec(split="search"), Store(tmp_path))
    assert record.metrics.split == "validation"
    assert record.metrics.accuracy == record.curve[-1].validation_accuracy


def test_a_full_run_looks_at_the_test_set_once(tiny_spec, tmp_path, monkeypatch):
    looks = []
    evaluate = module.TrainState.evaluate
    monkeypatch.setattr(module.TrainState, "evaluate", lambda run, part: looks.append(part) or evaluate(run, part))
    run_spec(tiny_spec(split="full"), Store(tmp_path))
    assert looks == ["test"]


def test_a_run_in_the_store_is_not_made_again(tiny_spec, tmp_path, monkeypatch):
    store, spec = Store(tmp_path), tiny_spec()
    first = run_spec(spec, store)
    monkeypatch.setattr(module, "train", None)
    assert run_spec(spec, store) == first


def test_divergence_ends_the_run_and_is_recorded(tiny_spec, tmp_path):
    record = run_spec(tiny_spec(lr=1e30, epochs=9), Store(tmp_path))
    assert record.status == "diverged"
    assert "not finite in epoch 1" in record.error
    assert record.metrics is None
    assert record.counters.steps == 3


@pytest.mark.parametrize(("split", "points"), [("full", 2), ("holdout", 0), ("search", 0)])
def test_a_run_whose_loss_is_finite_in_training_alone_diverged(split, points, tiny_spec, tmp_path, monkeypatch):
    """BatchNorm keeps the loss of any weights finite, and no longer where its running statistics take its place."""
    monkeypatch.setattr(state_module, "predict", lambda *given, **more: predict(*given, **more) * math.inf)
    store = Store(tmp_path)
    record = run_spec(tiny_spec(split=split, model="wrn10_1", epochs=2), store)
    assert record.status == "diverged"
    assert re.fullmatch(r"the loss on \d+ images that were measured is not finite", record.error)
    assert len(record.curve) == points
    assert record.metrics is None
    assert not store.failed_ids()


def test_weights_too_large_for_fp16_diverge_whatever_the_scale(tiny_spec, tmp_path):
    spec = tiny_spec(precision="fp16", model="mlp", split="full", lr=3.0, momentum=0.9, epochs=30)
    record = run_spec(spec, Store(tmp_path))
    assert record.status == "diverged"
    assert "the training loss is not finite in epoch" in record.error


def test_a_step_that_overflows_keeps_its_loss(tiny_spec, tmp_path):
    """Where the gradient overflows and the loss does not, the mean over the epoch's steps is that of all of them."""
    spec = tiny_spec(precision="fp16", model="mlp", lr=1e-9, epochs=1)
    state = TrainState(spec, load("digits"), torch.device("cpu"))
    state.oracle.scale.scale = 2.0**40
    train(state, Checkpoints(tmp_path, spec.run_id, "", 1e9))
    assert state.oracle.counters.skipped_steps > 0
    assert state.curve[-1].train_loss == pytest.approx(math.log(10), rel=0.1)


FORGED = (
    (999, {"step": 999}),
    (3, {"epoch": 1, "curve": []}),
    (3, {"model": {}}),
    (3, {"lr": float("nan")}),
    (3, {"devices": "x"}),
    (3, {"optimizer": None}),
)


def test_a_checkpoint_that_no_run_wrote_is_refused_and_the_one_before_used(
    tiny_spec, tmp_path, essence, caplog, monkeypatch
):
    store, spec = Store(tmp_path), tiny_spec()
    with pytest.raises(Interrupted):
        run_spec(spec, store, watch=stop_at(2))
    checkpoints = Checkpoints(store.checkpoints(spec.run_id), spec.run_id, load(spec.dataset).fingerprint)
    (state,) = checkpoints.states()
    begun = []

    def train(run, *_, **__):
        begun.append(run.step)
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(module, "train", train)
        for step, changes in FORGED:
            path = checkpoints.save(step, {**state, "step": 3, **changes})
            caplog.clear()
            with pytest.raises(Interrupted):
                run_spec(spec, store)
            assert "has other content" in caplog.text, changes
            path.unlink()
    assert begun == [2] * len(FORGED)
    assert essence(run_spec(spec, store)) == essence(run_spec(spec, Store(tmp_path / "whole")))


def test_a_crash_is_recorded_and_raised_and_can_be_tried_again(tiny_spec, tmp_path, monkeypatch):
    store, spec = Store(tmp_path), tiny_spec()

    def crash(run, checkpoints, advance):
        raise RuntimeError("the device caught fire")

    with monkeypatch.context() as patch:
        patch.setattr(module, "train", crash)
        with pytest.raises(RuntimeError, match="caught fire"):
            run_spec(spec, store)
    failed = store.read(spec.run_id)
    assert (failed.status, failed.error) == ("failed", "RuntimeError: the device caught fire")
    assert not store.has(spec.run_id)
    assert run_spec(spec, store).status == "completed"


def test_a_checkpoint_of_other_data_is_not_used(tiny_spec, tmp_path, caplog, essence):
    store, spec = Store(tmp_path), tiny_spec()
    with pytest.raises(Interrupted):
        run_spec(spec, store, watch=stop_at(3))
    foreign = Checkpoints(store.checkpoints(spec.run_id), spec.run_id, "0" * 64)
    foreign.save(4, {"from": "elsewhere"})
    record = run_spec(spec, store)
    assert "made on other data" in caplog.text
    assert essence(record) == essence(run_spec(spec, Store(tmp_path / "fresh")))


def test_two_at_once_do_not_train_one_run(tiny_spec, tmp_path):
    store, spec = Store(tmp_path), tiny_spec()
    other = Checkpoints(store.checkpoints(spec.run_id), spec.run_id, "")
    with other.claimed(), pytest.raises(StateError, match="being trained by another process"):
        run_spec(spec, store)


def test_a_folder_that_cannot_be_written_stops_before_training(tiny_spec, tmp_path, monkeypatch):
    (tmp_path / "results").write_text("a file, not a folder")
    monkeypatch.setattr(module, "TrainState", None)
    with pytest.raises(StateError, match="a file stands where a folder is needed"):
        run_spec(tiny_spec(), Store(tmp_path / "results"))


def test_a_full_disk_keeps_the_checkpoint(tiny_spec, tmp_path, monkeypatch, essence):
    """The disk fills up when the record is written: the error is clear, and the finished training is not lost."""
    store, spec = Store(tmp_path), tiny_spec()

    def full(self, record):
        raise StateError("cannot write: no space left")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "write", full)
        with pytest.raises(StateError, match="no space left"):
            run_spec(spec, store, checkpoint_seconds=0)
    assert Checkpoints(store.checkpoints(spec.run_id), spec.run_id, "").newest_step() >= 5
    assert essence(run_spec(spec, store)) == essence(run_spec(spec, Store(tmp_path / "fresh")))


def test_training_time_excludes_evaluation(tiny_spec, tmp_path, monkeypatch):
    import time

    evaluate = module.TrainState.evaluate

    def slow(run, part):
        time.sleep(0.3)
        return evaluate(run, part)

    monkeypatch.setattr(module.TrainState, "evaluate", slow)
    record = run_spec(tiny_spec(), Store(tmp_path))
    assert record.timing.evaluation_seconds >= 0.9
    assert record.curve[-1].seconds == record.timing.train_seconds


def test_torch_keeps_its_random_state(tiny_spec, tmp_path):
    before = torch.get_rng_state()
    run_spec(tiny_spec(), Store(tmp_path))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_record_names_code_machine_and_libraries(tiny_spec, tmp_path):
    record = run_spec(tiny_spec(variant="sgd"), Store(tmp_path))
    here = record.environment
    assert (here.python, here.torch) == (platform.python_version(), torch.__version__)
    assert (here.device, here.driver, here.devices, here.threads) == ("cpu", None, 1, torch.get_num_threads())
    assert here.device_name
    assert re.fullmatch("[0-9a-f]{12}", here.host)
    assert platform.node() not in record.model_dump_json()
    assert {"numpy", "timm", "torchvision"} <= here.libraries.keys()
    assert (here.commit is None) == (here.dirty is None)
    assert here.commit is None or re.fullmatch("[0-9a-f]{40}", here.commit)
    assert here.source is None or re.fullmatch("[0-9a-f]{64}", here.source)
    assert record.variant_source == get_info("sgd").source_hash()


def test_a_record_of_an_installed_package_names_its_source(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "PACKAGE", tmp_path)
    (tmp_path / "sam.py").write_text("rho = 0.05")
    here = environment.describe_environment(torch.device("cpu"))
    assert (here.commit, here.dirty, here.source) == (None, None, environment.package_hash(tmp_path))
    (tmp_path / ".git").write_text("a checkout, which says nothing where git is missing")
    assert environment.describe_environment(torch.device("cpu")).source is None


def test_a_run_leaves_a_line_an_epoch_until_it_has_a_record(tiny_spec, tmp_path):
    spec, store = tiny_spec(variant="sam", split="holdout", epochs=3), Store(tmp_path)
    folder, seen = store.checkpoints(spec.run_id), []

    def stopping_at(step):
        def watch(run):
            stop = stop_at(step)(run)
            return lambda state: (stop(state), seen.append(read_epochs(folder)[0]))

        return watch

    for step in (4, 8):
        with pytest.raises(Interrupted):
            run_spec(spec, store, watch=stopping_at(step), checkpoint_seconds=3600)
    record = run_spec(spec, store, watch=stopping_at(99))
    curve = [EpochLine(**p.model_dump(), label=spec.label(), epochs=3, steps=9) for p in record.curve]
    assert all(lines == curve[: len(lines)] for lines in seen)
    assert [len(lines) for lines in seen if lines][-1] == 3
    assert not folder.exists()
