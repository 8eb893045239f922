"""Records, reduced to what a board needs and grouped by workload and method."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ..records.behaviour import Code, code_of
from ..records.record import Environment, RunRecord
from .comparability import chooses_hyper, identity_of, key_of, method_of, titles, workload_of

RELEASE = "release "
Methods = list[tuple[dict[str, Any], list["RunSummary"]]]


class RunSummary(NamedTuple):
    """What a board needs of a record: small, so that 100,000 of them fit in memory, where their curves would not.

    Attributes:
        run_id: hash of the spec.
        seed: seed of the run.
        status: ``completed``, ``diverged`` or ``failed``.
        reason: why it did not complete, one line.
        accuracy: share of correct answers; that of guessing for a run that did not complete.
        resolution: step of the accuracy, one over the number of examples; 0 for a run that did not complete.
        gradients: number of gradient evaluations (forward and backward passes over one batch).
        forwards: number of forward-only passes over one batch.
        seconds: training time in seconds, without evaluation.
        memory: peak memory in bytes, ``None`` in records from before it was measured.
        code: the code of the variant that made it.
        implementation: status of the variant, ``reference`` or why it is not proven.
        hardware: name of the device, with the number of devices or CPU threads.
        machine: host and device that it was made on.
        commit: commit of the code, with a ``+`` if it had uncommitted changes; or the release of the
            package; empty if neither is known.
        compiler: what compiled its passes; empty where nothing did.
        best_epoch: first epoch with the highest accuracy on held-out images, ``None`` where none was measured.
        best_held_out: that accuracy.
    """

    run_id: str
    seed: int
    status: str
    reason: str
    accuracy: float
    resolution: float
    gradients: float
    forwards: float
    seconds: float
    memory: int | None
    code: Code
    implementation: str
    hardware: str
    machine: str
    commit: str
    compiler: str = ""
    best_epoch: int | None = None
    best_held_out: float | None = None


class Alike(NamedTuple):
    """Runs of one method on one workload.

    Attributes:
        spec: the spec of one of them.
        dataset_fingerprint: sha256 of the decoded data set.
        runs: what a board needs of each.
    """

    spec: dict[str, Any]
    dataset_fingerprint: str
    runs: Sequence[RunSummary]


class Collection:
    """Runs by workload and method, in any order. Search runs (tuning trials) are counted and not kept.

    Attributes:
        search: number of search runs.
        shared: key of a workload -> the spec fields that its runs share.
    """

    def __init__(self, records: Iterable[RunRecord] = ()) -> None:
        self.search = 0
        self.shared: dict[str, dict[str, Any]] = {}
        self._methods: dict[str, dict[str, Any]] = {}
        self._runs: dict[str, dict[str, list[RunSummary]]] = defaultdict(lambda: defaultdict(list))
        self._keys: dict[bytes, tuple[str, str]] = {}
        self._titles: dict[str, str] = {}
        for record in records:
            self.add(record)

    def add(self, found: RunRecord | Alike) -> None:
        """Add the summary of a record, or of several; a record itself is not kept."""
        some = found if isinstance(found, Alike) else alike(found)
        if chooses_hyper(some):
            self.search += len(some.runs)
            return
        if (identity := identity_of(some)) not in self._keys:
            workload, method = workload_of(some), method_of(some)
            self._keys[identity] = key, method_key = key_of(workload), key_of(method)
            self.shared[key], self._methods[method_key] = workload, method
        key, method_key = self._keys[identity]
        self._runs[key][method_key] += some.runs

    def workloads(self) -> dict[str, str]:
        """Return the title of every workload by its key, in the order of data set and model."""
        if len(self._titles) < len(self.shared):
            keys = sorted(
                self.shared, key=lambda key: (*(str(self.shared[key].get(k)) for k in ("dataset", "model")), key)
            )
            self._titles = dict(zip(keys, titles([self.shared[key] for key in keys]), strict=True))
        return self._titles

    def methods(self, workload: str, only: frozenset[str] | None = None) -> Methods:
        """List the methods of a workload with their runs, or with those runs only whose ids are given."""
        found = []
        for key, runs in sorted(self._runs[workload].items()):
            kept = runs if only is None else [run for run in runs if run.run_id in only]
            if kept:
                found.append((self._methods[key], kept))
        return found

    def runs(self) -> Iterable[RunSummary]:
        """Yield every run."""
        for methods in self._runs.values():
            for runs in methods.values():
                yield from runs


def alike(record: RunRecord) -> Alike:
    """Reduce a record to what a collection takes."""
    return Alike(record.spec, record.dataset_fingerprint, (reduce(record),))


def reduce(record: RunRecord) -> RunSummary:
    """Reduce a record to what a board shows."""
    metrics, environment = record.metrics, record.environment
    threads = f", {environment.threads} threads" if environment.device == "cpu" else ""
    return RunSummary(
        run_id=record.run_id,
        seed=int(record.spec.get("seed", 0)),
        status=record.status,
        reason=(record.error or "no reason recorded").strip().partition("\n")[0],
        accuracy=1 / record.classes if metrics is None else metrics.accuracy,
        resolution=0.0 if metrics is None else 1 / metrics.count,
        gradients=record.counters.gradient_evaluations,
        forwards=record.counters.forward_evaluations,
        seconds=record.timing.train_seconds,
        memory=record.peak_memory,
        code=code_of(str(record.spec["variant"]), record.variant_source, environment.behaviour),
        implementation=record.variant_status,
        hardware=f"{environment.devices} x {environment.device_name}{threads}"
        if environment.devices > 1
        else f"{environment.device_name}{threads}",
        machine=environment.machine,
        commit=_code(environment),
        compiler=environment.compiler or "",
        best_epoch=record.best_epoch,
        best_held_out=record.best_validation_accuracy,
    )


def _code(environment: Environment) -> str:
    if environment.commit:
        return f"{environment.commit[:7]}{'+' if environment.dirty else ''}"
    return f"{RELEASE}{environment.sambench} ({environment.source[:7]})" if environment.source else ""
