r"""Which solution SAM picks on a diagonal linear network (Andriushchenko and Flammarion 2022).

The network is :math:`\beta = u \odot u - v \odot v`, the loss
:math:`L = \frac{1}{4n} \|X\beta - y\|^2`, and :math:`u = v = \alpha` at the start. Write
:math:`q = \nabla_\beta L`, and q' for it at the perturbed point :math:`u(1 + 2\rho q), v(1 - 2\rho q)` of unnormalized
SAM. In the limit of small steps

.. math:: \frac{d}{dt} \log u = -2 (1 + 2\rho q) q', \qquad \frac{d}{dt} \log v = 2 (1 - 2\rho q) q',

so that :math:`\log(u/v) = -4 \int q'` stays in the row space of X, and :math:`uv` falls,

.. math:: u \odot v = \alpha_\infty^2 = \alpha^2 \exp\Big({-8\rho} \int q \odot q' dt\Big).

Hence the limit :math:`\beta = 2\alpha_\infty^2 \sinh(\log(u/v))` meets the optimality conditions of

.. math:: \min_\beta \sum_j \Big(\beta_j \operatorname{arsinh} \frac{\beta_j}{2\alpha_{\infty,j}^2}
    - \sqrt{\beta_j^2 + 4\alpha_{\infty,j}^4}\Big) \quad \text{s.t.} \quad X\beta = y:

gradient descent from a smaller start, which is closer to the solution of least l1 norm. Both statements are exact in
rho; the paper states them to first order. On single samples q is that of one sample, whose squares average to more:
the effect is up to n times as large.
"""

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from scipy.optimize import minimize
from torch import Tensor

from ....seeding import derive_seed
from ..figures import GUARANTEE, Frame, canvas, colors
from ..reference_solver import follow
from ..sampling import Floats, Integers
from ..verdicts import verdict
from .base import EXPERIMENTS, Experiment

SAMPLES, FEATURES = 8, 16
ALPHA = 0.5
ETA = {"full batch": 0.02, "single samples": 0.01}
RADII = (0.1, 0.2, 0.3)
CLOSE = 0.05


def _problem() -> tuple[Floats, Floats, Floats]:
    """Return X, y and the sparse solution."""
    rng = np.random.default_rng(derive_seed("diagonal-nets", 0))
    X = rng.standard_normal((SAMPLES, FEATURES))
    sparse = np.zeros(FEATURES)
    sparse[:2] = 1.0, -1.0
    return X, X @ sparse, sparse


def shrunk(path: Floats, X: Floats, y: Floats, eta: float, rho: float, first: Integers | None) -> Floats:
    r"""Return the predicted log of uv / alpha^2: :math:`-8\rho\eta \sum_t q \odot q'` along the iterates.

    Args:
        path: iterates (u, v), (steps + 1, 2 d).
        X, y: the data.
        eta, rho: learning rate and radius.
        first: the sample of each step; ``None`` for the full batch.
    """
    total = np.zeros(FEATURES)
    for t, point in enumerate(path[:-1]):
        rows = slice(None) if first is None else slice(first[t], first[t] + 1)
        A, b = X[rows], y[rows]
        u, v = np.split(point, 2)
        q = A.T @ (A @ (u**2 - v**2) - b) / (2 * len(b))
        u, v = u * (1 + 2 * rho * q), v * (1 - 2 * rho * q)
        total += q * (A.T @ (A @ (u**2 - v**2) - b)) / (2 * len(b))
    return -8 * rho * eta * total


def chosen(scale: Floats, X: Floats, y: Floats) -> Floats:
    """Return the interpolator that minimizes the entropy of a start with uv = ``scale``, by its dual."""

    def dual(nu: Floats) -> tuple[float, Floats]:
        inner = X.T @ nu
        return float(2 * (scale * np.cosh(inner)).sum() - nu @ y), X @ (2 * scale * np.sinh(inner)) - y

    best = minimize(dual, np.zeros(len(y)), jac=True, method="BFGS", options={"gtol": 1e-10, "maxiter": 2_000})
    return 2 * scale * np.sinh(X.T @ best.x)


def _run(variant: str, rho: float, batch: str, steps: int) -> dict[str, float]:
    X, y, sparse = _problem()
    A, b = torch.from_numpy(X), torch.from_numpy(y)
    rng = np.random.default_rng(derive_seed("diagonal-nets-order", 0))
    first = rng.integers(SAMPLES, size=steps) if batch == "single samples" else None

    def loss(x: Tensor, t: int) -> Tensor:
        u, v = x.chunk(2)
        rows = slice(None) if first is None else slice(first[t], first[t] + 1)
        return (A[rows] @ (u.square() - v.square()) - b[rows]).square().mean() / 4

    path = follow(
        variant, loss, np.full(2 * FEATURES, ALPHA), steps, lr=ETA[batch], rho=None if variant == "sgd" else rho
    )
    u, v = np.split(path[-1], 2)
    beta, radius = u**2 - v**2, 0.0 if variant == "sgd" else rho
    residual = float(np.square(X @ beta - y).mean())
    predicted = ALPHA**2 * np.exp(shrunk(path, X, y, ETA[batch], radius, first))
    return {
        "loss": residual / 4,
        "away": float(np.linalg.norm(beta - sparse)),
        "norm": float(np.abs(beta).sum()),
        "scale": float(np.exp(np.log(u * v).mean())),
        "predicted_scale": float(np.exp(np.log(predicted).mean())),
        "bias": float(np.linalg.norm(beta - chosen(u * v, X, y)) / np.linalg.norm(beta)),
        "predicted_away": float(np.linalg.norm(chosen(predicted, X, y) - sparse)),
    }


