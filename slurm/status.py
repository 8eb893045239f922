"""Where every run of a suite stands, from the store alone: records first, then checkpoints."""

from dataclasses import dataclass

from ..benchmarks.checkpoint import Checkpoints
from ..benchmarks.spec import RunSpec
from ..benchmarks.suite import Suite
from ..results.store import Store

STATES = ("completed", "diverged", "failed", "running", "interrupted", "pending")


@dataclass(frozen=True)
class Standing:
    """One run: its state, the step of its newest checkpoint, and what went wrong, if something did."""

    spec: RunSpec
    state: str
    step: int = 0
    text: str = ""


def standings(suite: Suite, store: Store) -> list[Standing]:
    """Return the standing of every run, in the order of the suite.

    A run with a final record is ``completed`` or ``diverged``; without one it is ``running`` while a process holds it,
    ``interrupted`` if a checkpoint waits, ``failed`` if its last attempt was recorded so, and else ``pending``.
    """
    failed = set(store.failed_ids())
    return [_standing(spec, store, failed) for spec in suite.specs]


def _standing(spec: RunSpec, store: Store, failed: set[str]) -> Standing:
    run_id = spec.run_id
    if store.has(run_id):
        record = store.read(run_id)
        return Standing(spec, record.status, record.counters.steps, record.error or "")
    checkpoints = Checkpoints(store.checkpoints(run_id), run_id, fingerprint="")
    step = checkpoints.newest_step()
    if checkpoints.held():
        return Standing(spec, "running", step)
    if run_id in failed:
        return Standing(spec, "failed", step, store.read(run_id).error or "")
    return Standing(spec, "interrupted" if step else "pending", step)
