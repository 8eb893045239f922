"""An experiment: data from a solver, then a figure and findings from data; each is one file with three functions."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ....atomic import atomic_write_bytes, check_writable
from ....errors import ConfigError, DataError
from ....registry import Registry
from ..batched_solver import Trajectories
from ..figures import Frame, save, styled
from ..methods import Method
from ..problems import Problem


@dataclass(frozen=True)
class Experiment:
    """One figure of the theory bench.

    Args:
        name: name on the command line and of the files.
        title: heading of its section on the page.
        about: what is run and what to look for, in Markdown.
        measure: function that runs the experiment, a small version if its argument is true, and returns the data.
        draw: function that draws the figure from the data only.
        findings: function that returns sentences with the numbers of the data, in Markdown.
        measure_on: like ``measure`` on a given problem, for experiments that make sense on any; ``None`` for others.
    """

    name: str
    title: str
    about: str
    measure: Callable[[bool], Frame]
    draw: Callable[[Frame], Figure]
    findings: Callable[[Frame], list[str]]
    measure_on: Callable[[Problem, bool], Frame] | None = None

    @property
    def summary(self) -> str:
        """One line: the title."""
        return self.title

    @property
    def function(self) -> Callable[[bool], Frame]:
        """What defines it: how it measures."""
        return self.measure


EXPERIMENTS: Registry[Experiment] = Registry("theory experiment", __name__.rpartition(".")[0])
"""The experiments, by name: ``EXPERIMENTS.register(Experiment(...))`` adds one."""


def run_experiment(name: str, out: Path, quick: bool = False, problem: Problem | None = None) -> list[Path]:
    """Run an experiment and write its data (Parquet) and its figure (PNG, SVG).

    Args:
        name: name of the experiment and of its files; on another problem the files are called ``name-problem``.
        out: folder of the files.
        quick: whether to run the small version.
        problem: problem to run on, instead of the experiment's own.

    Returns:
        The three paths.

    Raises:
        ConfigError: no such experiment, or one that is tied to its own problems.
        StateError: the folder cannot be written.
    """
    experiment = EXPERIMENTS.get(name)
    measure, stem = experiment.measure, name
    if problem is not None:
        if experiment.measure_on is None:
            raise ConfigError(
                f"theory experiment {name!r} runs on problems of its own and was given {problem.name!r}; those that "
                f"run on any problem: {', '.join(e.name for e in EXPERIMENTS.all() if e.measure_on)}"
            )
        measure, stem = partial(experiment.measure_on, problem), f"{name}-{problem.name}"
    check_writable(out)  # before minutes of work, not after
    return write_run(measure(quick), experiment.draw, out / stem, "" if problem is None else problem.name)


def write_run(data: Frame, draw: Callable[[Frame], Figure], stem: Path, title: str = "") -> list[Path]:
    """Write data (``stem.parquet``) and their figure (PNG, SVG), and return the three paths."""
    path, buffer = stem.with_name(f"{stem.name}.parquet"), io.BytesIO()
    data.to_parquet(buffer, index=False, compression="zstd")
    atomic_write_bytes(path, buffer.getvalue())
    with styled():
        figure = draw(data)
        if title:
            figure.suptitle(title)
        return [path, *save(figure, stem)]


def read_data(name: str, folder: Path) -> Frame:
    """Return the data of an experiment from a folder.

    Raises:
        DataError: the folder has no data of the experiment.
    """
    path = folder / f"{name}.parquet"
    if not path.is_file():
        raise DataError(f"{path} does not exist; make it with: sambench theory run {name} --out {folder}")
    return pd.read_parquet(path)


def tidy(result: Trajectories, methods: Sequence[Method], **columns: object) -> Frame:
    """Return one row for each method, trial and recorded step, with f - f* and the same relative to the start."""
    count, trials, steps = result.gap.shape
    data = pd.DataFrame(
        {
            "method": np.repeat([method.label for method in methods], trials * steps),
            "trial": np.tile(np.repeat(np.arange(trials), steps), count),
            "step": np.tile(result.steps, count * trials),
            "gap": result.gap.ravel(),
            "relative": (result.gap / result.gap[:, :, :1]).ravel(),
        }
    )
    return data.assign(**columns)


def at_end(data: Frame, by: list[str], column: str = "relative") -> Frame:
    """Return the mean over trials at the last step, for each group."""
    last = data[data["step"] == data.groupby(by)["step"].transform("max")]
    return last.groupby(by, sort=False)[column].mean()