def measure(quick: bool) -> Frame:
    steps = 300 if quick else 2_000
    rows = []
    for batch in ETA:
        for rho in (0.0, *(RADII[-1:] if quick else RADII)):
            run = _run("usam" if rho else "sgd", rho, batch, steps)
            rows.append({"batch": batch, "rho": rho, **run})
    return pd.DataFrame(rows)


def draw(data: Frame) -> Figure:
    figure = canvas(columns=2, width=4.0, height=3.1)
    left, right = figure.axes
    left.set(xlabel="ρ", ylabel="‖β − sparse solution‖")
    right.set(xlabel="ρ", ylabel="uv (geometric mean)", yscale="log")
    for batch, color in colors(data["batch"]).items():
        line = data[data["batch"] == batch]
        for axes, name in ((left, "away"), (right, "scale")):
            axes.plot(line["rho"], line[name], "o", color=color, label=str(batch))
            axes.plot(line["rho"], line[f"predicted_{name}"], **{**GUARANTEE, "color": color})
    left.plot([], [], label="closed form", **GUARANTEE)
    left.legend(fontsize=7)
    return figure


def findings(data: Frame) -> list[str]:
    rows = ["| | ρ | loss | uv | predicted | ‖β − sparse‖ | predicted | off the entropy's minimizer |"]
    rows += ["|---|---|---|---|---|---|---|---|"]
    rows += [
        f"| {r.batch} | {r.rho:g} | {r.loss:.0e} | {r.scale:.4f} | {r.predicted_scale:.4f} | {r.away:.3f} | "
        f"{r.predicted_away:.3f} | {100 * r.bias:.2g} % |"
        for r in data.itertuples()
    ]
    return ["\n".join(rows), _law(data), _sparser(data)]


def _law(data: Frame) -> str:
    fitted = bool((data["loss"] < 1e-4).all())
    off = float((data["scale"] / data["predicted_scale"] - 1).abs().max())
    bias = float(data["bias"].max())
    return verdict(
        max(off, bias) <= CLOSE if fitted else None,
        f"uv ends where the integral puts it (off by {100 * off:.2g} % at most), and the solution is the minimizer of "
        f"the entropy with that uv (off by {100 * bias:.2g} % at most).",
        f"The limit of small steps does not describe these runs: uv is off by {100 * off:.2g} %, the solution by "
        f"{100 * bias:.2g} %.",
        f"not every run has fitted the data yet (largest loss {float(data['loss'].max()):.0e})",
    )


def _sparser(data: Frame) -> str:
    by = {batch: line.sort_values("rho") for batch, line in data.groupby("batch", sort=False)}

    def ratio(batch: str, column: str) -> float:
        return float(by[batch][column].iloc[-1] / by[batch][column].iloc[0])

    falls = [batch for batch, line in by.items() if (line["away"].diff().dropna() < 0).all()]
    full, single = ratio("full batch", "away"), ratio("single samples", "away")
    against = " and ".join(batch for batch in by if batch not in falls)
    towards = verdict(
        not against,
        "With larger ρ the solution is closer to the sparse one, in both settings.",
        f"Against what the paper leads one to expect, a larger ρ does not always bring the solution closer to the "
        f"sparse one: it does with {', '.join(falls) or 'neither'}, and not with: {against}; yet uv is smaller at "
        "the largest ρ with " + (" and ".join(batch for batch in by if ratio(batch, "scale") < 1) or "neither") + ".",
    )
    order = verdict(
        None if abs(full - single) < 0.01 else single < full,
        "Single samples end closer",
        "Single samples do not end closer",
        "full batch and single samples are too close to tell which ends closer",
    ).rstrip(".")
    norms = {batch: ratio(batch, "norm") for batch in by}
    least = verdict(
        max(norms.values()) < 1,
        "The l1 norm falls with both",
        f"The l1 norm falls with {', '.join(batch for batch, norm in norms.items() if norm < 1) or 'neither'}",
    )
    return (
        f"{towards} {order}: at the largest ρ the distance is {single:.3f} of that without SAM on single samples, and "
        f"{full:.3f} with the full batch. {least}: it is {norms['single samples']:.3f} and {norms['full batch']:.3f} "
        "of that without SAM."
    )


EXPERIMENTS.register(
    Experiment(
        "diagonal-nets",
        "Which solution SAM picks on a diagonal linear network",
        f"β = u² − v², {SAMPLES} equations, {FEATURES} unknowns, a sparse solution, start α = {ALPHA:g}, USAM with the "
        "full batch and on single samples. Andriushchenko and Flammarion (2022): SAM acts as a smaller α, which is "
        "closer to the solution of least l1 norm, and more so on single samples. Dashed: the law of uv, and the "
        "solution that it implies.",
        measure,
        draw,
        findings,
    )
)
