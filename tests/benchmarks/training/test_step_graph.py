"""Steps that are recorded and replayed, emulated on the CPU: the bits of steps that are not, or a reason."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from tape import Tape, TapeRecorder

from sambench.benchmarks.resolve import make_spec
from sambench.benchmarks.suites.suite import load_suite
from sambench.benchmarks.training import state, step_graph
from sambench.benchmarks.training.run import run_spec
from sambench.benchmarks.training.state import TrainState
from sambench.datasets import load
from sambench.errors import ConfigError, Interrupted
from sambench.results.records.store import Store
from sambench.slurm.launch import launch_suite
from sambench.variants import list_variants

STEPS = 12
BY_NUMBER = "its rule looks at the number of the step"
EAGER = {
    **dict.fromkeys(("ae_sam", "ae_looksam", "sam_sps", "usam_sps"), "its rule waits for the device"),
    **dict.fromkeys(("late_sam", "le_sam", "lookahead", "looksam", "rst", "ssam_d", "ssam_f"), BY_NUMBER),
    **dict.fromkeys(("unified_sam", "is_unified_sam"), BY_NUMBER),
    **dict.fromkeys(("bsam", "gsam", "wsam"), "its rule reads lr, which moves"),
    "entropy_sgd": "its rule asks for further batches",
    "sampa": "its rule looks at the batch of the step before",
}
"""What is not recorded, and why."""


@pytest.fixture(autouse=True)
def tape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(step_graph.RECORDERS, "cpu", TapeRecorder)


def train(graph: bool, **fields: Any) -> tuple[TrainState, list[float]]:
    """Make steps over two epochs."""
    given = {"dataset": "digits", "model": "mlp", "batch_size": 32, "subset": 32 * STEPS // 2, "epochs": 2, **fields}
    run = TrainState(make_spec(given), load("digits"), torch.device("cpu"), cuda_graph=graph)
    run.model.train()
    losses = []
    for epoch in range(2):
        run.begin_epoch(epoch)
        for number in range(run.sampler.steps):
            draw = run.sampler.draw(number, run.score)
            run.oracle.bind(run.batch(draw, number), epoch=epoch, step=run.step, more=run.fresh)
            run.set_schedules()
            losses.append(float(run.make_step()))
            run.note_passes()
            run.oracle.finish_step()
            run.sampler.observe(draw, run.oracle.scores)
            run.step += 1
    return run, losses


def equal(**fields: Any) -> TrainState:
    """Train with and without graphs, and return the run with them."""
    (plain, losses), (graphed, others) = train(False, **fields), train(True, **fields)
    assert losses == others
    assert plain.weights_digest() == graphed.weights_digest()
    assert plain.oracle.counters == graphed.oracle.counters
    assert torch.equal(plain.pass_sums, graphed.pass_sums)
    mine, theirs = (run.optimizer.state_dict() for run in (graphed, plain))
    assert str(mine) == str(theirs)
    return graphed


FAST = {"sgd", "sam", "gsam", "looksam", "bsam"}


@pytest.mark.parametrize(
    "name", [pytest.param(i.name, marks=[pytest.mark.slow] * (i.name not in FAST)) for i in list_variants()]
)
def test_a_recorded_step_has_the_bits_of_a_step(name: str) -> None:
    graphed = equal(variant=name, model="wrn10_1" if name == "sam_on" else "mlp")
    assert graphed.graph is not None
    assert graphed.graph.reason == EAGER.get(name, "")
    assert bool(graphed.graph.replayed) == (name not in EAGER)


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "wrn10_1", "bn_update": "last"},
        {"model": "wrn10_1", "clip": 0.1, "nesterov": True},
        {"accumulate": 2, "weight_decay_mode": "in_loss"},
        {"base": "adamw", "lr": 0.01},
        {"sampler": "importance", "drop_last": False},
        {"variant": "gsam", "schedule": "constant"},
        {"variant": "fsam", "drop_last": False, "subset": 200},
        {"rho_schedule": "cosine", "schedule_unit": "epoch"},
        {"batch_schedule": "doubling", "milestones": (0.5,)},
    ],
    ids=str,
)
def test_settings_of_a_run(fields: dict[str, Any]) -> None:
    graphed = equal(**{"variant": "sam", **fields})
    assert graphed.graph is not None
    assert graphed.graph.replayed > 0


def test_what_moves_with_every_step_is_named() -> None:
    graphed = equal(variant="sam", rho_schedule="cosine")
    assert graphed.graph is not None
    assert graphed.graph.describe() == "no graph: its rule reads rho, which moves"


def test_a_run_that_is_stopped_goes_on_with_the_same_bits(tmp_path: Any) -> None:
    spec = make_spec({"variant": "fsam", "dataset": "digits", "model": "mlp", "subset": 256, "epochs": 3})
    plain = run_spec(spec, Store(tmp_path / "plain"))
    left = [9]

    def watch(run: TrainState) -> Any:
        def advance(state: TrainState) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Interrupted("stopped")

        return advance

    store = Store(tmp_path / "graphed")
    with pytest.raises(Interrupted):
        run_spec(spec, store, watch=watch, cuda_graph=True, checkpoint_seconds=0)
    record = run_spec(spec, store, cuda_graph=True)
    assert record.weights == plain.weights
    assert record.counters == plain.counters
    assert (record.environment.graph, plain.environment.graph) == ("graph", None)


def test_a_launch_records_too(tmp_path: Any) -> None:
    fields = {"variant": "sam", "dataset": "digits", "model": "mlp", "subset": 256, "batch_size": 32, "epochs": 1}
    suite = load_suite("quickstart")
    suite = replace(suite, specs=(make_spec(fields),), resolved_tracks=())
    store = Store(tmp_path)
    launch_suite(suite, store, "debug", cuda_graph=True, compiler="eager")
    (record,) = store.scan()
    assert (record.environment.graph, record.environment.compiler) == ("graph", "eager")


def test_a_device_without_graphs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(step_graph.RECORDERS, "cpu")
    with pytest.raises(ConfigError, match="--cuda-graph records on devices of the kind cuda, and this is 'cpu'"):
        train(True)


class Refusing(Tape):
    """A recording that the device breaks off."""

    stopped = False

    def stop(self) -> None:
        if not self.stopped:
            self.stopped = True
            super().stop()
        raise RuntimeError("operation not permitted when stream is capturing")


def test_a_step_that_cannot_be_recorded_is_made_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TapeRecorder, "recordings", lambda self, generator: Refusing)
    graphed = equal(variant="fsam")
    assert graphed.graph is not None
    assert graphed.graph.reason == "it cannot be recorded (operation not permitted when stream is capturing)"


def test_dropout_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    build = state.models.build_for
    monkeypatch.setattr(
        state.models, "build_for", lambda *given: torch.nn.Sequential(build(*given), torch.nn.Dropout())
    )
    graphed = equal(variant="sam")
    assert graphed.graph is not None
    assert graphed.graph.reason == "random numbers are drawn in a pass (dropout)"
