"""Trained initial weights: the end of a run on random labels, counted apart, the same for all; or those of any run."""

import os
import signal

import pytest
import torch

from sambench.benchmarks.measuring.measurements import MeasuringOptions, measure_run
from sambench.benchmarks.measuring.registry import ask
from sambench.benchmarks.resolve import make_spec
from sambench.benchmarks.training.initialization import run_before
from sambench.benchmarks.training.keeping import Keep, read_model
from sambench.benchmarks.training.rebuild import rebuild_model
from sambench.benchmarks.training.run import run_spec
from sambench.benchmarks.training.state import TrainState
from sambench.errors import ConfigError, Interrupted, StateError
from sambench.results.records.models import model_path
from sambench.results.records.store import Store

INIT = {"init": "adversarial", "init_epochs": 3, "eval_every": 2}


@pytest.fixture
def epochs(monkeypatch):
    """List the epochs that are trained, as (labels, epochs done); after those in its ``stops`` ask for a stop."""

    class Epochs(list):
        stops = ()

    made, end = Epochs(), TrainState.end_epoch

    def noted(run):
        end(run)
        made.append((run.spec.labels, run.epoch))
        if made[-1] in made.stops:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(TrainState, "end_epoch", noted)
    return made


def test_a_run_begins_where_sgd_on_random_labels_ends(tiny_spec, tmp_path):
    spec, store = tiny_spec(variant="sam", **INIT), Store(tmp_path)
    record = run_spec(spec, store, keep=Keep.parse("weights@0"))
    begun = record.initialization
    first = run_spec(run_before(spec), Store(tmp_path / "first"))
    assert (begun.run_id, begun.weights, begun.train_error) == (first.run_id, first.weights, first.train_error)
    assert begun.gradient_evaluations == first.counters.gradient_evaluations == 9
    assert record.counters.gradient_evaluations == 2 * record.counters.steps == 12
    assert read_model(store, spec.run_id, 0).weights == first.weights
    assert record.train_error is not None
    assert record.timing.began <= first.timing.began
    assert store.run_ids() == [spec.run_id]
    drawn = run_spec(tiny_spec(variant="sam"), store)
    assert drawn.initialization is None
    assert drawn.weights != record.weights


@pytest.mark.parametrize("other", [{"variant": "sgd"}, {"hook": "saf", "lr": 0.3, "epochs": 5}, {"average": "ema"}])
def test_what_methods_differ_in_changes_nothing_of_where_they_begin(other):
    assert run_before(make_spec({"variant": "sam", **INIT, **other})) == run_before(make_spec(INIT))


def test_an_average_of_weights_starts_from_there(tiny_spec, tmp_path):
    hyper = {"ema_decay": 1.0}
    record = run_spec(tiny_spec(average="ema", hyper=hyper, **INIT), Store(tmp_path))
    drawn = run_spec(tiny_spec(average="ema", hyper=hyper), Store(tmp_path))
    assert record.weights != drawn.weights


def test_it_resumes_to_the_bit_wherever_it_was_stopped(tiny_spec, tmp_path, essence, epochs):
    spec, store = tiny_spec(variant="sam", **INIT), Store(tmp_path / "parts")
    whole = run_spec(spec, Store(tmp_path / "whole"))
    assert epochs == [("random", 1), ("random", 2), ("random", 3), ("given", 1), ("given", 2)]
    once = list(epochs)
    epochs.clear()
    for stop in (("random", 1), ("given", 1)):
        epochs.stops = (stop,)
        with pytest.raises(Interrupted):
            run_spec(spec, store)
    assert essence(run_spec(spec, store)) == essence(whole)
    assert epochs == once, "an epoch was trained twice"
    assert not store.checkpoints(spec.run_id).exists()


