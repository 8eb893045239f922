"""The universal class of sharpness measures: functions of the loss at randomly perturbed weights."""

from typing import Any

import torch
from torch import Tensor

from .contract import Gradient, StepRule
from .info import Paper
from .ranks import mean_over_ranks

PAPER = Paper(
    "Tahmasebi, Soleymani, Bahri, Jegelka, Jaillet",
    2024,
    "2406.03682",
    "A Universal Class of Sharpness-Aware Minimization Algorithms",
    "dbahri/universal_sam",
)


class UniversalSAM(StepRule):
    r"""The common rule of ``trace_sam``, ``det_sam`` and ``frob_sam``; not a variant itself.

    .. math::
        \delta_j = \big(f_S(w + \rho u_j) - f_S(w)\big) / \rho^2, \quad u_1, \dots, u_n \sim \mu, \qquad
        w_{t+1} = \mathrm{base}\Big(w_t,\; g + \lambda \sum_j c_j\, (g_j - g)\Big)

    with :math:`g = \nabla f_S(w_t)` and :math:`g_j = \nabla f_S(w_t + \rho u_j)`: the gradient of
    :math:`f + \lambda \rho^2 S`, where S is a function of the gaps :math:`\delta_j` and
    :math:`c_j = \partial S / \partial \delta_j`. A sharpness measure is a choice of the distribution :math:`\mu` and of
    these weights. As :math:`\rho \to 0` at a stationary point, :math:`\delta \to u^\top H u / 2`.

    The same batch in all n + 1 evaluations. A group with its own ``rho`` and ``lam`` perturbs and weighs its own part;
    the number of samples is the first group's.
    """

    def direction(self, group: dict[str, Any], p: Tensor, generator: torch.Generator) -> Tensor:
        """Draw u for one parameter: the standard normal distribution unless a measure says otherwise."""
        return torch.randn(p.shape, generator=generator, device=generator.device).to(p)

    def weights(self, gaps: Tensor) -> Tensor:
        """Return the weights c (n,) of the gaps (n,)."""
        raise NotImplementedError(f"{type(self).__name__} defines no weights")

    def update(self, closure: Any) -> Tensor:
        at, generator = self.gradient(closure), self.noise()
        probes = []
        for _ in range(self.param_groups[0]["samples"]):
            with self.perturbed(at, self._draw(at, generator)):
                probes.append(self.gradient(closure))
        rises = mean_over_ranks(torch.stack([probe.loss for probe in probes]) - at.loss)
        every = zip(self.groups(at), *(self.groups(probe) for probe in probes), strict=True)
        for (group, _, values), *probed in every:
            weights = group["lam"] * self.weights(rises / group["rho"] ** 2)
            torch._foreach_mul_(values, 1.0 - weights.sum())
            for weight, (_, _, others) in zip(weights, probed, strict=True):
                torch._foreach_mul_(others, weight)
                torch._foreach_add_(values, others)
        self.descend(at)
        return at.loss

    def _draw(self, at: Gradient, generator: torch.Generator) -> list[Tensor]:
        return [
            self.direction(group, p, generator).mul_(group["rho"])
            for group, params, _ in self.groups(at)
            for p in params
        ]
