"""Ours: how noisy each sampling is, exactly."""

import pandas as pd
from matplotlib.figure import Figure

from ..figures import Frame, canvas, colors
from ..problems import Problem, make_problem
from ..sampling import Nice, Sampling, make_sampling
from .base import EXPERIMENTS, Experiment

PROBLEMS = ("symmetric", "logistic", "diabetes")
TAUS = (1, 2, 4, 8, 16)
OTHERS = ("importance", "any-p", "partition")


def _samplings(problem: Problem) -> list[tuple[str, int, Sampling]]:
    sizes = [tau for tau in TAUS if tau < problem.n]
    nice = [("tau-nice", tau, Nice("nice", problem.n, tau)) for tau in (*sizes, problem.n)]
    others = [(name, make_sampling(name, problem)) for name in OTHERS]
    return nice + [(name, sampling.width, sampling) for name, sampling in others]


def measure(quick: bool, problem: Problem | None = None) -> Frame:
    return _variances([problem] if problem else [make_problem(name) for name in PROBLEMS[: 1 if quick else None]])


def _variances(problems: list[Problem]) -> Frame:
    rows = []
    for problem in problems:
        for place, x in (("start", problem.x0), ("minimizer", problem.minimizer)):
            gradients = problem.component_gradients(x)
            gap, squared = float(problem.gap(x)), float(gradients.mean(0).square().sum())
            for label, width, sampling in _samplings(problem):
                a, b, c = sampling.residual(problem)
                rows.append(
                    {
                        "problem": problem.name,
                        "place": place,
                        "sampling": label,
                        "width": width,
                        "variance": max(float(sampling.variance(gradients)), 0.0),
                        "second_moment": float(sampling.second_moment(gradients)),
                        "bound": 2 * a * gap + b * squared + c,
                        "n": problem.n,
                    }
                )
    return pd.DataFrame(rows)


def draw(data: Frame) -> Figure:
    names = list(dict.fromkeys(data["problem"]))
    figure = canvas(columns=len(names), rows=2, width=3.1, height=2.4, sharex="col")
    shade = colors(["tau-nice", *OTHERS])
    for row, place in enumerate(("start", "minimizer")):
        for column, name in enumerate(names):
            axes = figure.axes[row * len(names) + column]
            part = data[(data["problem"] == name) & (data["place"] == place) & (data["width"] < data["n"])]
            axes.set(xscale="log", yscale="log", title=f"{name}, at the {place}")
            nice = part[part["sampling"] == "tau-nice"]
            axes.plot(
                nice["width"],
                nice["variance"],
                "o-",
                color=shade["tau-nice"],
                markersize=4,
                label="τ-nice (uniform at 1)",
            )
            for other, marker in zip(OTHERS, "^sD", strict=True):
                one = part[part["sampling"] == other]
                axes.plot(one["width"], one["variance"], marker, color=shade[other], markersize=6, label=other)
    for axes in figure.axes[-len(names) :]:
        axes.set_xlabel("components a step")
    for axes in figure.axes[:: len(names)]:
        axes.set_ylabel("E‖g − ∇f‖²")
    figure.axes[0].legend(fontsize=6.5)
    return figure


def findings(data: Frame) -> list[str]:
    one = data[(data["width"] == 1) & data["sampling"].isin(["tau-nice", "importance"])]
    ratio = one.pivot_table(index=["problem", "place"], columns="sampling", values="variance", sort=False)
    ratio = ratio["importance"] / ratio["tau-nice"]
    rows = ["| problem | at the start | at the minimizer |", "|---|---|---|"]
    rows += [
        f"| {name} | {ratio[name, 'start']:.2f} | {ratio[name, 'minimizer']:.2f} |"
        for name in dict.fromkeys(data["problem"])
    ]
    partial = data[data["width"] < data["n"]]
    tight = partial["second_moment"] / partial["bound"]
    more, less = int((ratio > 1.001).sum()), int((ratio < 0.999).sum())
    return [
        "Variance of importance sampling, as a multiple of that of uniform sampling:\n\n" + "\n".join(rows),
        f"Sampling by L_i, which allows longer steps, makes the noise smaller at {less} and larger at {more} of "
        f"{len(ratio)} points"
        + (
            ": p_i proportional to L_i minimizes a bound on the variance, and where gradients are not larger for "
            "larger L_i it can add noise."
            if more
            else "."
        ),
        f"The Expected Residual bound holds at {int((tight <= 1 + 1e-9).sum())} of {len(tight)} combinations of point "
        f"and sampling, and is used up to between {100 * tight.min():.0f} % and {100 * tight.max():.0f} %.",
    ]


EXPERIMENTS.register(
    Experiment(
        "sampling-variance",
        "Variance of each sampling",
        "The variance of the stochastic gradient at the start and at the minimizer, in closed form (no simulation; the "
        "tests hold the closed forms to an enumeration of all outcomes).",
        measure,
        draw,
        findings,
    )
)
