"""The evidence that a study is judged by: test errors of the runs of its suite and what was measured, by seed."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import StateError
from ...results.records.store import Store
from ...results.statistics.pairs import LEAST_RUNS
from ...results.tables.boards import Board, Boards, Section, gather
from ...results.tables.rows import Row
from ..suites.files import AT_SCALE

BySeed = dict[int, float]
"""Seed -> value of the run, such as its test error in percent; a run that diverged has that of guessing."""


class MissingError(StateError):
    """A run, or a measurement of one, that the study needs is not there yet."""


class Evidence:
    """The rows of a suite, found by what they are.

    Args:
        boards: all tables of a store.
        suite: name of the suite.
    """

    def __init__(self, boards: Boards, suite: str) -> None:
        found = [board for board in boards.boards if board.manifest and board.manifest.name == suite]
        self.board: Board | None = found[0] if found else None
        self.suite = suite
        self.diverged: dict[str, str] = {}
        """Label of a row that was asked for, and has runs that diverged -> how many, ``2 of 10``."""

    @property
    def at_scale(self) -> bool:
        """Whether the suite is one at the size of the papers."""
        return self.suite.endswith(AT_SCALE)

    @classmethod
    def of(cls, results: str | Path, suite: str) -> "Evidence":
        """Read a results folder."""
        return cls(gather(Store(results)), suite)

    def row(self, variant: str, track: str = "", **settings: Any) -> Row:
        """Find the one row that fits.

        Args:
            variant: its variant.
            track: ``E``, ``G`` or ``T``; any by default.
            **settings: fields of the spec, hyper-parameters, or fields that the whole workload shares. ``None`` stands
                for what is absent: the setting has the default that specs leave out.

        Raises:
            MissingError: no row fits, or one that does lacks runs that the manifest promises.
            StateError: several rows fit.
        """
        if self.board is None or self.board.missing:
            raise MissingError(f"runs of suite {self.suite!r} are missing")
        wanted = {"variant": variant, **settings}
        tables = [
            one
            for one in self.board.sections
            if not one.reference and track in ("", one.track.name if one.track else "")
        ]
        found = {row.runs: row for one in tables for row in one.workload.rows if _fits(one, row, wanted)}
        if len(found) != 1:
            kind = MissingError if not found else StateError
            raise kind(
                f"suite {self.suite!r} has {len(found)} rows with {wanted}{f' on track {track}' if track else ''}"
            )
        row = next(iter(found.values()))
        if row.diverged:
            self.diverged[row.label] = f"{row.diverged} of {row.n}"
        return row

    def errors(self, variant: str, track: str = "", **settings: Any) -> BySeed:
        """Return the test errors in percent of the row that :meth:`row` finds, by seed."""
        row = self.row(variant, track, **settings)
        return {seed: 100 * (1 - accuracy) for seed, accuracy in zip(row.seeds, row.accuracies, strict=True)}

    def measured(self, label: str, variant: str, track: str = "", **settings: Any) -> BySeed:
        """Return the first value of a measure for the row that :meth:`row` finds, by seed; none of diverged runs.

        Args:
            label: the measure with the settings that are not at their default, as in ``lambda_max[samples=512]``; of
                weights on the way with the epochs, as in ``twin@10``.
            variant: as for :meth:`row`, like the rest.
            track: as for :meth:`row`.
            **settings: as for :meth:`row`.

        Raises:
            MissingError: a run of the row was not measured; or as :meth:`row`.
            StateError: all runs diverged; or as :meth:`row`.
        """
        row = self.row(variant, track, **settings)
        found = self.measured_in_part(label, variant, track, **settings)
        if len(found) < row.n - row.diverged:
            raise MissingError(f"{label} is a number for {len(found)} of {row.n} runs of {row.label} of {self.suite!r}")
        if not found:
            raise StateError(f"all runs of {row.label} of {self.suite!r} diverged: nothing of them is measured")
        return found

    def measured_in_part(self, label: str, variant: str, track: str = "", **settings: Any) -> BySeed:
        """Return what :meth:`measured` does for the runs that have a number: some measures do not exist for every
        network.

        Raises:
            MissingError: a run of the row was not measured; or as :meth:`row`.
        """
        row = self.row(variant, track, **settings)
        sections = self.board.sections if self.board else ()
        values = {run: of[label] for one in sections for run, of in one.measured.items() if label in of}
        done = [run for run in row.runs if run in values]
        if len(done) < row.n - row.diverged:
            raise MissingError(f"{label} is measured of {len(done)} of {row.n} runs of {row.label} of {self.suite!r}")
        pairs = ((seed, values.get(run)) for seed, run in zip(row.seeds, row.runs, strict=True))
        return {seed: value for seed, value in pairs if value is not None}


def within_seed(*terms: tuple[float, BySeed]) -> NDArray[np.float64]:
    """Combine errors seed by seed: Σ factor · error, over the seeds that all of them have.

    Args:
        *terms: (factor, errors by seed), such as ``(1, sgd), (-1, sam)`` for the gain of SAM over SGD.

    Raises:
        StateError: fewer than three seeds have them all, which are too few for an interval.

    Example:
        >>> within_seed((1, {0: 3.0, 1: 4.0, 2: 1.0}), (-1, {0: 2.5, 1: 3.0, 2: 1.0, 3: 1.0})).tolist()
        [0.5, 1.0, 0.0]
    """
    seeds: Sequence[int] = sorted(set.intersection(*(set(errors) for _, errors in terms)))
    if len(seeds) < LEAST_RUNS:
        raise StateError(
            f"a verdict takes {LEAST_RUNS} seeds whose runs have all that it compares, and there are {len(seeds)}: "
            "give the suite more"
        )
    return np.array([sum(factor * errors[seed] for factor, errors in terms) for seed in seeds])


def log_ratio(first: BySeed, second: BySeed) -> NDArray[np.float64]:
    """Return ln(first / second) of positive values, over the seeds that both have.

    Raises:
        StateError: a value is not positive, or fewer than three seeds have both.

    Example:
        >>> log_ratio({0: 4.0, 1: 2.0, 2: 1.0}, {0: 1.0, 1: 4.0, 2: 1.0}).round(2).tolist()
        [1.39, -0.69, 0.0]
    """
    if wrong := sorted(value for values in (first, second) for value in values.values() if not value > 0):
        raise StateError(f"a ratio takes positive values, and a measurement is {wrong[0]:g}")
    return within_seed((1, {seed: math.log(first[seed] / second[seed]) for seed in first.keys() & second.keys()}))


def _fits(section: Section, row: Row, wanted: dict[str, Any]) -> bool:
    has = {**section.workload.shared, **{k: v for k, v in row.spec.items() if k != "hyper"}, **row.spec["hyper"]}
    return all(has.get(key) == value for key, value in wanted.items())
