"""Kept models: the same run, the same bits, checked on every read, made again where they are lost."""

import pytest
import torch

import sambench as sb
from sambench.benchmarks.training.evaluation import predict
from sambench.benchmarks.training.keeping import Keep, Keeper, read_model
from sambench.benchmarks.training.kept_network import load_model
from sambench.benchmarks.training.rebuild import rebuild_model
from sambench.benchmarks.training.run import run_spec
from sambench.benchmarks.training.state import TrainState
from sambench.datasets import load
from sambench.errors import ConfigError, Interrupted, StateError
from sambench.results.records.models import list_models, model_path
from sambench.results.records.record import unpack_bits
from sambench.results.records.store import Store

ALL = Keep.parse("weights@0,50%,2")


@pytest.fixture
def kept(tiny_spec, tmp_path):
    """A run whose model was kept at every point, and its store."""
    store, spec = Store(tmp_path / "kept"), tiny_spec(variant="sam")
    return run_spec(spec, store, keep=ALL), spec, store


@pytest.mark.parametrize("fields", [{"variant": "sam"}, {"variant": "sgd", "average": "swa", "epochs": 3}])
def test_keeping_changes_no_bit_of_a_run(fields, tiny_spec, tmp_path, essence):
    spec = tiny_spec(**fields)
    plain = run_spec(spec, Store(tmp_path / "plain"))
    store = Store(tmp_path / "kept")
    assert essence(run_spec(spec, store, keep=ALL)) == essence(plain)
    assert read_model(store, spec.run_id).weights == plain.weights
    assert {file.epoch for file in list_models(store)} == {-1, 0, 2, *ALL.epochs(spec.epochs)}


def test_a_kept_model_answers_as_the_record_says(kept):
    record, spec, store = kept
    data = load(spec.dataset)
    network = read_model(store, spec.run_id).network(spec)
    logits = predict(network, data.test_images, data.mean, data.std, precision=spec.precision)
    correct = (logits.argmax(1) == data.test_labels).numpy()
    assert (correct == unpack_bits(record.metrics.correct, record.metrics.count)).all()
    model = sb.load_model(record.run_id[:10], results=store.root)
    assert not model.training
    torch.testing.assert_close(model(data.test_images / 255), logits, rtol=1e-4, atol=1e-4)
    first = load_model(record.run_id, results=store.root, epoch=0).network.state_dict()
    begun = TrainState(spec, data, torch.device("cpu")).model.state_dict()
    assert all(torch.equal(first[name], begun[name]) for name in begun)


def test_an_interrupted_run_keeps_its_points(tiny_spec, tmp_path, kept):
    _, spec, whole = kept
    store = Store(tmp_path / "parts")

    def stop(run):
        def advance(state):
            if state.step == 4:
                raise Interrupted("here")

        return advance

    with pytest.raises(Interrupted):
        run_spec(spec, store, keep=ALL, watch=stop, checkpoint_seconds=0.0)
    run_spec(spec, store, keep=ALL)
    for file in list_models(whole):
        assert model_path(store, spec.run_id, file.epoch).read_bytes() == file.path.read_bytes()


def _cut(path, other):
    path.write_bytes(path.read_bytes()[:-100])


def _flip(path, other):
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)


def _empty(path, other):
    path.write_bytes(b"")


def _another(path, other):
    path.write_bytes(other.read_bytes())


@pytest.mark.parametrize(
    ("harm", "told"),
    [(_cut, "cannot be read"), (_flip, "damaged"), (_empty, "cannot be read"), (_another, "holds the model of run")],
)
def test_a_damaged_or_foreign_model_is_refused(harm, told, kept, tiny_spec):
    record, _, store = kept
    other = tiny_spec(variant="sgd", epochs=1)
    run_spec(other, store, keep=Keep())
    harm(model_path(store, record.run_id), model_path(store, other.run_id))
    with pytest.raises(StateError, match=told):
        read_model(store, record.run_id)


def test_a_lost_model_is_told_and_made_again_to_the_bit(kept):
    _, spec, store = kept
    path = model_path(store, spec.run_id)
    before = path.read_bytes()
    path.unlink()
    with pytest.raises(StateError, match="is not kept"):
        read_model(store, spec.run_id)
    rebuild_model(spec.run_id, store)
    assert path.read_bytes() == before
    assert [entry.name for entry in (store.root / "rebuilt").iterdir()] == []


def test_a_model_that_ends_in_other_weights_is_not_put_in_its_place(kept):
    record, spec, store = kept
    model_path(store, spec.run_id).unlink()
    text = store.path(spec.run_id).read_text()
    store.path(spec.run_id).write_text(text.replace(record.weights, "0" * 64))
    with pytest.raises(StateError, match="ends in other weights here"):
        rebuild_model(spec.run_id, store)
    assert not model_path(store, spec.run_id).exists()


@pytest.mark.parametrize("text", ["", "model", "weights@", "weights@-1", "weights@half", "weights@120%", "weights@1.5"])
def test_what_cannot_be_kept_is_refused(text):
    with pytest.raises(ConfigError, match="is not valid: 'weights'"):
        Keep.parse(text)


def test_a_point_behind_the_end_is_refused(tiny_spec, tmp_path):
    with pytest.raises(ConfigError, match="behind the end of a run of 2 epochs"):
        run_spec(tiny_spec(), Store(tmp_path), keep=Keep.parse("weights@3"))


def test_a_run_resumed_with_keep_says_which_points_are_past(kept, tiny_spec, tmp_path, caplog):
    _, spec, _ = kept
    run = TrainState(spec, load(spec.dataset), torch.device("cpu"))
    run.epoch = 1
    Keeper(ALL, Store(tmp_path / "new"), run, lambda: None)
    assert "its weights after 0 are not kept" in caplog.text
