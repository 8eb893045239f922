"""The plan of a suite: the runs that are missing, what they cost and how long they take. Pure data."""

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..datasets.source import Source

if TYPE_CHECKING:
    from ..benchmarks.spec import RunSpec
    from ..benchmarks.suites.suite import Suite


START_SECONDS = 8.0
"""What Python, torch and the data take until the first step of a process."""
RUN_SECONDS = 1.0
"""What a run takes beside its training: model, measurements, checkpoint, record."""


class Memory(NamedTuple):
    """What a run takes of the memory of a GPU, in bytes, estimated from shapes; workspaces and CUDA's own come on top.

    Attributes:
        fixed: weights, gradients, the state of optimizer and variant, and the data.
        activations: what a forward pass keeps for its backward pass.
    """

    fixed: int
    activations: int


@dataclass(frozen=True)
class Planned:
    """One run that the store does not have.

    Args:
        spec: the resolved spec of the run.
        source: where its data set lies, if it is not known by name.
        steps: number of optimizer steps.
        gradient_evaluations: declared by the variant, over all steps.
        forward_evaluations: declared by variant and sampler, over all steps.
        seconds: estimated training time in seconds.
    """

    spec: "RunSpec"
    source: Source | None
    steps: int
    gradient_evaluations: float
    forward_evaluations: float
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return what :meth:`from_json` reads; a relative place of data is taken from the present folder."""
        source = self.source and asdict(self.source.below(Path.cwd()))
        return {**vars(self), "spec": self.spec.model_dump(mode="json"), "source": source}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Planned":
        from ..benchmarks.spec import RunSpec  # torch, for what a spec refers to

        spec, source = RunSpec.model_validate(content["spec"]), content["source"]
        return cls(**{**content, "spec": spec, "source": Source(**source) if source else None})


@dataclass(frozen=True)
class Plan:
    """The runs that a suite still lacks, and what they cost.

    Args:
        suite: the suite that is planned.
        runs: runs that have to be made.
        done: number of runs that have a final record.
        elsewhere: number of runs that another process makes or that wait in a queue.
        basis: sentences on how the times were estimated.
        checkpoint_bytes: disk space of the largest checkpoints of one run, in bytes.
        record_bytes: disk space of all records to come, in bytes.
        outdated: number of runs that were made or begun with other code than that of today.
        model_bytes: disk space of the models that will be kept, in bytes.
        memory: of the run that takes most of a GPU; None where runs are made on no GPU.
    """

    suite: "Suite"
    runs: tuple[Planned, ...]
    done: int
    elsewhere: int
    basis: tuple[str, ...]
    checkpoint_bytes: int = 0
    record_bytes: int = 0
    outdated: int = 0
    model_bytes: int = 0
    memory: Memory | None = None

    @cached_property
    def gradient_evaluations(self) -> float:
        return sum(run.gradient_evaluations for run in self.runs)

    def wall_seconds(self, at_once: int) -> float:
        """Estimate the time from start to end with so many runs at a time: no run is divided, and starting counts."""
        if not self.runs:
            return 0.0
        work = self.seconds + RUN_SECONDS * len(self.runs)
        longest = max(run.seconds for run in self.runs) + RUN_SECONDS
        return START_SECONDS + max(work / min(at_once, len(self.runs)), longest)

    @cached_property
    def seconds(self) -> float:
        """Estimated training time of all runs one after the other."""
        return sum(run.seconds for run in self.runs)
