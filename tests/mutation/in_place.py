"""Mutants of function bodies, each in a fork of one process that has collected the tests of a room.

Nothing is imported twice: a fork puts the mutant's code into the functions that have the original's, and runs first the
tests that came to the changed line. A mutant of what an import computes has to be imported: it is left to who asked.
"""

import gc
import inspect
import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType, FunctionType

import coverage
import pytest
from attempts import FOUND_NOTHING, Trees, ended, try_each
from token_mutants import Mutant

Place = tuple[str, int]
"""Qualified name and first line of a function."""
Changes = dict[Place, CodeType]
Plan = list[tuple[FunctionType, CodeType]]


class InPlace:
    """A plug-in of pytest that tries mutants once the tests are collected.

    Args:
        mutants: what is tried.
        originals: file, relative to the package, to its source.
        trees: copies of the package; the tests are those of the first.
        until: value of the monotonic clock after which no mutant is begun.
        output: where survivors are told as they are found: a descriptor.
        answer: file for the outcome: ``{"seconds": float, "tried": int, "survivors": [int], "afresh": [int],
            "left": [int]}``, the numbers of mutants; ``afresh`` are those that have to be imported.
    """

    def __init__(
        self,
        mutants: list[Mutant],
        originals: dict[str, str],
        trees: Trees,
        until: float,
        output: int,
        answer: Path,
    ):
        self.mutants, self.originals, self.trees, self.until = mutants, originals, trees, until
        self.output, self.answer = output, answer
        self.seconds: dict[int, float] = {}
        self.told: Path | None = None
        """File for what the run of all tests says; set in the fork that makes it."""
        self.traced = self._trace()
        self.traced.start()

    def _trace(self) -> coverage.Coverage:
        files = [str(self.trees.first / file) for file in self.originals]
        return coverage.Coverage(data_file=None, include=files, config_file=False)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Try every mutant; a fork returns ``None``, so that pytest goes on to run its tests."""
        self.traced.stop()
        imported = {file: set(_lines(self.traced, self.trees.first / file)) for file in self.originals}
        self.trees.multiply()
        baseline = self.answer.with_suffix(".baseline")
        if not (pid := os.fork()):
            os.setsid()
            return self._measure(baseline)
        began = time.monotonic()
        _, code = ended({pid: began + 1800.0})
        if code != FOUND_NOTHING:
            raise SystemExit(1)
        took, told = time.monotonic() - began, json.loads(baseline.read_text())
        gc.unfreeze()  # ``tests/conftest.py`` hides what is imported from the collector, which finds the functions here
        functions = [one for one in gc.get_objects() if type(one) is FunctionType]
        gc.freeze()
        plans = [_plan(one, self.originals[one.file], imported[one.file], functions) for one in self.mutants]

        def begin(mutant: Mutant, tree: Path) -> int:
            if not (pid := os.fork()):
                os.setsid()
                os.chdir(tree)  # what this process starts imports that copy
                os.environ |= {"PYTHONPATH": str(tree.parent), "PYTHONDONTWRITEBYTECODE": "1"}
                plan = plans[self.mutants.index(mutant)]
                for function, code in plan:
                    function.__code__ = code
                _order(session.items, told, mutant, _lines_of(code for _, code in plan))
            return pid

        due = [one for one, plan in zip(self.mutants, plans, strict=True) if plan]
        tally = try_each(due, self.originals, self.trees, begin, 60.0 + 5 * took, self.until, self.output)
        if tally is None:
            return None
        numbers = {one: number for number, one in enumerate(self.mutants)}
        self.answer.write_text(
            json.dumps(
                {
                    "seconds": took,
                    "tried": tally.tried,
                    "survivors": [numbers[one] for one in tally.survivors],
                    "left": [numbers[one] for one in tally.left],
                    "afresh": [number for number, plan in enumerate(plans) if not plan],
                }
            )
        )
        return True

    def _measure(self, told: Path) -> None:
        """Have the run of all tests say how long each takes, and which lines it comes to."""
        self.told = told
        self.traced = self._trace()
        self.traced.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        if self.told is None:
            return (yield)
        number = item.session.items.index(item)
        self.traced.switch_context(str(number))
        began = time.monotonic()
        result = yield
        self.seconds[number] = time.monotonic() - began
        return result

    def pytest_sessionfinish(self) -> None:
        if self.told is not None:
            self.traced.stop()
            lines = {file: _lines(self.traced, self.trees.first / file) for file in self.originals}
            self.told.write_text(json.dumps({"seconds": self.seconds, "lines": lines}))


def _lines(traced: coverage.Coverage, path: Path) -> dict[int, list[str]]:
    """Return line of a file to the contexts that came to it."""
    return traced.get_data().contexts_by_lineno(str(path))


def _order(items: list[pytest.Item], told: dict, mutant: Mutant, body: set[int]) -> None:
    """Sort tests: those that come to the line, those that come to the function, the others; quick files first."""
    lines = {int(line): {int(one) for one in tests if one} for line, tests in told["lines"][mutant.file].items()}
    near = set().union(*(lines.get(line, set()) for line in body))
    on = lines.get(mutant.number, set())
    seconds = {int(number): took for number, took in told["seconds"].items()}
    tier = [0 if number in on else 1 if number in near else 2 for number in range(len(items))]
    cost: dict[tuple[int, str], float] = {}
    for number, item in enumerate(items):
        file = tier[number], item.nodeid.partition("::")[0]
        cost[file] = cost.get(file, 0.0) + seconds.get(number, 0.0)

    def place(number: int) -> tuple[int, float, str, float]:
        file = items[number].nodeid.partition("::")[0]
        return tier[number], cost[tier[number], file], file, seconds.get(number, 0.0)

    items[:] = [items[number] for number in sorted(range(len(items)), key=place)]


def _plan(mutant: Mutant, original: str, imported: set[int], functions: list[FunctionType]) -> Plan:
    """Return what to change in this process; nothing where the mutant has to be imported."""
    changes = changed_code(original, mutant.source, mutant.file)
    plan = [
        (one, changes[_place(one.__code__)])
        for one in functions
        if _place(one.__code__) in changes and one.__code__.co_filename.endswith(mutant.file)
    ]
    every = {_place(one.__code__) for one, _ in plan} == set(changes)
    return plan if every and not _lines_of(changes.values()) & imported else []


def changed_code(original: str, mutant: str, file: str) -> Changes:
    """Return the functions that a mutant changes and what their code becomes; none where it changes more than those."""
    changes: Changes = {}

    def same(old: CodeType, new: CodeType) -> bool:
        if old == new:
            return True
        if old.co_flags & inspect.CO_OPTIMIZED and old.co_freevars == new.co_freevars:
            changes[_place(old)] = new
            return True
        inner = [(a, b) for a, b in zip(old.co_consts, new.co_consts, strict=False) if isinstance(a, CodeType)]
        plain = [repr([one for one in code.co_consts if not isinstance(one, CodeType)]) for code in (old, new)]
        outside = old.co_code == new.co_code and plain[0] == plain[1]
        return outside and all(isinstance(b, CodeType) and same(a, b) for a, b in inner)

    return changes if same(compile(original, file, "exec"), compile(mutant, file, "exec")) else {}


def _place(code: CodeType) -> Place:
    return code.co_qualname, code.co_firstlineno


def _lines_of(codes: Iterable[CodeType]) -> set[int]:
    """Return the lines of functions' bodies: where they are defined at import is none of them."""
    lines: set[int] = set()
    for code in codes:
        waiting = [code]
        while waiting:
            one = waiting.pop()
            lines |= {line for _, _, line in one.co_lines() if line}
            waiting += [inner for inner in one.co_consts if isinstance(inner, CodeType)]
        lines.discard(code.co_firstlineno)
    return lines
