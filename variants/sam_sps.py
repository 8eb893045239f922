"""SAM-SPS: SAM with a stochastic Polyak step size."""

from typing import Any

from torch import Tensor
from torch.optim import SGD, Optimizer

from ..errors import ConfigError
from ..hyper import Value
from .contract import TINY, Owner
from .info import Paper
from .projection import inner
from .ranks import mean_over_ranks
from .registry import Hyper, register
from .sam import SAM


@register(
    "sam_sps",
    summary="SAM that sets its own step size by Polyak's rule at the perturbed point; needs no learning rate",
    paper=Paper(
        "Oikonomou, Loizou",
        2026,
        title="Adaptive Sharpness-Aware Minimization with a Polyak-type Step Size: A Theory-Grounded Scheduler",
        code="dimitris-oik/sam_sps",
    ),
    gradients=2,
    transient=2,
    synchronizes=True,
    hyper={
        "rho": Hyper(0.1, "radius of the perturbation, L2 norm", low=0, search=(0.01, 0.5, "log")),
        "f_star": Hyper(0.0, "lower bound on the loss of a batch"),
        "gamma_b": Hyper(1.0, "largest step size", low=0, search=(0.1, 10.0, "log")),
    },
    neutral=None,
    notes=(
        "The step size stands in for the learning rate of the base optimizer, which must be sgd; the given lr and its "
        "schedule have no effect, hence no neutral setting. Published with weight decay 5e-4 and without momentum: "
        "with momentum the step size is no longer Polyak's for the step that is made. Every step waits for the device. "
        "The authors' README has a table that says CIFAR-100 and can only be CIFAR-10."
    ),
)
class SAMSPS(SAM):
    r"""SAM with the stochastic Polyak scheduler.

    .. math::
        e_t = w_t + \rho\, g / \|g\|, \quad g = \nabla f_S(w_t), \quad g_e = \nabla f_S(e_t), \qquad
        \gamma_t = \min\Big\{ \frac{[f_S(e_t) - f^* - \langle g_e, e_t - w_t \rangle]_+}{\|g_e\|^2},\; \gamma_b \Big\}

        w_{t+1} = w_t - \gamma_t\, (g_e + \delta w_t)

    with the weight decay :math:`\delta` of the base optimizer, which makes this step with :math:`\gamma_t` for its
    learning rate; the latter is put back. A group with its own :math:`f^*` or :math:`\gamma_b` has its own step size.

    Departs from the original code by returning the loss at w_t, and by undoing the perturbation from a copy.
    ``sam_sps.SAM_SPS`` (1.0.0) makes the same steps, its norms and inner products summed in float32 (3e-9 after 20
    steps of a small network in float64).

    References:
        Oikonomou and Loizou, ICML 2026; code: dimitris-oik/sam_sps, package sam-sps.
    """

    def __init__(self, base: Optimizer, owners: dict[Tensor, Owner], hyper: dict[str, Value], seed: int = 0):
        super().__init__(base, owners, hyper, seed)
        if not isinstance(base, SGD):
            raise ConfigError(
                f"{self.info.name!r} computes the step size for the gradient itself, not for the direction of "
                f"{type(base).__name__}: use base='sgd'"
            )

    def update(self, closure: Any) -> Tensor:
        at = self.gradient(closure)
        ascent = self.ascent(at)
        with self.perturbed(at, ascent):
            worst = self.gradient(closure)
        gap = mean_over_ranks(worst.loss - inner(worst.values, ascent))
        squared = inner(self.average(worst).values, worst.values).clamp(min=TINY)
        rates = [group["lr"] for group in self.param_groups]
        try:
            for group in self.param_groups:
                polyak = float((gap - group["f_star"]) / squared)
                group["lr"] = min(max(polyak, 0.0), group["gamma_b"])
            self.descend(worst)
        finally:
            for group, rate in zip(self.param_groups, rates, strict=True):
                group["lr"] = rate
        return at.loss
