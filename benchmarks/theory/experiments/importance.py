"""The paper's importance-sampling figure, with the weights that make the sampling unbiased."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..batched_solver import has_compiled_path, solve
from ..figures import Frame, canvas, colors, draw_trials
from ..methods import Method, record_grid
from ..problems import Problem, published_importance
from ..sampling import make_sampling
from ..step_sizes import Constants
from .base import EXPERIMENTS, Experiment, at_end, tidy

STEPS, TRIALS = 300_000, 5


def measure(quick: bool, trials: int = TRIALS) -> Frame:
    problem, _ = published_importance()
    return _compare(problem, STEPS // 100 if quick else STEPS, trials)


def measure_on(problem: Problem, quick: bool) -> Frame:
    longest = STEPS if has_compiled_path(problem, make_sampling("uniform", problem)) else STEPS // 10
    return _compare(problem, longest // 100 if quick else longest, TRIALS)


def _compare(problem: Problem, steps: int, trials: int) -> Frame:
    parts = []
    for name in ("uniform", "importance"):
        sampling = make_sampling(name, problem)
        c = Constants.of(problem, sampling, steps)
        methods = [Method("unified_sam", "theorem-3.2", c, lam, f"{lam:g}") for lam in (0.0, 0.5, 1.0)]
        result = solve(problem, sampling, methods, record=record_grid(steps, 60, log=False), trials=trials)
        gamma = float(methods[0].schedule(np.zeros(1))[0][0])
        parts.append(tidy(result, methods, sampling=name, gamma=gamma))
    return pd.concat(parts, ignore_index=True)


def draw(data: Frame) -> Figure:
    figure = canvas(columns=3, width=2.9, sharey=True)
    for axes, (lam, part) in zip(figure.axes, data.groupby("method"), strict=True):
        axes.set(yscale="log", xlabel="step", title=f"λ = {lam}")
        for name, color in colors(data["sampling"]).items():
            draw_trials(axes, part[part["sampling"] == name], label=str(name), color=color)
        axes.ticklabel_format(axis="x", style="sci", scilimits=(0, 0))
    figure.axes[0].set_ylabel("(f - f*) / (f0 - f*)")
    figure.axes[0].legend()
    return figure


def findings(data: Frame) -> list[str]:
    last = at_end(data, ["method", "sampling"])
    each = ", ".join(
        f"λ = {lam}: {last[lam, 'uniform']:.4f} and {last[lam, 'importance']:.4f}" for lam in ("0", "0.5", "1")
    )
    longer = data.groupby("sampling")["gamma"].first()
    speedup = np.log(last["0", "importance"]) / np.log(last["0", "uniform"])
    return [
        f"Relative gap after {data['step'].max():,} steps, uniform and importance sampling: {each}.",
        f"The theorem allows importance sampling {longer['importance'] / longer['uniform']:.2f} times longer steps "
        f"(L_max / L_avg); the logarithm of the gap falls {speedup:.2f} times as fast (λ = 0).",
    ]


EXPERIMENTS.register(
    Experiment(
        "importance",
        "Importance sampling against uniform sampling",
        "Ridge regression on a symmetric matrix with eigenvalues {1, 10, uniform in [1, 2]} (n = d = 100, the "
        "paper's data), "
        "one component a step, constant steps of Theorem 3.2, 5 trials. Importance sampling draws component i "
        "with p_i "
        "proportional to L_i and weights its gradient by 1/(n p_i).",
        measure,
        draw,
        findings,
        measure_on,
    )
)
