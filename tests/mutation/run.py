"""Are the tests tested? Runs mutants against the tests of their own room, and names those that nothing finds.

    python tests/mutation/run.py [--sample N] [--seed S] [--room NAME] [--again LOG] [--minutes M] [--workers W]

``rooms.toml`` says which tests have to find mutants of which files, and ``survivors.toml`` which mutants change nothing
that matters, and why. Each mutant is written into a copy of the package, where a process forked from this one, which
has imported the large libraries, runs the tests until one fails. It exits with 1 where fewer than 95 % of those that
are not listed are killed.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
import tomllib
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from attempts import BROKEN, ROOT, Tally, Trees, ended, try_each
from in_place import InPlace
from token_mutants import Mutant, mutants

HERE = Path(__file__).parent
LEAST = 0.95
HEAVY = (
    "matplotlib.pyplot", "numpy", "optuna", "pandas", "pyarrow.parquet", "pydantic", "scipy.stats",
    "sklearn.datasets", "statsmodels.api", "timm", "torch", "torchvision",
)  # fmt: skip
OPTIONS = ("-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", "-W", "ignore::pytest.PytestAssertRewriteWarning")


def begin(tree: Path, tests: list[str], log: str | Path = os.devnull, plugins: Callable[[], list] | None = None) -> int:
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
        os.environ["PYTHONPATH"] = str(tree.parent)
        if plugins is None:  # a mutant: the compiled files are those of the package as it is
            sys.dont_write_bytecode = True
            os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        os._exit(pytest.main([*OPTIONS, *tests], plugins=plugins() if plugins else None))
    except BaseException:
        traceback.print_exc()
        os._exit(BROKEN)


def try_room(
    name: str, tests: list[str], due: list[Mutant], originals: dict[str, str], trees: Trees, until: float
) -> Tally:
    """Try mutants of a room, those that can be put in place first."""
    answer, log = trees.first.with_name(f"{name}.json"), trees.first.with_name("log")
    output, began = os.dup(1), time.monotonic()
    pid = begin(trees.first, tests, log, lambda: [InPlace(due, originals, trees, until, output, answer)])
    _, code = ended({pid: began + 1e5})
    if not answer.exists():
        raise SystemExit(f"{log.read_text()}\n{name}: its tests end with {code} without any mutant")
    told = json.loads(answer.read_text())
    survivors, left, afresh = ([due[number] for number in told[key]] for key in ("survivors", "left", "afresh"))
    print(f"{name}: {told['tried']} tried in place, {len(survivors)} survive; {len(afresh)} to be imported", flush=True)
    trees.multiply()
    limit = 60.0 + 5 * told["seconds"]
    rest = try_each(afresh, originals, trees, lambda _, tree: begin(tree, tests), limit, until, output)
    assert rest is not None
    os.close(output)
    tally = Tally(told["tried"] + rest.tried, survivors + rest.survivors, left + rest.left)
    killed = tally.tried - len(tally.survivors)
    print(f"{name}: {killed} of {tally.tried} killed, {time.monotonic() - began:.0f} s", flush=True)
    return tally


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
    until = time.monotonic() + 60 * asked.minutes
    tallies = []
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        trees = Trees(Path(folder), asked.workers)
        for name in dict.fromkeys(name for name, _ in due):
            own = [one for room, one in due if room == name]
            files = {one.file: originals[one.file] for one in own}
            tallies.append(try_room(name, rooms[name]["tests"], own, files, trees, until))
    count, left = sum(one.tried for one in tallies), sum(len(one.left) for one in tallies)
    killed = count - sum(len(one.survivors) for one in tallies)
    print(f"{killed} of {count} mutants killed, {left} not tried, {len(known)} listed as of no effect")
    return 0 if killed >= LEAST * count else 1


if __name__ == "__main__":
    sys.exit(main())
