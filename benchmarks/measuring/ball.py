"""Ascent of a function in an l2 or linf ball around a point: Auto-PGD."""

from collections.abc import Callable

import torch
from torch import Tensor

from .objective import Function

MOMENTUM = 0.75
ENOUGH_RISES = 0.75
"""Share of the steps since the last checkpoint that must have risen, or the step size is halved."""


def rise_in_ball(
    function: Function, scale: Tensor | None, norm: str, rho: float, iterations: int, random: torch.Generator
) -> float:
    """Return the largest rise L(w + c u) - L(w) that is found with ||u||_p <= rho; the center counts, so it is >= 0.

    The ascent is in u, so that the ball is round whatever the scales c are, where c_i = 0 nothing moves, and a
    rescaling of the weights that leaves c u and w in proportion leaves every iterate in proportion. It starts at the
    center, along the gradient there; where that is zero, at a point drawn on the sphere. Step 2 rho, momentum .75; the
    step is halved, and u goes back to the best point, at checkpoints since which fewer than 75 % of the steps rose.

    Args:
        function: with the point w.
        scale: c, (P,), or None for 1.
        norm: ``"l2"`` or ``"linf"``.
        rho: radius of the ball.
        iterations: number of steps, one gradient each.
        random: stream of the start, on the CPU.

    References:
        Croce & Hein 2020, arXiv 2003.01690 (Auto-PGD); Andriushchenko et al. 2023, arXiv 2302.07011 (in weights).
    """
    project, direction = _BALLS[norm]

    def at(u: Tensor) -> tuple[float, Tensor]:
        value, gradient = function.gradient(function.theta + (u if scale is None else scale * u))
        return float(value), gradient if scale is None else scale * gradient

    def end(u: Tensor) -> float:
        return float(function.loss(function.theta + (u if scale is None else scale * u)))

    u = torch.zeros_like(function.theta)
    center, gradient = at(u)
    if not gradient.any():
        u = project(rho * direction(torch.randn(u.shape, generator=random, dtype=torch.float64).to(u)), rho)
        center, (_, gradient) = center, at(u)
    best, best_u, best_gradient = center, u, gradient
    step, before, last, rises, since = 2 * rho, u, center, 0, 0
    checkpoints = _checkpoints(iterations)
    for iteration in range(1, iterations + 1):
        plain = project(u + step * direction(gradient), rho)
        moved = plain if iteration == 1 else project(u + MOMENTUM * (plain - u) + (1 - MOMENTUM) * (u - before), rho)
        before, u = u, moved
        if iteration == iterations:
            return max(best, end(u)) - center
        value, gradient = at(u)
        rises, since = rises + (value > last), since + 1
        last = value
        if value > best:
            best, best_u, best_gradient = value, u, gradient
        if iteration in checkpoints:
            if rises < ENOUGH_RISES * since:
                step, u, before, gradient, last = step / 2, best_u, best_u, best_gradient, best
            rises = since = 0
    return best - center


def _checkpoints(iterations: int) -> set[int]:
    """Return the steps after which Auto-PGD looks back: .22 of all, then in periods that shrink by .03 to .06."""
    shares, period = [0.0, 0.22], 0.22
    while shares[-1] < 1:
        period = max(period - 0.03, 0.06)
        shares.append(shares[-1] + period)
    return {round(share * iterations + 0.4999) for share in shares[1:]}


def unit(vector: Tensor) -> Tensor:
    """Return a vector of l2 norm 1 in the same direction, of however small a one; zero for zero."""
    if float(norm := vector.norm()) < 1e4 * torch.finfo(vector.dtype).tiny ** 0.5:  # squares underflow
        vector = vector / (float(vector.abs().max()) or 1.0)
        norm = vector.norm().clamp_min(1)
    return vector / norm


def _into_l2(u: Tensor, rho: float) -> Tensor:
    norm = u.norm()
    return u if norm <= rho else u * (rho / norm)


def _into_linf(u: Tensor, rho: float) -> Tensor:
    return u.clamp(-rho, rho)


_BALLS: dict[str, tuple[Callable[[Tensor, float], Tensor], Callable[[Tensor], Tensor]]] = {
    "l2": (_into_l2, unit),
    "linf": (_into_linf, torch.sign),
}
"""Norm -> projection onto its ball, and its steepest direction."""
