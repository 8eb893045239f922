"""What shows that nothing was lost and nothing done twice: records compared to the bit, steps by their journal."""

import re
from collections import defaultdict
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from sambench.results.records.record import RunRecord
from sambench.results.records.store import Store


def essence(record: RunRecord) -> dict[str, Any]:
    """Reduce a record to what two runs of one spec must share: all but times, memory and machine."""
    content = record.model_dump()
    del content["timing"], content["peak_memory"], content["environment"]
    for point in content["curve"]:
        del point["seconds"]
    return content


def assert_same_runs(results: Path, reference: Path) -> None:
    """Every run of the reference is in the results, exactly once, with the same bits, and nothing else is."""
    made, expected = Store(results), Store(reference)
    assert made.run_ids() == expected.run_ids()
    assert not made.failed_ids()
    different = [i for i in expected.run_ids() if essence(made.read(i)) != essence(expected.read(i))]
    assert not different
    assert not list((results / "checkpoints").glob("*/*")), "a run with a record needs no checkpoint and no lease"
    assert not list((results / "runs").glob(".*"))


@dataclass(frozen=True)
class Step:
    """One step that was made: the seed of its run, its number, by which process, in which start of which job."""

    seed: int
    number: int
    pid: int
    job: str
    restart: int
    time: float


def read_journal(path: Path) -> list[Step]:
    """Read what :mod:`.watched` wrote, in the order in which it was written."""
    if not path.exists():
        return []
    rows = [line.split() for line in path.read_text().splitlines()]
    return [Step(int(s), int(n), int(p), job, int(r), float(t)) for s, n, p, job, r, t in rows]


@dataclass(frozen=True)
class Course:
    """How one run went.

    Args:
        steps: of the run.
        starts: processes that made some of them.
        repeated: steps that were made again after a start, because no checkpoint had them.
        alternations: how often a process made a step after another had taken over; never, if a run has one writer.
        gaps: steps that nobody made.
    """

    steps: int
    starts: int
    repeated: int
    alternations: int
    gaps: int


def courses(journal: list[Step]) -> dict[int, Course]:
    """Return the course of every run, by its seed."""
    runs: dict[int, list[Step]] = defaultdict(list)
    for step in journal:
        runs[step.seed].append(step)
    return {seed: _course(steps) for seed, steps in sorted(runs.items())}


def _course(steps: list[Step]) -> Course:
    turns = [pid for pid, _ in groupby(step.pid for step in steps)]
    numbers = {step.number for step in steps}
    return Course(
        steps=max(numbers) + 1,
        starts=len(set(turns)),
        repeated=len(steps) - len(numbers),
        alternations=len(turns) - len(set(turns)),
        gaps=max(numbers) + 1 - len(numbers),
    )


def without_times(board: str) -> str:
    """Blank the columns of a board that hold times and memory, and leave out what is said about times."""
    lines, blank = [], set()
    for line in board.splitlines():
        if line.startswith("- **Times do not compare**"):
            continue
        cells = line.split("|")
        if len(cells) > 2:
            names = {number for number, cell in enumerate(cells) if cell.strip().startswith(("ms / eval", "Memory"))}
            blank = names or blank
            line = "|".join("" if number in blank else cell for number, cell in enumerate(cells))
        else:
            blank = set()
        lines.append(re.sub(r"[-\d.]+ (s|min|h)\b", "TIME", line))
    return "\n".join(lines)
