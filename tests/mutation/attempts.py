"""A mutant is tried in a process of its own, in a copy of the package, for a limited time."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from token_mutants import Mutant

ROOT = Path(__file__).parents[2]
FOUND_NOTHING, NO_TESTS, BROKEN = 0, 5, 70


class Trees:
    """Copies of the package: the first stays as it is, each of the others is for one process at a time.

    Args:
        folder: where they are made.
        count: number of the others.
    """

    def __init__(self, folder: Path, count: int):
        self.first, *self.free = (folder / str(number) / "sambench" for number in range(count + 1))
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
        for name in listed.decode().rstrip("\0").split("\0"):
            target = self.first / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)

    def multiply(self) -> None:
        """Make the other copies from the first, compiled files included, where they are not yet."""
        for other in self.free:
            if not other.exists():
                shutil.copytree(self.first, other, copy_function=os.link)


@dataclass
class Tally:
    """What became of mutants.

    Args:
        tried: number of those that were tried to the end.
        survivors: those that no test finds.
        left: those that were not begun in time.
    """

    tried: int = 0
    survivors: list[Mutant] = field(default_factory=list)
    left: list[Mutant] = field(default_factory=list)


def put(tree: Path, file: str, source: str) -> None:
    """Write a source in place of the one there, and forget how that was compiled; links of other copies stay."""
    path = tree / file
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()
    path.with_suffix(".new").write_text(source)
    path.with_suffix(".new").replace(path)


def ended(running: dict[int, float]) -> tuple[int, int]:
    """Wait until one of several processes ends, or kill it at its time; return its id and its exit code."""
    while True:
        for pid, end in running.items():
            done, status = os.waitpid(pid, os.WNOHANG)
            if not done and time.monotonic() < end:
                continue
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)  # what it started, too
            if not done:
                os.waitpid(pid, 0)
            del running[pid]
            return pid, os.waitstatus_to_exitcode(status) if done else -1
        time.sleep(0.02)


def try_each(
    due: list[Mutant],
    originals: dict[str, str],
    trees: Trees,
    begin: Callable[[Mutant, Path], int],
    limit: float,
    until: float,
    output: int,
) -> Tally | None:
    """Try mutants, as many at a time as there are copies of the package.

    Args:
        due: what is tried.
        originals: file, relative to the package, to its source.
        trees: the copies.
        begin: starts the process that tries a mutant, which stands in a copy, and leads a group; returns its id, or 0
            in the process itself, as ``os.fork`` does.
        limit: seconds until a process is killed.
        until: value of the monotonic clock after which none is begun.
        output: where survivors are told as they are found: a descriptor.

    Returns:
        What became of them; ``None`` in a process that ``begin`` forked.
    """
    tally, due = Tally(), list(due)
    running: dict[int, float] = {}
    tries: dict[int, tuple[Mutant, Path]] = {}
    while running or due:
        if due and time.monotonic() > until:
            tally.left, due = due, []
        elif due and trees.free:
            mutant, tree = due.pop(), trees.free.pop()
            put(tree, mutant.file, mutant.source)
            if not (pid := begin(mutant, tree)):
                return None
            running[pid], tries[pid] = time.monotonic() + limit, (mutant, tree)
        else:
            pid, code = ended(running)
            mutant, tree = tries.pop(pid)
            put(tree, mutant.file, originals[mutant.file])
            trees.free.append(tree)
            if code in (NO_TESTS, BROKEN):
                raise SystemExit(f"the tests end with {code} instead of trying {mutant}")
            tally.tried += 1
            if code == FOUND_NOTHING:
                tally.survivors.append(mutant)
                os.write(output, f"survivor, after {tally.tried}: {mutant}\n".encode())
    return tally
