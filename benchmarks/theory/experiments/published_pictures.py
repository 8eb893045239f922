"""The pictures that the authors' notebook stores: which form of the constant steps gives which of them."""

import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..batched_solver import CORES, solve
from ..figures import Frame, canvas, colors
from ..methods import Method, make_method, record_grid, replayed
from ..problems import published_decreasing, published_deterministic, published_importance
from ..sampling import Floats, make_sampling
from ..step_sizes import STEP_SIZES, StepSize, decreasing
from .base import EXPERIMENTS, Experiment

VERSIONS = ("theorem-3.2", "theorem-3.2-older", "theorem-3.2-first-terms")
PROBLEMS = {
    "deterministic": published_deterministic,
    "importance": published_importance,
    "decreasing": published_decreasing,
}
SAMPLINGS = {"full": "full", "importance": "importance-unweighted"}
"""Samplings of the curves whose name says one; the others draw uniformly."""
PIXELS = 1.5
"""How far the end that was read off a picture may be from that of the curve."""


class Curve(NamedTuple):
    """A curve of a stored picture: cell of the notebook, setting, printed step size and radius, its end, its scale."""

    cell: int
    problem: str
    line: str
    lam: float
    steps: int
    trials: int
    gamma: float
    rho: float
    end: float
    decade: float

    @property
    def label(self) -> str:
        """Name in tables and figures."""
        return f"{self.line}, λ = {self.lam:g}"


def stored_curves() -> list[Curve]:
    """Read the facts on every curve, in the order in which the notebook draws their samples."""
    facts = tomllib.loads(Path(__file__).parents[1].joinpath("published_pictures.toml").read_text())
    return [Curve(**dict(zip(facts["columns"], row, strict=True))) for row in facts["rows"]]


def measure(quick: bool) -> Frame:
    """Replay every cell with every version, each from the seed, one curve and trial after another as the authors do."""
    curves = stored_curves()
    cells = [[curve for curve in curves if curve.cell == cell] for cell in dict.fromkeys(one.cell for one in curves)]
    pairs = [(version, cell, quick) for cell in cells for version in VERSIONS]
    with ThreadPoolExecutor(CORES) as pool:  # a replay has one row of iterates at a time, and leaves a core idle
        return pd.concat(pool.map(_replay, *zip(*pairs, strict=True)), ignore_index=True)


def _replay(version: str, curves: list[Curve], quick: bool) -> Frame:
    problem, rng = PROBLEMS[curves[0].problem]()
    sampling = {curve.line: make_sampling(SAMPLINGS.get(curve.line, "uniform"), problem) for curve in curves}
    constant = STEP_SIZES.get(version)
    rules = {curve.line: decreasing(constant) if curve.line == "decreasing" else constant for curve in curves}
    steps = min(curves[0].steps, 300) if quick else curves[0].steps
    record = record_grid(steps, 60, log=False)

    def method(curve: Curve, rule: StepSize) -> Method:
        return make_method(problem, sampling[curve.line], "unified_sam", rule, steps, lam=curve.lam)

    def run(*these: Curve) -> Floats:
        """Return f - f* of some curves over one trial, (curves, R)."""
        drawn, methods = sampling[these[0].line], [method(curve, rules[curve.line]) for curve in these]
        return solve(problem, drawn, methods, record=record, streams=replayed(rng, drawn)).gap[:, 0]

    if curves[0].line == "full":
        means = list(run(*curves))
    else:
        means = [np.mean([run(curve)[0] for _ in range(curve.trials)], axis=0) for curve in curves]
    parts = []
    for curve, mean in zip(curves, means, strict=True):
        gamma, rho, _ = (float(values[0]) for values in method(curve, constant).schedule(np.zeros(1)))
        stored = {"printed_gamma": curve.gamma, "printed_rho": curve.rho, "end": curve.end, "decade": curve.decade}
        part = pd.DataFrame({"step": record, "relative": mean / mean[0]})
        parts.append(part.assign(cell=curve.cell, curve=curve.label, version=version, gamma=gamma, rho=rho, **stored))
    return pd.concat(parts)


