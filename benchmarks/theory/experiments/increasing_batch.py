r"""A larger batch or a shorter step, at equal samples (Harada and Iiduka 2024).

A phase is a fixed number of samples. Doubling the batch or halving the step at each of them keeps the same
:math:`\sum \eta` and the same noise :math:`\eta\sigma^2/\tau`: both make :math:`\eta_0 2^{-k}` times as much progress
in phase k as in the first. So both should end at the same gap, the batch after far fewer steps; with both constant the
noise keeps its size. The dashed lines are the one-step guarantee with the constants of the present batch.
"""

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ....seeding import derive_seed
from ..batched_solver import solve
from ..bounds import Recursion, curve, recursion
from ..figures import GUARANTEE, Frame, canvas, colors, draw_trials
from ..methods import Method, record_grid
from ..problems import Problem, make_problem
from ..sampling import Floats, Integers, Nice
from ..step_sizes import Constants, StepSize
from ..verdicts import verdict
from .base import EXPERIMENTS, Experiment

FIRST, PHASES, RHO, TRIALS = 2, 5, 0.01, 60
SCHEDULES = ("both constant", "batch doubles", "step halves")


class Phases:
    """Batch sizes and step sizes by phase.

    Args:
        name: one of the schedules.
        samples: number of samples of a phase.
        eta: first step size.
    """

    def __init__(self, name: str, samples: int, eta: float):
        powers = 2 ** np.arange(PHASES)
        sizes = FIRST * (powers if name == "batch doubles" else np.ones(PHASES, int))
        steps = samples // sizes
        self.batch = np.repeat(sizes, steps)
        self.eta = np.repeat(eta / (powers if name == "step halves" else np.ones(PHASES)), steps)

    @property
    def steps(self) -> int:
        """Length of the run."""
        return len(self.batch)

    def rule(self) -> StepSize:
        """Return the step size; rho is constant."""

        def step(c: Constants, t: Floats, lam: Floats) -> tuple[Floats, Floats]:
            return self.eta[t.astype(int)], np.full_like(t, RHO)

        return step

    def stream(self, n: int, trial: int):
        """Return a sample stream: a subset of the present size, filled up with weightless components."""
        rng, done = np.random.default_rng(derive_seed("increasing-batch", 0, trial)), 0
        width = int(self.batch.max())

        def draw(count: int) -> tuple[Integers, Floats]:
            nonlocal done
            size = self.batch[done : done + count, None]
            done += count
            order = np.argsort(rng.random((count, n)), axis=1)[:, :width]
            return order, np.where(np.arange(width) < size, 1 / size, 0.0)

        return draw

    def guarantee(self, problem: Problem) -> Floats:
        """Return the guarantee on E f - f* after each step, (steps + 1,)."""
        parts = []
        for size in dict.fromkeys(self.batch.tolist()):
            eta = self.eta[self.batch == size]
            parts.append(
                recursion(problem, Nice("nice", problem.n, size), eta, np.full_like(eta, RHO), np.ones_like(eta))
            )
        steps = Recursion(*(np.concatenate(each) for each in zip(*parts, strict=True)))
        return curve(float(problem.gap(problem.x0)), steps)