def test_what_other_code_began_is_begun_anew(tiny_spec, tmp_path, essence, epochs, monkeypatch):
    spec, store = tiny_spec(**INIT), Store(tmp_path)
    epochs.stops = (("random", 1),)
    with pytest.raises(Interrupted):
        run_spec(spec, store)
    monkeypatch.setattr("sambench.benchmarks.training.made_with.__version__", "another")
    epochs.stops = ()
    run_spec(spec, store)
    assert epochs.count(("random", 1)) == 2


def test_one_that_diverges_says_so(tiny_spec, tmp_path, monkeypatch):
    monkeypatch.setattr(TrainState, "make_step", lambda run: torch.tensor(torch.nan))
    with pytest.raises(StateError, match="the adversarial initialization diverged: the training loss is not finite"):
        run_spec(tiny_spec(**INIT), Store(tmp_path))


def test_a_run_begins_with_the_weights_that_another_one_kept(tiny_spec, tmp_path, essence, epochs):
    store, keep = Store(tmp_path), Keep.parse("weights@0")
    first = run_spec(tiny_spec(variant="sgd", seed=7), store, keep=keep)
    specs = [tiny_spec(variant="sam", init=first.run_id, seed=seed) for seed in (0, 1)]
    records = [run_spec(spec, store, keep=keep) for spec in specs]
    for record in records:
        assert (record.initialization.run_id, record.initialization.weights) == (first.run_id, first.weights)
        assert record.initialization.gradient_evaluations == first.counters.gradient_evaluations
        assert read_model(store, record.run_id, 0).weights == first.weights
    assert records[0].weights != records[1].weights
    elsewhere = Store(tmp_path / "elsewhere")
    epochs.clear()
    epochs.stops = (("given", 1),)
    with pytest.raises(Interrupted):
        run_spec(specs[0], elsewhere, beginnings=store)
    assert essence(run_spec(specs[0], elsewhere)) == essence(records[0]), "what is resumed needs no other run"
    epochs.stops = ()
    model_path(store, specs[0].run_id).unlink()
    rebuild_model(specs[0].run_id, store)
    assert read_model(store, specs[0].run_id).weights == records[0].weights


@pytest.mark.parametrize(
    ("fields", "kept", "says"),
    [
        ({"init": "1" * 64}, False, "the model of run 111111111111 is not kept in .* `--keep weights` keeps those"),
        ({}, False, "is not kept in .* `--keep weights` keeps those"),
        ({"model": "resnet8"}, True, "the weights of that run do not fit 'resnet8' with norm='batch' on 1 x 8 x 8"),
        ({"model": "resnet8", "augment": "resize:16"}, True, "do not fit 'resnet8' .* on 1 x 16 x 16 pixels and 10"),
    ],
)
def test_weights_that_are_not_there_or_do_not_fit_are_refused(fields, kept, says, tiny_spec, tmp_path):
    store = Store(tmp_path)
    first = run_spec(tiny_spec(variant="sgd"), store, keep=Keep() if kept else None)
    with pytest.raises((ConfigError, StateError), match=says):
        run_spec(tiny_spec(**{"init": first.run_id, **fields}), store)
    assert store.run_ids() == [first.run_id]
    assert not store.failed_ids()


def test_a_measure_of_the_way_from_initialization_says_that_there_is_none(tiny_spec, tmp_path):
    record = run_spec(tiny_spec(**INIT), Store(tmp_path), keep=Keep())
    found = measure_run(record.run_id, [ask("distance")], MeasuringOptions(tmp_path))
    assert "trained first (init='adversarial')" in str(found)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"init": "1" * 64, "init_epochs": 5}, f"init_epochs=5 is not valid: init='{'1' * 64}' trains nothing first"),
        ({"init_epochs": 5}, "init_epochs=5 is not valid: init='drawn' trains nothing first"),
        ({"init": "adversarial", "init_epochs": 0}, "init_epochs=0 is not valid"),
        ({"init": "fresh"}, "init='fresh' is not valid: input should be 'drawn', 'adversarial' or the id"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields, says):
    with pytest.raises(ConfigError, match=says):
        make_spec(fields)
