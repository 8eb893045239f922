"""AE-SAM: SAM where the gradient is unusually long, the plain gradient elsewhere."""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .contract import Gradient
from .info import Identity, Paper
from .registry import Hyper, register
from .sam import SAM

PAPER = Paper(
    "Jiang, Yang, Zhang, Kwok",
    2023,
    "2304.14647",
    "An Adaptive Policy to Employ Sharpness-Aware Minimization",
)
POLICY = {
    "delta": Hyper(0.9, "weight of the past in the running mean and variance", low=0, high=1, search=(0.9, 0.99)),
    "lam1": Hyper(-1.0, "threshold at the end of training, in standard deviations above the mean"),
    "lam2": Hyper(1.0, "threshold at the start of training"),
}


def observe(mean: float, variance: float, squared: float, delta: float) -> tuple[float, float]:
    """Return the running mean and variance after one more squared gradient norm.

    Example:
        >>> observe(0.0, 0.0, 1.0, 0.5)
        (0.5, 0.125)
    """
    mean = delta * mean + (1.0 - delta) * squared
    return mean, delta * variance + (1.0 - delta) * (squared - mean) ** 2


def expected_cost(hyper: Mapping[str, Any]) -> float:
    """Return 1 + the share of SAM steps, if the squared norms were normal: the mean of P(z >= c), c from lam2 to lam1.

    Example:
        >>> expected_cost({"lam1": -1.0, "lam2": 1.0}), expected_cost({"lam1": -1e9, "lam2": -1e9})
        (1.5, 2.0)
    """

    def exceeds(c: float) -> float:
        return math.erfc(c / math.sqrt(2.0)) / 2.0

    def integral(c: float) -> float:  # of exceeds
        return c * exceeds(c) - math.exp(-c * c / 2.0) / math.sqrt(2.0 * math.pi)

    low, high = sorted((hyper["lam1"], hyper["lam2"]))
    return 1.0 + (exceeds(low) if low == high else (integral(high) - integral(low)) / (high - low))


@register(
    "ae_sam",
    summary="SAM on steps whose squared gradient norm exceeds a moving threshold, the base optimizer on the others",
    paper=PAPER,
    gradients=expected_cost,
    transient=1,
    cost="adaptive",
    synchronizes=True,
    needs=("clock",),
    hyper={"rho": Hyper(0.05, "radius of the perturbation, L2 norm", low=0, search=(0.01, 0.5, "log")), **POLICY},
    neutral={"rho": 0.0},
    identities=(
        Identity({"lam1": -1e9, "lam2": -1e9, "rho": 0.1}, "sam", {"rho": 0.1}),
        Identity({"lam1": 1e9, "lam2": 1e9}, "sgd"),
    ),
    status="reimplementation, unverified",
    notes=(
        "delta, lam1 and lam2 are not confirmed by a source, nor that mean and variance start at zero. The cost "
        "depends on the gradients; the declared one holds if their squared norms were normal around a steady mean. The "
        "decision branches on a value, so every step waits for the device. It is one for the whole model, by the first "
        "group's delta, lam1 and lam2."
    ),
)
class AESAM(SAM):
    r"""Adaptive policy to employ SAM.

    .. math::
        \mu_t = \delta \mu_{t-1} + (1 - \delta) \|g_t\|^2, \qquad
        \sigma_t^2 = \delta \sigma_{t-1}^2 + (1 - \delta) (\|g_t\|^2 - \mu_t)^2, \qquad
        c_t = \tfrac{t}{T} \lambda_1 + \big(1 - \tfrac{t}{T}\big) \lambda_2

        w_{t+1} = \begin{cases}
            \mathrm{base}(w_t, \nabla f_S(w_t + \rho\, g_t / \|g_t\|)) & \|g_t\|^2 \ge \mu_t + c_t \sigma_t \\
            \mathrm{base}(w_t, g_t) & \text{otherwise}
        \end{cases}

    with :math:`g_t = \nabla f_S(w_t)` of the batch, t = 0, 1, ... of T steps, and :math:`\mu = \sigma^2 = 0` before the
    first. The two numbers are Python floats (float64), saved with the state.

    References:
        Jiang et al., ICLR 2023, arXiv 2304.14647; no code of the authors was found.
    """

    def update(self, closure: Any) -> Tensor:
        at = self.gradient(closure)
        policy = self.param_groups[0]
        squared = float(at.norm()) ** 2
        past = self.scalars.get("mean", 0.0), self.scalars.get("variance", 0.0)
        mean, variance = observe(*past, squared, policy["delta"])
        done = self.ask(closure, "step") / self.ask(closure, "total_steps")
        threshold = mean + (done * policy["lam1"] + (1.0 - done) * policy["lam2"]) * math.sqrt(variance)
        direction = self.sharp(at, closure) if squared >= threshold else self.flat(at)
        self.scalars.update(mean=mean, variance=variance)
        self.descend(direction)
        return at.loss

    def sharp(self, at: Gradient, closure: Any) -> Gradient:
        """Return SAM's gradient; that at the weights is spent."""
        with self.perturbed(at, self.ascent(at)):
            at.values.clear()
            return self.gradient(closure)

    def flat(self, at: Gradient) -> Gradient:
        """Return the direction of a step without a second gradient."""
        return at
