"""Steps that are recorded and replayed, emulated on the CPU: the bits of steps that are not, or a reason."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from tape import Tape, TapeRecorder
from torch.optim.optimizer import _global_optimizer_pre_hooks

from sambench.benchmarks.resolve import make_spec
from sambench.benchmarks.suites.suite import load_suite
from sambench.benchmarks.training import state, step_recorder
from sambench.benchmarks.training.run import run_spec
from sambench.benchmarks.training.state import TrainState
from sambench.datasets import load
from sambench.errors import ConfigError, Interrupted
from sambench.results.records.store import Store
from sambench.slurm.launch import launch_suite
from sambench.variants import list_variants
from sambench.variants.sgd import SGD

STEPS = 12
EAGER: dict[str, str] = dict.fromkeys(("ae_sam", "ae_looksam", "sam_sps", "usam_sps"), "its rule waits for the device")
"""What is not recorded, and why."""


@pytest.fixture(autouse=True)
def tape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(step_recorder.RECORDERS, "cpu", TapeRecorder)


@pytest.fixture
def unclipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away the hooks of clipping, which stay once a run in this process clips; one rule goes by them."""
    for key in list(_global_optimizer_pre_hooks):
        monkeypatch.delitem(_global_optimizer_pre_hooks, key)


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
@pytest.mark.usefixtures("unclipped")
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
        {"variant": "gsam", "schedule": "multistep", "milestones": (0.4, 0.7)},
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


BRANCHES = [
    ("looksam", {"k": 3}, {"drop_last": False, "subset": 200}, 2),
    ("lookahead", {"k": 2}, {}, 2),
    ("late_sam", {"tail": 0.3}, {}, 2),
    ("ssam_d", {"mask_every": 2}, {}, 1),
    ("ssam_f", {"mask_every": 2, "samples": 3}, {}, 2),
    ("rst", {"p_start": 0.3, "p_end": 0.7}, {}, 2),
    ("sam", {}, {"rho_schedule": "cosine"}, 1),
    ("asam", {}, {"rho_schedule": "linear", "clip": 0.1}, 1),
    ("unified_sam", {"lam": "1/t"}, {"base": "adamw", "lr": 0.01}, 1),
    ("unified_sam", {"lam": "1-1/t"}, {"precision": "bf16"}, 1),
    ("unified_sam", {"lam": "1/t", "lam_clock": "epoch"}, {"rho_schedule": "cosine"}, 1),
    ("gsam", {"adaptive": True}, {"accumulate": 2}, 1),
    ("le_sam", {}, {"model": "wrn10_1"}, 1),
    ("entropy_sgd", {"langevin": 2}, {"hook": "mesa", "subset": 200, "drop_last": False}, 1),
    ("bsam", {"splits": 2}, {"weight_decay_mode": "in_loss"}, 1),
    ("sampa", {}, {"batch_schedule": "doubling", "milestones": (0.5,), "subset": 448}, 1),
]
"""Variants that look at what moves, settings, those of the run, and branches that are replayed."""


@pytest.mark.parametrize(
    ("variant", "hyper", "fields", "branches"),
    [pytest.param(*one, marks=[pytest.mark.slow] * (one[0] not in FAST)) for one in BRANCHES],
    ids=[f"{variant} {hyper}" for variant, hyper, *_ in BRANCHES],
)
def test_branches_and_numbers_that_move(
    variant: str, hyper: dict[str, Any], fields: dict[str, Any], branches: int
) -> None:
    graph = equal(variant=variant, hyper=hyper, **fields).graph
    assert graph is not None
    assert graph.reason == ""
    recorded = [one.branches for one in graph._by_shape.values()]
    assert max(sum(one.replayed > 0 for one in some) for some in recorded) >= branches


def test_a_scheduled_radius_is_a_scalar_on_the_device() -> None:
    graph = equal(variant="sam", rho_schedule="cosine").graph
    assert graph is not None
    ((branch,),) = [known.branches for known in graph._by_shape.values()]
    assert [scalar is not None for scalar in branch.moving.values()] == [True]
    assert len(branch.parts) == 3  # passes and rule, the step of the base optimizer, the end


def test_an_operation_that_takes_no_scalar_is_made_between_recordings() -> None:
    graph = equal(variant="entropy_sgd", hyper={"langevin": 1}).graph
    assert graph is not None
    ((branch,),) = [known.branches for known in graph._by_shape.values()]
    assert set(branch.moving.values()) == {None}
    assert len(branch.parts) == 3 + 2 * len(branch.moving)


def test_a_rule_that_hooks_into_the_base_step_is_not_recorded() -> None:
    graph = equal(variant="wsam", hyper={"decoupled": True}, clip=0.1).graph
    assert graph is not None
    assert graph.reason == "its rule hooks into the step of the base optimizer"


def restless(rule: SGD, closure: Any) -> torch.Tensor:
    """Ask for more operations in every step."""
    at = rule.gradient(closure)
    for _ in range(rule.steps):
        at.loss.clone()
    rule.descend(at)
    return at.loss


def test_a_rule_that_is_never_the_same_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SGD, "update", restless)
    graph = equal(variant="sgd").graph
    assert graph is not None
    assert graph.reason == "its rule makes other operations in every step"


STOPPED = [
    *(pytest.param(i.name, id=i.name, marks=[pytest.mark.slow] * (i.name != "fsam")) for i in list_variants()),
]


@pytest.mark.parametrize("name", STOPPED)
@pytest.mark.usefixtures("unclipped")
def test_a_run_that_is_stopped_goes_on_with_the_same_bits(name: str, tmp_path: Any) -> None:
    """With batch normalization for some."""
    model = "wrn10_1" if name in ("sam_on", "sam", "gsam") else "mlp"
    fields = {"dataset": "digits", "model": model, "subset": 256, "batch_size": 64, "epochs": 6}
    spec = make_spec({"variant": name, **fields})
    plain = run_spec(spec, Store(tmp_path / "plain"))
    left = [13]

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
    graph = f"no graph: {EAGER[name]}" if name in EAGER else "graph"
    assert (record.environment.graph, plain.environment.graph) == (graph, None)


def test_why_there_is_no_graph_is_in_the_log_and_in_the_record(tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    spec = make_spec({"variant": "ae_sam", "dataset": "digits", "model": "mlp", "subset": 256, "epochs": 2})
    with caplog.at_level("INFO"):
        record = run_spec(spec, Store(tmp_path), cuda_graph=True)
    assert record.environment.graph == f"no graph: {EAGER['ae_sam']}"
    assert EAGER["ae_sam"] in caplog.text


def test_a_launch_records_too(tmp_path: Any) -> None:
    fields = {"variant": "gsam", "dataset": "digits", "model": "mlp", "subset": 256, "batch_size": 32, "epochs": 1}
    suite = load_suite("quickstart")
    suite = replace(suite, specs=(make_spec(fields),), resolved_tracks=())
    store = Store(tmp_path)
    launch_suite(suite, store, "debug", cuda_graph=True, compiler="eager")
    (record,) = store.scan()
    assert (record.environment.graph, record.environment.compiler) == ("graph", "eager")


def test_a_device_without_graphs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(step_recorder.RECORDERS, "cpu")
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
