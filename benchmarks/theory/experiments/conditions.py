"""The conditions that analyses of SAM assume of stochastic gradients: which problem and sampling meets which."""

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from ....seeding import derive_seed
from ..figures import Frame, canvas, colors
from ..problems import Problem, make_problem
from ..sampling import make_sampling
from .base import EXPERIMENTS, Experiment

CONDITIONS = {"variance": "bounded variance", "second_moment": "bounded gradient", "excess": "Expected Residual"}
PROBLEMS = ("least-squares", "ridge", "logistic", "quadratics", "sines", "two-layer")
SAMPLINGS = ("uniform", "importance", "nice", "full")
RADII = (1.0, 10.0, 100.0, 1_000.0)


def measure(quick: bool, problem: Problem | None = None, sampling: str | None = None, seed: int = 0) -> Frame:
    """Return the largest value of each quantity over random points at growing distances from the minimizer."""
    problems = [problem] if problem else [make_problem(name) for name in PROBLEMS[: 2 if quick else None]]
    rows = []
    for of in problems:
        rng = np.random.default_rng(derive_seed("theory-conditions", seed))
        for radius in RADII:
            inside = radius if of.radius == np.inf else of.radius * radius / RADII[-1]
            direction = rng.standard_normal((50 if quick else 500, of.d))
            direction /= np.linalg.norm(direction, axis=1, keepdims=True)
            center = of.minimizer if of.radius == np.inf else of.x0
            points = center + inside * torch.from_numpy(direction)
            gradients = torch.stack([of.component_gradients(x) for x in points])
            full, gap = gradients.mean(1).square().sum(-1), of.gap(points)
            for name in (sampling,) if sampling else SAMPLINGS:
                drawn = make_sampling(name, of)
                a, b, c = drawn.residual(of)
                second = drawn.second_moment(gradients)
                rows.append(
                    {
                        "problem": of.name,
                        "sampling": name,
                        "radius": inside,
                        "everywhere": of.radius == np.inf,
                        "points": len(points),
                        "variance": max(float((second - full).max()), 0.0),
                        "second_moment": float(second.max()),
                        "excess": float((second / (2 * a * gap + b * full + c)).max()),
                    }
                )
    return pd.DataFrame(rows)


def growth(line: Frame, quantity: str) -> float:
    """Return the power of the distance with which a quantity grows over the last three radii; 0 where it vanishes."""
    last = line.sort_values("radius").tail(3)
    scale = line["second_moment"].max()
    if (last[quantity] <= 1e-12 * scale).all():
        return 0.0
    return float(np.polyfit(np.log(last["radius"]), np.log(last[quantity].clip(lower=1e-300)), 1)[0])


def verdict(line: Frame, quantity: str) -> str:
    """Say whether a condition is met: what grows is not bounded, what does not is bounded at the points seen.

    Bounded is a power of the distance below .1, unbounded one above .5; a problem whose constants hold on a ball has
    everything bounded there, and outside is not decided.
    """
    if quantity == "excess":
        return "met" if line["excess"].max() <= 1 + 1e-9 else "violated"
    if not line["everywhere"].all():
        return "undecided (a ball)"
    power = growth(line, quantity)
    return "met" if power < 0.1 else f"violated (‖x‖^{power:.1f})" if power > 0.5 else "undecided"


def draw(data: Frame) -> Figure:
    figure = canvas(columns=2, width=4.2, height=3.2)
    shade = colors(data["problem"])
    dash = dict(zip(dict.fromkeys(data["sampling"]), ("-", "--", ":", "-."), strict=False))
    for axes, quantity in zip(figure.axes, ("variance", "second_moment"), strict=True):
        axes.set(xscale="log", yscale="log", xlabel="distance", title=f"{CONDITIONS[quantity]}?")
        for (problem, sampling), line in data.groupby(["problem", "sampling"], sort=False):
            shown = line[line[quantity] > 1e-12 * line["second_moment"]]
            axes.plot(shown["radius"], shown[quantity], color=shade[problem], linestyle=dash[sampling], linewidth=1.2)
    figure.axes[0].set_ylabel("largest E‖g − ∇f‖²")
    figure.axes[1].set_ylabel("largest E‖g‖²")
    for problem, color in shade.items():
        figure.axes[0].plot([], [], color=color, label=str(problem))
    for sampling, style in dash.items():
        figure.axes[0].plot([], [], color="0.25", linestyle=style, linewidth=1.2, label=str(sampling))
    figure.axes[0].legend(fontsize=6)
    return figure


def findings(data: Frame) -> list[str]:
    rows = ["| problem | sampling | " + " | ".join(CONDITIONS.values()) + " |", "|---|---|---|---|---|"]
    counts = dict.fromkeys(CONDITIONS, 0)
    lines = data.groupby(["problem", "sampling"], sort=False)
    for (problem, sampling), line in lines:
        said = {quantity: verdict(line, quantity) for quantity in CONDITIONS}
        rows.append(f"| {problem} | {sampling} | {' | '.join(said.values())} |")
        for quantity, text in said.items():
            counts[quantity] += text == "met"
    met = "; ".join(f"{name}: {counts[quantity]}" for quantity, name in CONDITIONS.items())
    points = int(data.groupby(["problem", "sampling"])["points"].sum().min())
    return [
        "\n".join(rows),
        f"Met, of {lines.ngroups} combinations, at {points:,} points each: {met}. The Expected Residual is used up to "
        f"{100 * data['excess'].max():.0f} % at most.",
    ]


EXPERIMENTS.register(
    Experiment(
        "conditions",
        "Conditions on the stochastic gradient",
        "What analyses of SAM assume (Table 1 of the paper): a bounded variance E‖g − ∇f‖² ≤ σ², a bounded gradient "
        "E‖g‖² ≤ "
        "G², or the Expected Residual E‖g‖² ≤ 2A(f − f*) + B‖∇f‖² + C with the sampling's own constants. The first two "
        "fail where the quantity grows with the distance: the power is fitted on the largest value over 500 points at "
        "distances 10, 100 and 1,000 from the minimizer. The third is a comparison at every point.",
        measure,
        draw,
        findings,
    )
)
