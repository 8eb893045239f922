"""An experiment: data from a solver, then a figure and findings from data; each is one file with three functions."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from inspect import signature
from multiprocessing import get_context
from pathlib import Path
from typing import Any

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
        measure: function that runs the experiment, a small version if its first argument is true, and returns the
            data; its other arguments are the settings that it takes, by the names of the command line's options.
        draw: function that draws the figure from the data only.
        findings: function that returns sentences with the numbers of the data, in Markdown.
    """

    name: str
    title: str
    about: str
    measure: Callable[..., Frame]
    draw: Callable[[Frame], Figure]
    findings: Callable[[Frame], list[str]]

    @property
    def summary(self) -> str:
        """One line: the title."""
        return self.title

    @property
    def function(self) -> Callable[..., Frame]:
        """What defines it: how it measures."""
        return self.measure

    @property
    def settings(self) -> list[str]:
        """What may be set: the arguments of ``measure`` after the first."""
        return list(signature(self.measure).parameters)[1:]


EXPERIMENTS: Registry[Experiment] = Registry("theory experiment", __name__.rpartition(".")[0])
"""The experiments, by name: ``EXPERIMENTS.register(Experiment(...))`` adds one."""


def run_experiment(name: str, out: Path, quick: bool = False, **settings: Any) -> list[Path]:
    """Run an experiment and write its data (Parquet) and its figure (PNG, SVG).

    Args:
        name: name of the experiment and of its files, which is followed by the settings that were given.
        out: folder of the files.
        quick: whether to run the small version.
        settings: arguments of its ``measure``; one that is None is left to the experiment.

    Returns:
        The three paths.

    Raises:
        ConfigError: no such experiment, or a setting that it does not have.
        StateError: the folder cannot be written.
    """
    experiment = EXPERIMENTS.get(name)
    given = {setting: value for setting, value in settings.items() if value is not None}
    if unknown := given.keys() - set(experiment.settings):
        raise ConfigError(
            f"theory experiment {name!r} does not take {', '.join(map(option, sorted(unknown)))}; it takes: "
            f"{', '.join(map(option, experiment.settings)) or 'no settings'}"
        )
    check_writable(out)  # before minutes of work, not after
    words = [_in_words(setting, value) for setting, value in given.items()]
    stem = "-".join([name, *words]).replace("/", "_")
    return write_run(experiment.measure(quick, **given), experiment.draw, out / stem, " ".join(words))


def run_experiments(out: Path, quick: bool = False, workers: int = 1) -> Iterator[list[Path]]:
    """Run every experiment, so many at a time in processes of their own; yield the paths of each, in order of names.

    Raises:
        StateError: the folder cannot be written.
    """
    if workers == 1:
        yield from (run_experiment(name, out, quick) for name in EXPERIMENTS.names())
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"))
    try:
        yield from pool.map(partial(run_experiment, out=out, quick=quick), EXPERIMENTS.names())
    finally:
        pool.shutdown(cancel_futures=True)


def option(setting: str) -> str:
    """Return the command line's name of a setting."""
    return "--set" if setting == "hyper" else f"--{setting.replace('_', '-')}"


def _in_words(setting: str, value: Any) -> str:
    """Return a setting as files and figures name it: ``ridge``, ``steps=500``, ``lam=0,0.5``."""
    if isinstance(value, Problem):
        return value.name
    if isinstance(value, Mapping):
        return "-".join(f"{key}={one}" for key, one in value.items())
    texts = [
        f"{one:g}" if isinstance(one, float) else str(one) for one in (value if isinstance(value, tuple) else [value])
    ]
    return f"{setting.replace('_', '-')}={','.join(texts)}"


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


def ran_by(data: Frame) -> str:
    """Say which programs ran the lines: the column ``program``."""
    return f"Run by {', '.join(dict.fromkeys(data['program']))}."