def measure(quick: bool) -> Frame:
    problem = make_problem("quadratics", n=256, d=6)
    samples = 32 * (5 if quick else 60)
    parts = []
    for name in SCHEDULES:
        phases = Phases(name, samples, 0.2)
        constants = Constants(1, 1, 1, 1, 1, phases.steps)
        method = Method("sam", phases.rule(), constants, label=name)
        record = record_grid(phases.steps, 60, log=False)
        sampling = Nice("nice", problem.n, int(phases.batch.max()))
        result = solve(
            problem, sampling, [method], record=record, trials=TRIALS, streams=partial(phases.stream, problem.n)
        )
        spent = np.concatenate(([0], phases.batch.cumsum()))[record]
        parts.append(
            pd.DataFrame(
                {
                    "schedule": name,
                    "trial": np.repeat(np.arange(TRIALS), len(record)),
                    "step": np.tile(record, TRIALS),
                    "samples": np.tile(spent, TRIALS),
                    "gap": result.gap[0].ravel(),
                    "bound": np.tile(phases.guarantee(problem)[record], TRIALS),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def draw(data: Frame) -> Figure:
    figure = canvas(columns=2, width=4.0, height=3.1, sharey=True)
    for axes, x in zip(figure.axes, ("samples", "step"), strict=True):
        axes.set(yscale="log", xlabel=x)
        for name, color in colors(SCHEDULES).items():
            line = data[data["schedule"] == name]
            draw_trials(axes, line, x=x, y="gap", label=str(name), color=color)
            first = line[line["trial"] == 0]
            axes.plot(first[x], first["bound"], **{**GUARANTEE, "color": color})
    figure.axes[0].set_ylabel("f - f*")
    figure.axes[0].plot([], [], label="guarantee", **GUARANTEE)
    figure.axes[0].legend(fontsize=7)
    return figure


def ends(data: Frame) -> Frame:
    """Return the mean over trials and its standard error at the end of each schedule, with its steps and samples."""
    last = data[data["step"] == data.groupby("schedule")["step"].transform("max")]
    table = last.groupby("schedule", sort=False).agg(
        gap=("gap", "mean"), error=("gap", "sem"), steps=("step", "first"), samples=("samples", "first")
    )
    mean = data.groupby(["schedule", "step"], sort=False)[["gap", "bound"]].mean()
    after = mean[mean.index.get_level_values("step") > 0]
    return table.assign(used=(after["gap"] / after["bound"]).groupby("schedule", sort=False).max())


def findings(data: Frame) -> list[str]:
    table = ends(data)
    constant, batch, step = (table.loc[name] for name in SCHEDULES)
    width = 2 * float(np.hypot(batch["error"] / batch["gap"], step["error"] / step["gap"]))
    ratio = float(batch["gap"] / step["gap"])
    same = verdict(
        None if not width <= 0.5 else abs(ratio - 1) <= max(width, 0.1),
        f"After the same {batch['samples']:,.0f} samples the trials do not tell the gaps of a batch that doubles and a "
        f"step that halves apart ({batch['gap']:.1e} and {step['gap']:.1e}, ratio {ratio:.2f} ± {width:.2f}, two "
        f"standard errors): a difference of less than that is undecided. The batch gets there after "
        f"{batch['steps']:,.0f} steps instead of {step['steps']:,.0f}.",
        f"After the same {batch['samples']:,.0f} samples they end at different gaps: {batch['gap']:.1e} for the batch "
        f"that doubles, {step['gap']:.1e} for the step that halves (ratio {ratio:.2f} ± {width:.2f}).",
        f"the trials are too few to tell a ratio of {ratio:.2f} ± {width:.2f} from one",
    )
    better = float(constant["gap"] / max(batch["gap"], step["gap"]))
    gain = verdict(
        None if 0.8 < better < 1.25 else better > 1,
        f"With both constant the gap is at least {better:.2g} times as large.",
        f"With both constant the gap is smaller ({constant['gap']:.1e}).",
        "constant steps and batches end too close to the others",
    )
    inside = int((table["used"] <= 1).sum())
    return [
        f"{same} {gain}",
        f"The mean stays inside the guarantee at every recorded step in {inside} of {len(table)} schedules.",
    ]


EXPERIMENTS.register(
    Experiment(
        "increasing-batch",
        "A larger batch or a shorter step",
        f"SAM (ρ = {RHO:g}) on 256 quadratics, τ-nice batches from τ = {FIRST}, {PHASES} phases of equal numbers of "
        f"samples, {TRIALS} trials. Harada and Iiduka (2024): increasing batches and decaying rates both remove the "
        "noise. "
        "Dashed: the one-step guarantee along each schedule.",
        measure,
        draw,
        findings,
    )
)
