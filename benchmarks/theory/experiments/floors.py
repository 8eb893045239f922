r"""What a constant radius leaves: where SAM converges, and where it stops at a floor (Si and Yun 2023).

Deterministic steps, f beta-smooth:

- *Strongly convex.* On :math:`\frac{\lambda}{2} x^2` the floor is that of the 2-cycle, :math:`\frac{\lambda}{2} a^2`
  with :math:`a = \eta\rho\lambda / (2 - \eta\lambda)`. It falls as eta squared, so that with
  :math:`\eta \propto \log T / T` the gap is of order :math:`1/T^2` up to logarithms.
- *Convex.* Perturbed and plain gradient satisfy :math:`\langle g, h \rangle \ge \|g\|^2`, so a step gains at least
  :math:`\eta (1 - \beta\eta) \|g\|^2 - \eta^2 \beta^3 \rho^2`; for :math:`\eta \le 1/(2\beta)` the mean of
  :math:`\|g\|^2` over T steps is at most :math:`2\Delta/(\eta T) + 2 \eta \beta^3 \rho^2`, with the best eta of order
  :math:`T^{-1/2}`.
- *Not convex.* The mean is at most :math:`2\Delta/(\eta T) + \beta^2 \rho^2`, and no more can be said: on a wave SAM
  rests where the slope is :math:`\beta\rho |\sin c| / c` for :math:`c = w\rho`, with gradients that do not vanish.

On single samples there is a floor of order rho squared in every class: components that pull in opposite directions are
perturbed in opposite directions, and SAM descends on the mean of :math:`f_i(x \pm \rho)`, whose minimizer is not that
of f.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from ..batched_solver import solve
from ..figures import GUARANTEE, Frame, canvas, colors
from ..landscapes import OneVariable, huber, opposed, parabola, waves
from ..methods import Method
from ..sampling import Floats, make_sampling
from ..step_sizes import Constants, StepSize
from ..verdicts import agreement, fitted_power, verdict
from .base import EXPERIMENTS, Experiment
from .bouncing import amplitude

RHO = {"deterministic": 0.4, "stochastic": 0.1}
CLASSES = ("strongly convex", "convex", "not convex")
EXACT = 1e-6
"""Agreement asked of the deterministic floors; that of the stochastic ones is 10 %."""


Pairs = list[tuple[float, int]]
"""Radius and horizon of each run."""


def _eta(steps: int) -> float:
    return min(0.25, 3 * float(np.log(steps)) / steps)


class Run(NamedTuple):
    """A run of a class: radius, horizon, and what it should leave, in closed form or as a bound."""

    rho: float
    steps: int
    eta: float
    closed: float


def _convex(setting: str, kind: str, pairs: Pairs) -> tuple[OneVariable, list[Run]]:
    if setting == "stochastic":
        shape = parabola if kind == "strongly convex" else huber
        problem, _ = opposed(shape)
        rests = [problem.minimizer.new_tensor([opposed(shape, rho)[1]]) for rho, _ in pairs]
        closed = [float(problem.gap(at)) for at in rests]
        return problem, [Run(rho, T, _eta(T) / 2, gap) for (rho, T), gap in zip(pairs, closed, strict=True)]
    if kind == "strongly convex":
        runs = [Run(rho, T, _eta(T), amplitude(_eta(T), 1.0, rho) ** 2 / 2) for rho, T in pairs]
        return OneVariable("parabola", [parabola(1.0, 0.0)], 1.0, 1.0, 0.0), runs
    problem = OneVariable("huber", [huber(1.0, 0.0)], 3.0, 0.0, 0.0)
    start = float(problem.gap(problem.x0))
    etas = [min(0.5, float(np.sqrt(start / T)) / rho) for rho, T in pairs]
    bounds = [2 * start / (eta * T) + 2 * eta * rho**2 for eta, (rho, T) in zip(etas, pairs, strict=True)]
    return problem, [Run(rho, T, eta, bound) for (rho, T), eta, bound in zip(pairs, etas, bounds, strict=True)]


def _stops_after(run: Run) -> StepSize:
    def rule(c: Constants, t: Floats, lam: Floats) -> tuple[Floats, Floats]:
        return np.where(t < run.steps, run.eta, 0.0), np.full_like(t, run.rho)

    return rule


def _left(problem: OneVariable, runs: list[Run], setting: str, kind: str) -> list[float]:
    """Return what every run leaves: a mean over its steps, or a value at the mean of the last iterates over trials.

    The gap of a stochastic run is that of x* plus the mean distance from SGD on the same samples and steps, so that the
    noise that both share does not hide what the radius does.
    """
    sampling = make_sampling("full" if setting == "deterministic" else "uniform", problem)
    methods = [Method("sam", _stops_after(run), Constants(1, 1, 1, 1, 1, run.steps)) for run in runs]
    paired = setting == "stochastic" and kind != "not convex"
    if paired:
        methods += [replace(method, variant="sgd") for method in methods]
    steps, over_steps = max(run.steps for run in runs), (setting, kind) == ("deterministic", "convex")
    record = np.arange(steps + 1) if over_steps else np.array([steps])
    result = solve(problem, sampling, methods, record=record, trials=1 if setting == "deterministic" else 200)
    if over_steps:
        squares = np.square(result.slope[:, 0])
        return [float(square[: run.steps].mean()) for square, run in zip(squares, runs, strict=True)]
    x = torch.from_numpy(result.x.mean(1))
    if paired:
        x = problem.minimizer + x[: len(runs)] - x[len(runs) :]
    return (problem.gradient(x).square().sum(-1) if kind == "not convex" else problem.gap(x)).tolist()


def _measured(setting: str, kind: str, pairs: Pairs) -> Iterator[tuple[float, float]]:
    """Yield what is left, and the closed form or bound, for each radius and horizon."""
    if kind != "not convex":
        problem, runs = _convex(setting, kind, pairs)
        values = _left(problem, runs, setting, kind)
        yield from ((value, run.closed) for value, run in zip(values, runs, strict=True))
        return
    for rho, group in groupby(pairs, key=lambda pair: pair[0]):  # the wave is made for its radius
        problem, slope = waves(rho, 0.0 if setting == "deterministic" else 0.2)
        runs = [Run(rho, T, 0.25 if setting == "deterministic" else _eta(T), slope**2) for _, T in group]
        yield from ((value, slope**2) for value in _left(problem, runs, setting, kind))


def measure(quick: bool) -> Frame:
    horizons = [100, 200, 400] if quick else [100, 200, 400, 800, 1_600, 3_200]
    rows = []
    for setting, largest in RHO.items():
        radii = [largest * 2.0**-k for k in range(3 if quick else 5)]
        pairs = [(largest, T) for T in horizons] + [(rho, horizons[-1] if quick else 1_600) for rho in radii]
        for kind in CLASSES:
            for k, (value, closed) in enumerate(_measured(setting, kind, pairs)):
                sweep, x = ("T", pairs[k][1]) if k < len(horizons) else ("rho", pairs[k][0])
                row = {"setting": setting, "kind": kind, "sweep": sweep, "x": float(x), "value": value}
                rows.append({**row, "closed": closed})
    return pd.DataFrame(rows)


def draw(data: Frame) -> Figure:
    figure = canvas(columns=2, rows=2, width=4.0, height=2.8)
    for axes, (setting, sweep) in zip(
        figure.axes, [(s, w) for s in ("deterministic", "stochastic") for w in ("T", "rho")], strict=True
    ):
        part = data[(data["setting"] == setting) & (data["sweep"] == sweep)]
        axes.set(xscale="log", yscale="log", title=setting, xlabel={"rho": "ρ"}.get(sweep, sweep))
        axes.xaxis.set_minor_formatter(NullFormatter())  # less than a decade apart, they overlap
        for kind, color in colors(CLASSES).items():
            line = part[part["kind"] == kind].sort_values("x")
            axes.plot(line["x"], line["value"], "o-", markersize=3.5, color=color, label=str(kind))
            axes.plot(line["x"], line["closed"], **{**GUARANTEE, "color": color})
    figure.axes[0].plot([], [], label="closed form or bound", **GUARANTEE)
    figure.axes[0].legend(fontsize=7)
    for axes in figure.axes[::2]:
        axes.set_ylabel("gap, or ‖∇f‖²")
    return figure


EXPECTED = {
    ("deterministic", "strongly convex"): -2.0,
    ("deterministic", "convex"): -0.5,
    ("deterministic", "not convex"): 0.0,
    ("stochastic", "strongly convex"): 0.0,
    ("stochastic", "convex"): 0.0,
    ("stochastic", "not convex"): 0.0,
}
"""The power of T that theory gives to the long run; logarithms are taken out where they occur."""


def summary(data: Frame) -> Frame:
    """Return, for each setting and class, the fitted powers of T and rho, and measured over closed form at the end."""
    rows = []
    for (setting, kind), part in data.groupby(["setting", "kind"], sort=False):
        by = {sweep: line.sort_values("x") for sweep, line in part.groupby("sweep")}
        late = by["T"].iloc[len(by["T"]) // 2 - 1 :]
        logs = np.log(late["x"]) ** 2 if EXPECTED[setting, kind] == -2 else 1.0
        power = fitted_power(late["x"], late["value"] / logs)
        rho = fitted_power(by["rho"]["x"], by["rho"]["value"])
        off = agreement(by["T"]["value"].iloc[-1], by["T"]["closed"].iloc[-1])
        used = float((part["value"] / part["closed"]).max())
        rows.append({"setting": setting, "kind": kind, "T": power, "rho": rho, "off": off, "used": used})
    return pd.DataFrame(rows)


def findings(data: Frame) -> list[str]:
    table = summary(data)
    rows = ["| | | power of T | in theory | power of ρ | measured |", "|---|---|---|---|---|---|"]
    for row in table.itertuples():
        bound = (row.setting, row.kind) == ("deterministic", "convex")
        share = f"{100 * row.used:.2g} % of the bound at most" if bound else f"{row.off:.1e} off the closed form"
        theory = EXPECTED[row.setting, row.kind]
        sign = "at most " if bound else ""
        rows.append(f"| {row.setting} | {row.kind} | {row.T} | {sign}{theory:g} | {row.rho} | {share} |")
    kinds = {(row.setting, row.kind): row for row in table.itertuples()}
    falls = [kinds["deterministic", kind] for kind in ("strongly convex", "convex")]
    stays = [row for key, row in kinds.items() if EXPECTED[key] == 0]
    return [
        "Powers fitted to the later half of the horizons (for the first line after division by log² T) and to all ρ, "
        "with 95 % intervals:\n\n" + "\n".join(rows),
        _falls(falls),
        _stays(stays),
    ]


def _all(answers: list[bool | None]) -> bool | None:
    return False if False in answers else None if None in answers else True


def _falls(rows: list) -> str:
    return verdict(
        _all([row.T.at_most(EXPECTED["deterministic", row.kind]) for row in rows]),
        "Deterministic SAM with a constant ρ has no floor on convex functions when the steps become shorter with the "
        "horizon: the gap falls as 1/T² (strongly convex), the gradient at least as fast as its bound.",
        "Deterministic SAM falls more slowly than theory says on "
        + "; ".join(
            f"{row.kind} functions ({row.T})" for row in rows if not row.T.at_most(-2 if "st" in row.kind else -0.5)
        )
        + ".",
        "the horizons leave open how fast deterministic SAM falls",
    )


def _stays(rows: list) -> str:
    def is_floor(row) -> bool | None:
        flat, square = row.T.is_near(0), row.rho.is_near(2)
        close = row.off <= (EXACT if row.setting == "deterministic" else 0.1)
        return _all([flat, square, close])

    failing = [f"{row.setting}, {row.kind}" for row in rows if is_floor(row) is False]
    return verdict(
        _all([is_floor(row) for row in rows]),
        "Everywhere else there is a floor of order ρ² that no number of steps removes, and it is where the closed form "
        "puts it.",
        f"Not at the floor of the closed form, or not of order ρ²: {'; '.join(failing)}.",
        "the fitted powers leave open whether every floor is of order ρ²",
    )


EXPERIMENTS.register(
    Experiment(
        "floors",
        "What a constant radius leaves",
        "SAM with a constant ρ on functions of one variable, one of each class: first the horizon varies, then ρ. Si "
        "and Yun (2023): deterministic SAM has no floor on convex functions, every other case has one of order ρ². "
        "Measured is the gap, or ‖∇f‖² where f is not convex (and, deterministic, where it is convex only); on "
        "samples, the gap of the mean shift from SGD on the same ones. Dashed: the closed form, and for deterministic "
        "steps on convex functions the bound.",
        measure,
        draw,
        findings,
    )
)
