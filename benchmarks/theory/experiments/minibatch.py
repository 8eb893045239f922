r"""The batch size that needs the fewest samples (Gower, Loizou, Qian, Sailanbayev, Shulgin and Richtarik 2019).

SGD on a mu-strongly convex sum with :math:`E\|g(x) - g(x^*)\|^2 \le 2 \mathcal{L} (f(x) - f^*)` and
:math:`\sigma^2 = E\|g(x^*)\|^2` satisfies :math:`E\|x_t - x^*\|^2 \le (1 - \gamma\mu)^t \|x_0 - x^*\|^2 +
2\gamma\sigma^2/\mu` for :math:`\gamma \le 1/(2\mathcal{L})`. Half of epsilon for each term gives

.. math:: \gamma = \min\Big\{\frac{1}{2\mathcal{L}}, \frac{\epsilon\mu}{4\sigma^2}\Big\}, \qquad
    t = \frac{1}{\gamma\mu} \log \frac{2 \|x_0 - x^*\|^2}{\epsilon} .

For tau-nice sampling :math:`\mathcal{L} = \frac{n(\tau-1)}{\tau(n-1)} L + \frac{n-\tau}{\tau(n-1)} L_{\max}` and
:math:`\sigma^2 = \frac{n-\tau}{\tau(n-1)} \sigma_*^2`. Of :math:`\tau t` the first branch grows with tau and the second
falls, so that the fewest samples are where they meet,

.. math:: \tau^* = n \, \frac{S + L - L_{\max}}{S + nL - L_{\max}}, \qquad S = \frac{2\sigma_*^2}{\epsilon\mu},

or at tau = 1 if that is less. The mean of tau independent draws by importance, weighted, has
:math:`\mathcal{L} = \frac{\tau - 1}{\tau} L + \frac{1}{\tau} L_{avg}`, which is less for few samples, and
:math:`\sigma^2 = \frac{1}{\tau} E\|g_1(x^*)\|^2`.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..batched_solver import solve
from ..figures import GUARANTEE, Frame, canvas, colors
from ..methods import Method, Stream, sample_stream
from ..problems import Problem, make_problem
from ..sampling import Floats, Integers, Nice, Sampling, make_sampling
from ..step_sizes import Constants, fixed
from ..verdicts import verdict
from .base import EXPERIMENTS, Experiment

SHARE = 0.01
"""Epsilon, as a share of the first squared distance."""
TRIALS = 100


def constants(problem: Problem, kind: str, tau: int) -> tuple[float, float]:
    """Return expected smoothness and the noise at the minimizer."""
    n, one = problem.n, make_sampling("importance", problem)
    if kind == "nice":
        spread = (n - tau) / (tau * (n - 1))
        return n * (tau - 1) / (tau * (n - 1)) * problem.L + spread * problem.L_max, spread * problem.sigma_star**2
    noise = float(one.second_moment(problem.component_gradients(problem.minimizer)))
    return (tau - 1) / tau * problem.L + problem.L_avg / tau, noise / tau


def best_size(problem: Problem, epsilon: float) -> float:
    """Return tau* of tau-nice sampling, at least 1."""
    s = 2 * problem.sigma_star**2 / (epsilon * problem.mu)
    n, L, L_max = problem.n, problem.L, problem.L_max
    return max(1.0, n * (s + L - L_max) / (s + n * L - L_max))


def _repeated(one: Sampling, tau: int, trial: int) -> Stream:
    """Return a stream of means of tau independent draws of one component."""
    stream = sample_stream(one, 0, trial)

    def draw(count: int) -> tuple[Integers, Floats]:
        index, factor = stream(count * tau)
        return index.reshape(count, tau), factor.reshape(count, tau) / tau

    return draw


def measure(quick: bool) -> Frame:
    problem = make_problem("quadratics", n=32, imbalance=2.0, condition=4.0, spread=1.5)
    start = float((problem.x0 - problem.minimizer).square().sum())
    epsilon, rows = SHARE * start, []
    for kind in ("nice", "importance"):
        for tau in (1, 4, 16) if quick else (1, 2, 4, 6, 8, 12, 16, 24, 32):
            smooth, noise = constants(problem, kind, tau)
            gamma = min(1 / (2 * smooth), epsilon * problem.mu / (4 * noise) if noise > 0 else np.inf)
            needed = int(np.ceil(np.log(2 * start / epsilon) / (gamma * problem.mu)))
            sampling = Nice("nice", problem.n, tau)
            streams: Callable[[int], Stream] | None = None
            if kind == "importance":
                streams = partial(_repeated, make_sampling("importance", problem), tau)
            method = Method("sgd", fixed(gamma, 0.0), Constants(1, 1, 1, 1, 1, needed))
            record = np.unique(np.linspace(0, needed, 400).astype(np.int64))
            # A squared distance lies between 2/L and 2/mu of the gap: the solver records distances only at the end.
            result = solve(problem, sampling, [method], record=record, trials=TRIALS, streams=streams)
            far = float(np.square(result.x[0] - problem.minimizer.numpy()).sum(-1).mean())
            gap = result.gap[0].mean(0)
            reached = record[np.argmax(gap <= SHARE * gap[0])] if (gap <= SHARE * gap[0]).any() else np.nan
            row = {"kind": kind, "tau": tau, "gamma": gamma, "needed": tau * needed, "reached": tau * float(reached)}
            rows.append({**row, "distance": far / epsilon, "best": best_size(problem, epsilon)})
    return pd.DataFrame(rows)


def draw(data: Frame) -> Figure:
    figure = canvas(width=5.0, height=3.4)
    (axes,) = figure.axes
    axes.set(xscale="log", yscale="log", xlabel="batch size τ", ylabel="samples")
    for kind, color in colors(data["kind"]).items():
        line = data[data["kind"] == kind]
        axes.plot(line["tau"], line["reached"], "o-", color=color, label=f"{kind}: gap falls to {SHARE:g}")
        axes.plot(line["tau"], line["needed"], **{**GUARANTEE, "color": color})
    axes.axvline(float(data["best"].iloc[0]), color="0.5", linewidth=1, linestyle=":", label="τ* of the theory")
    axes.plot([], [], label="enough by the theorem", **GUARANTEE)
    axes.legend(fontsize=7)
    return figure


def findings(data: Frame) -> list[str]:
    by = {kind: line.set_index("tau") for kind, line in data.groupby("kind", sort=False)}
    nice, best = by["nice"], float(data["best"].iloc[0])
    sizes = nice.index.to_numpy()
    beside = (int(sizes[sizes <= best].max()), int(sizes[sizes >= best].min()))
    least, order = int(nice["reached"].idxmin()), nice["reached"].sort_values()
    close = len(order) < 2 or order.iloc[1] < 1.05 * order.iloc[0]
    optimum = verdict(
        least in beside or (None if close else False),
        f"τ-nice sampling needs the fewest samples at τ = {least}, beside the τ* = {best:.1f} of the theory (tried "
        f"beside it: {beside[0]} and {beside[1]}).",
        f"τ-nice sampling needs the fewest samples at τ = {least}, not beside the τ* = {best:.1f} of the theory.",
        f"the least numbers of samples, at τ = {least} and {order.index[min(1, len(order) - 1)]}, are within 5 % of "
        f"each other, and τ* = {best:.1f}",
    )
    inside = int((data["distance"] <= 1).sum())
    far = float(data["distance"].max())
    held = (
        f"After the number of steps that the theorem gives, E‖x − x*‖² is below ε in {inside} of {len(data)} runs, at "
        f"most {far:.2g} of it."
    )
    common = nice.index.intersection(by["importance"].index)
    gain = (nice.loc[common, "reached"] / by["importance"].loc[common, "reached"]).dropna()
    first, last = float(gain.iloc[0]), float(gain.iloc[-1])
    fewer = verdict(
        None if 0.95 < first < 1.05 else first > 1,
        f"By importance τ = {gain.index[0]} needs {first:.2f} times fewer samples",
        f"By importance τ = {gain.index[0]} needs {1 / first:.2f} times more samples",
        f"by importance τ = {gain.index[0]} needs as many samples within 5 %",
    ).rstrip(".")
    return [
        optimum,
        held,
        f"{fewer}; at τ = {gain.index[-1]} the ratio is {last:.2f}, and the least is {gain.min():.2f}, at τ = "
        f"{gain.idxmin()}.",
    ]


EXPERIMENTS.register(
    Experiment(
        "minibatch",
        "The batch size that needs the fewest samples",
        f"SGD on 32 quadratics, one of them steeper, until the mean gap of {TRIALS} trials is {SHARE:g} of the first, "
        "with the step that the theorem allows each batch size. Gower et al. (2019): a best batch size in closed form; "
        "and batches of independent draws by importance. Dashed: samples that the theorem says are enough for a "
        "squared distance of the same share, ε.",
        measure,
        draw,
        findings,
    )
)
