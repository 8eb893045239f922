"""Are the tests tested? Runs mutants against the tests of their own room, and names those that nothing finds.

    python tests/mutation/run.py [--sample N] [--seed S] [--room NAME] [--again LOG] [--minutes M] [--workers W]

``rooms.toml`` says which tests have to find mutants of which files, and ``survivors.toml`` which mutants change nothing
that matters, and why. Each mutant is written into a copy of the package, where a process forked from this one, which
has imported the large libraries, runs the tests until one fails. It exits with 1 where fewer than 95 % of those that
are not listed are killed.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import traceback
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from token_mutants import Mutant, mutants

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LEAST = 0.95
HEAVY = (
    "matplotlib.pyplot", "numpy", "optuna", "pandas", "pyarrow.parquet", "pydantic", "scipy.stats", "seaborn",
    "sklearn.datasets", "statsmodels.api", "timm", "torch", "torchvision",
)  # fmt: skip
OPTIONS = ("-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", "-W", "ignore::pytest.PytestAssertRewriteWarning")
FOUND_NOTHING, NO_TESTS, BROKEN = 0, 5, 70


@dataclass
class Attempt:
    """A mutant that is being tried, in a process of its own."""

    mutant: Mutant | None
    room: str
    tree: Path
    began: float
    limit: float


class Trees:
    """Copies of the package, each for one process at a time."""

    def __init__(self, folder: Path, count: int):
        self.free = [folder / str(number) / "sambench" for number in range(count)]
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
        for name in listed.decode().rstrip("\0").split("\0"):
            target = self.free[0] / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)

    def multiply(self) -> None:
        """Make the other copies from the first, compiled files included."""
        for other in self.free[1:]:
            shutil.copytree(self.free[0], other, copy_function=os.link)


def put(tree: Path, file: str, source: str) -> None:
    """Write a source in place of the one there, and forget how that was compiled; links of other copies stay."""
    path = tree / file
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()
    path.with_suffix(".new").write_text(source)
    path.with_suffix(".new").replace(path)


def begin(tree: Path, tests: list[str], log: str | Path = os.devnull, *, compiled: bool = False) -> int:
    """Fork a process that runs tests until one fails; return its id, which is that of its group."""
    if pid := os.fork():
        return pid
    try:
        os.setsid()
        told = os.open(log, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        for stream in range(3):
            os.dup2(told, stream)
        os.chdir(tree)
        sys.modules["__main__"] = ModuleType("__main__")  # processes that tests spawn must not import this file
        sys.path[:] = [str(tree.parent), *(p for p in sys.path if Path(p) != HERE)]
        sys.dont_write_bytecode = not compiled
        os.environ.update({"PYTHONPATH": str(tree.parent)} | ({} if compiled else {"PYTHONDONTWRITEBYTECODE": "1"}))
        os._exit(pytest.main([*OPTIONS, *tests]))
    except BaseException:
        traceback.print_exc()
        os._exit(BROKEN)


def ended(running: dict[int, Attempt]) -> tuple[Attempt, int]:
    """Wait until a process ends or its time is over; return what it tried and its exit code."""
    while True:
        for pid, attempt in running.items():
            done, status = os.waitpid(pid, os.WNOHANG)
            if not done and time.monotonic() < attempt.began + attempt.limit:
                continue
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)  # what it started, too
            if not done:
                os.waitpid(pid, 0)
            return running.pop(pid), os.waitstatus_to_exitcode(status) if done else -1
        time.sleep(0.02)


def baseline(trees: Trees, rooms: dict[str, dict], names: list[str]) -> dict[str, float]:
    """Run the tests of rooms on the package as it is; return the seconds that they took."""
    took = {}
    for name in names:
        began = time.monotonic()
        log = trees.free[0].with_name("log")
        pid = begin(trees.free[0], rooms[name]["tests"], log, compiled=True)
        _, code = ended({pid: Attempt(None, name, trees.free[0], began, 1800.0)})
        if code != FOUND_NOTHING:
            raise SystemExit(f"{log.read_text()}\n{name}: its tests end with {code} without any mutant")
        took[name] = time.monotonic() - began
        print(f"{name}: its tests take {took[name]:.0f} s", flush=True)
    return took


def all_mutants(rooms: dict[str, dict]) -> list[tuple[str, Mutant]]:
    found = []
    for name, room in rooms.items():
        for pattern in room["files"]:
            for path in sorted(ROOT.glob(pattern)):
                file = path.relative_to(ROOT).as_posix()
                found += [(name, mutant) for mutant in mutants(file, path.read_text())]
    return found


def key(mutant: Mutant) -> tuple[str, str, str]:
    return mutant.file, mutant.line, mutant.becomes


def listed(every: list[tuple[str, Mutant]]) -> set[tuple[str, str, str]]:
    """Read the mutants that do not matter; each of them must be one."""
    entries = tomllib.loads((HERE / "survivors.toml").read_text()).get("survivor", [])
    keys = {(entry["file"], entry["line"], entry["becomes"]) for entry in entries if entry["reason"]}
    if gone := keys - {key(mutant) for _, mutant in every}:
        raise SystemExit(
            "survivors.toml lists what is no mutant:\n" + "\n".join(" | ".join(one) for one in sorted(gone))
        )
    return keys


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sample", type=int, help="number of mutants, drawn at random; all by default")
    parser.add_argument("--seed", type=int, default=0, help="of the sample, and of the order")
    parser.add_argument("--room", action="append", help="of rooms.toml; may be repeated; all by default")
    parser.add_argument("--again", type=Path, help="only mutants that the output of an earlier call names")
    parser.add_argument("--minutes", type=float, default=60.0, help="when to begin no further mutant")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes at a time")
    asked = parser.parse_args()
    rooms = tomllib.loads((HERE / "rooms.toml").read_text())
    every = all_mutants(rooms)
    known = listed(every)
    due = [(name, one) for name, one in every if key(one) not in known and name in (asked.room or rooms)]
    if asked.again:
        named = asked.again.read_text()
        due = [(name, one) for name, one in due if str(one).partition("\n")[2] + "\n" in named]
    random.Random(asked.seed).shuffle(due)
    due = due[: asked.sample]
    originals = {one.file: (ROOT / one.file).read_text() for _, one in due}
    for module in HEAVY:
        import_module(module)
    end, count, survivors = time.monotonic() + 60 * asked.minutes, 0, []
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        trees = Trees(Path(folder), asked.workers)
        took = baseline(trees, rooms, sorted({name for name, _ in due}))
        trees.multiply()
        running: dict[int, Attempt] = {}
        while running or (due and time.monotonic() < end):
            if due and trees.free and time.monotonic() < end:
                name, mutant = due.pop()
                put(tree := trees.free.pop(), mutant.file, mutant.source)
                pid = begin(tree, rooms[name]["tests"])
                running[pid] = Attempt(mutant, name, tree, time.monotonic(), 60.0 + 5 * took[name])
                continue
            attempt, code = ended(running)
            assert attempt.mutant is not None
            put(attempt.tree, attempt.mutant.file, originals[attempt.mutant.file])
            trees.free.append(attempt.tree)
            count += 1
            if code in (NO_TESTS, BROKEN):
                raise SystemExit(f"{attempt.room}: its tests end with {code}")
            if code == FOUND_NOTHING:
                survivors.append(attempt.mutant)
                print(
                    f"survivor {len(survivors)}, after {count} of {count + len(running) + len(due)}:",
                    attempt.mutant,
                    flush=True,
                )
    killed = count - len(survivors)
    print(f"{killed} of {count} mutants killed, {len(due)} not tried, {len(known)} listed as of no effect")
    return 0 if killed >= LEAST * count else 1


if __name__ == "__main__":
    sys.exit(main())
