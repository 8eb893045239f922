r"""Functions of one variable on which constant radii leave SAM away from the minimum, by how much in closed form.

They are finite sums like every other problem, so that the solvers and the samplings take them.
"""

from collections.abc import Callable, Sequence
from math import pi
from typing import NamedTuple

import torch
from scipy.optimize import root_scalar
from torch import Tensor

from .problems import Problem

Function = Callable[[Tensor], Tensor]


class Curve(NamedTuple):
    """A component: its value and its slope, elementwise, and a Lipschitz constant of the slope."""

    value: Function
    slope: Function
    smoothness: float


class OneVariable(Problem):
    """A finite sum of curves.

    Args:
        name: name in figures and tables.
        curves: the n components.
        start: start of the solvers.
        mu: PL constant, 0 for a function without.
        minimizer: x*.
    """

    def __init__(self, name: str, curves: Sequence[Curve], start: float, mu: float, minimizer: float):
        self.curves = tuple(curves)
        best = torch.tensor([minimizer], dtype=torch.float64)
        L_i = torch.tensor([curve.smoothness for curve in curves], dtype=torch.float64)
        super().__init__(
            name=name,
            x0=torch.tensor([start], dtype=torch.float64),
            mu=mu,
            L=float(L_i.mean()),
            L_i=L_i,
            minimum=float(self.losses(best).mean()),
            component_minima=torch.zeros(len(curves), dtype=torch.float64),
            minimizer=best,
        )

    def losses(self, x: Tensor, index: Tensor | None = None) -> Tensor:
        every = torch.stack([curve.value(x[..., 0]) for curve in self.curves], -1)
        return every if index is None else every.gather(-1, index)

    def gradient(self, x: Tensor, index: Tensor | None = None, weight: Tensor | None = None) -> Tensor:
        every = torch.stack([curve.slope(x[..., 0]) for curve in self.curves], -1)
        if index is None or weight is None:
            return every.mean(-1, keepdim=True)
        return (weight * every.gather(-1, index)).sum(-1, keepdim=True)


def parabola(curvature: float, center: float) -> Curve:
    """Return ``curvature (x - center)^2 / 2``."""
    return Curve(lambda x: curvature * (x - center).square() / 2, lambda x: curvature * (x - center), curvature)


def huber(scale: float, center: float) -> Curve:
    """Return ``scale (sqrt(1 + (x - center)^2) - 1)``: convex, with slopes that stay bounded."""
    return Curve(
        lambda x: scale * ((1 + (x - center).square()).sqrt() - 1),
        lambda x: scale * (x - center) / (1 + (x - center).square()).sqrt(),
        scale,
    )


def wave(frequency: float, tilt: float = 0.0) -> Curve:
    """Return ``(1 - cos(w x)) / w^2 + tilt x``: 1-smooth and not convex."""
    return Curve(
        lambda x: (1 - (frequency * x).cos()) / frequency**2 + tilt * x,
        lambda x: (frequency * x).sin() / frequency + tilt,
        1.0,
    )


WEIGHTS = (1.0, 3.0)
PHASE = 3 * pi / 2
"""``w rho`` of the wave: the perturbed point is a minimum where the slope is largest."""


def opposed(shape: Callable[[float, float], Curve], rho: float = 0.0) -> tuple[OneVariable, float]:
    r"""Return two components that pull to 1 and -1, and the point where SAM on single samples rests on average.

    Between -1 and 1 the first is perturbed by -rho and the second by rho: SAM descends on
    :math:`\frac12 (f_1(x - \rho) + f_2(x + \rho))`. On parabolas its minimizer is :math:`x^*(1 + \rho)`.
    """
    curves = [shape(WEIGHTS[0], 1.0), shape(WEIGHTS[1], -1.0)]

    def pull(x: float, radius: float) -> float:
        return sum(
            float(curve.slope(torch.tensor(x + away, dtype=torch.float64)))
            for curve, away in zip(curves, (-radius, radius), strict=True)
        )

    best, rests = (
        float(root_scalar(pull, args=(radius,), bracket=(-1 - radius, 1 + radius), xtol=1e-14).root)
        for radius in (0.0, rho)
    )
    mu = sum(WEIGHTS) / 2 if shape is parabola else 0.0
    return OneVariable(f"two {shape.__name__}s", curves, 0.0, mu, best), rests


def waves(rho: float, tilt: float = 0.0) -> tuple[OneVariable, float]:
    r"""Return a wave, tilted both ways in two components, and the slope at which SAM with this rho rests.

    The fixed point has :math:`w x = 2\pi - w\rho`, a minimum at the perturbed point, and the slope
    :math:`|\sin w\rho| / w`. It attracts, whatever the sample, while the tilt is below that slope.
    """
    frequency = PHASE / rho
    slope = 1 / frequency
    curves = [wave(frequency)] if tilt == 0 else [wave(frequency, sign * tilt * slope) for sign in (1, -1)]
    return OneVariable("wave", curves, 1.2 * (2 * pi - PHASE) / frequency, 0.0, 0.0), slope