def draw(data: Frame) -> Figure:
    cells = list(dict.fromkeys(data["cell"]))
    figure = canvas(columns=4, rows=(len(cells) + 3) // 4, width=2.9, height=2.6)
    dashes = ["-", "--", ":", "-.", (0, (1, 2))]
    for axes in figure.axes[len(cells) :]:
        axes.set_visible(False)
    for axes, cell in zip(figure.axes, cells, strict=False):
        part = data[data["cell"] == cell]
        axes.set(yscale="log", title=f"cell {cell}")
        names = {name: dashes[k % len(dashes)] for k, name in enumerate(dict.fromkeys(part["curve"]))}
        for version, color in colors(VERSIONS).items():
            for name, dash in names.items():
                line = part[(part["version"] == version) & (part["curve"] == name)].drop_duplicates("step")
                line = line[line["relative"] < 100]  # what diverges leaves the picture
                axes.plot(line["step"], line["relative"], color=color, linestyle=dash, linewidth=1)
        stored = part.drop_duplicates(["curve", "printed_gamma"])
        axes.plot([part["step"].max()] * len(stored), stored["end"], "kx", markersize=5)
        axes.ticklabel_format(axis="x", style="sci", scilimits=(0, 0))
    for version, color in colors(VERSIONS).items():
        figure.axes[0].plot([], [], color=color, label=str(version))
    figure.axes[0].plot([], [], "kx", label="end in the stored picture")
    figure.axes[0].legend(fontsize=5.5)
    for axes in figure.axes[::4]:
        axes.set_ylabel("(f - f*) / (f0 - f*)")
    return figure


def matches(data: Frame) -> Frame:
    """Say of every stored curve which versions have its printed step size and radius, and how their replay ends.

    Returns:
        One row for each curve: cell, curve, printed gamma, ``version`` (texts joined), the stored end, that of the
        replay, and by how many pixels they differ (NaN unless exactly one version matches).
    """
    ends = data[data["step"] == data.groupby(["cell"])["step"].transform("max")]
    rows = []
    facts = ["cell", "curve", "printed_gamma", "printed_rho", "end", "decade"]
    for (cell, curve, gamma, rho, end, decade), part in ends.groupby(facts, sort=False):
        same = part[np.isclose(part["gamma"], gamma, rtol=1e-9) & np.isclose(part["rho"], rho, rtol=1e-9)]
        replay = float(same["relative"].iloc[0]) if len(same) == 1 else np.nan
        rows.append(
            {
                "cell": cell,
                "curve": curve,
                "gamma": gamma,
                "version": ", ".join(same["version"]),
                "stored": end,
                "replay": replay,
                "pixels": decade * abs(np.log10(replay / end)),
            }
        )
    return pd.DataFrame(rows)


def findings(data: Frame) -> list[str]:
    table = matches(data)
    rows = ["| cell | curve | printed γ | version | picture ends at | replay ends at |", "|---|---|---|---|---|---|"]
    rows += [
        f"| {row.cell} | {row.curve} | {row.gamma:.5g} | {row.version or '-'} | {row.stored:.3g} | {row.replay:.3g} |"
        for row in table.itertuples()
    ]
    one = table[table["replay"].notna()]
    wrong = [f"cell {row.cell}, {row.curve}" for row in one[one["pixels"] > PIXELS].itertuples()]
    open_ = [f"cell {row.cell}, {row.curve}" for row in table[table["replay"].isna()].itertuples()]
    said = [
        "\n".join(rows),
        f"{len(one)} of {len(table)} stored curves print the step size and radius of exactly one version; the replay "
        f"of {len(one) - len(wrong)} of them ends where the picture does, to within {PIXELS} of its pixels"
        + (f", but not of {'; '.join(wrong)}" if wrong else "")
        + (f". Undecided: {'; '.join(open_)}" if open_ else "")
        + ".",
    ]
    by = one.groupby("version", sort=False)["cell"].unique()
    for version, cells in by.items():
        said.append(f"`{version}` gives cells {', '.join(map(str, cells))}.")
    return said


EXPERIMENTS.register(
    Experiment(
        "published-pictures",
        "The authors' stored pictures",
        "The notebook of the paper's code stores pictures and prints the constants of each. The source beside them "
        "has one form of Theorem 3.2; the pictures come from three: that one (`theorem-3.2`), one that is commented "
        "out (`theorem-3.2-older`), and the first terms of its minima alone (`theorem-3.2-first-terms`). Here every "
        "cell is replayed with each of them, from the authors' seed and in their order of random draws, importance "
        "sampling without weights as in their code. Dashes tell the curves of a cell apart, in the order of the "
        "table; crosses are the ends read off the stored pictures. Cells 17, of which 16 is a part, and 19 are the "
        "authors' own comparison of the older form with the newer. Cell 12 (SGD) is not here: its loss and its "
        "gradient disagree. `sambench theory run importance --step-size NAME` and `decreasing --step-size NAME` run "
        "the unbiased experiments with any version.",
        measure,
        draw,
        findings,
    )
)
