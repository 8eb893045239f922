"""bSAM: a variational, Adam-like optimizer that relaxes Bayes' rule as SAM does."""

from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer

from ..errors import ConfigError
from ..hyper import Value
from . import published
from .contract import Gradient, Owner, StepRule
from .info import Paper
from .registry import Hyper, register
from .ssam_f import cut


@register(
    "bsam",
    summary="Bayesian SAM: weights with a learned precision; noise, ascent and descent are all scaled by it",
    paper=Paper(
        "Möllenhoff, Khan",
        2023,
        "2210.01620",
        "SAM as an Optimal Relaxation of Bayes",
        "team-approx-bayes/bayesian-sam",
    ),
    gradients=2,
    state=2,
    transient=6,
    steps_base=False,
    needs=("subset", "ids", "whole"),
    hyper={
        "rho": Hyper(0.01, "scale of the ascent step", low=0, search=(1e-3, 0.1, "log")),
        "beta1": Hyper(0.9, "weight of the past in the mean gradient", low=0, high=1),
        "beta2": Hyper(0.999, "weight of the past in the precision", low=0, high=1, search=(0.99, 0.999, 0.9999)),
        "damping": Hyper(0.1, "added to the precision's target", low=0, search=(0.01, 1.0, "log")),
        "precision": Hyper(1.0, "initial value of s", low=0, above=True),
        "data_size": Hyper(50_000.0, "number N of training samples, times the augmentation factor", low=0, above=True),
        "splits": Hyper(8, "parts of the batch with noise and ascent of their own", low=1, search=(1, 4, 8)),
    },
    neutral=None,
    defaults={name: {"rho": 0.01, "beta2": 0.999, "data_size": 2e5, "splits": 8} for name in ("cifar10", "cifar100")},
    published=(
        published.BAYESIAN_SAM_PRIOR_10.result(96.11, rho=0.01, splits=8),
        published.BAYESIAN_SAM_PRIOR_40.result(95.95, rho=0.01, splits=8),
        published.BAYESIAN_SAM_CIFAR100_PRIOR_10.result(80.2, rho=0.01, splits=8),
        published.BAYESIAN_SAM_CIFAR100_PRIOR_40.result(80.4, rho=0.01, splits=8),
        published.GIUNG2_CIFAR10.result(96.33),
        published.GIUNG2_CIFAR100.result(79.11),
    ),
    notes=(
        "An optimizer of its own: the base optimizer must be sgd, from which it takes the learning rate and the weight "
        "decay (prior precision over N), and which never steps; its momentum is not used, beta1 stands for it, nor do "
        "hooks on the base step act, such as gradient clipping. Hence no neutral setting. Published with lr 0.5, prior "
        "precision 40, augmentation factor 4 (weight decay 40 / 2e5 = 2e-4), batch 200, and predictions averaged over "
        "32 noisy models, which an evaluation at the mean does not do. step() returns the mean loss at ascent points."
    ),
)
class BSAM(StepRule):
    r"""Bayesian sharpness-aware minimization.

    .. math::
        g_k = \nabla f_{S_k}\big(w_t + n_k / \sqrt{N s_t}\big), \quad n_k \sim N(0, I), \qquad
        h_k = \nabla f_{S_k}(w_t + \rho\, g_k / s_t), \qquad S = S_1 \cup \dots \cup S_K

        m_{t+1} = \beta_1 m_t + (1 - \beta_1)\,\big(\bar h + \delta w_t\big), \qquad
        w_{t+1} = w_t - \eta\, m_{t+1} / s_t, \qquad
        s_{t+1} = \beta_2 s_t + (1 - \beta_2)\,\big(\sqrt{s_t}\, \overline{|g|} + \text{damping} + \delta\big)

    elementwise, with bars for means over the K parts, weighted by their sizes; :math:`\delta` is the weight decay,
    :math:`\eta` the learning rate, m = 0 at first. The K parts are consecutive, of ceil(|S| / K) samples.

    Departs from the original code (JAX) only in the batch sizes it accepts: there K must divide them.
    ``pytorch_optimizer.BSAM`` (4.1.0) is another rule: it does not restore the weights after the perturbation, draws
    noise of deviation 1 / (N s), decays the gradient instead of the weight, and squares the precision's last term.

    References:
        Möllenhoff and Khan, ICLR 2023, arXiv 2210.01620; code: team-approx-bayes/bayesian-sam, ``optim.py``.
    """

    def __init__(self, base: Optimizer, owners: dict[Tensor, Owner], hyper: dict[str, Value], seed: int = 0):
        super().__init__(base, owners, hyper, seed)
        if not isinstance(base, SGD):
            raise ConfigError(
                f"'bsam' is an optimizer of its own and makes no step of {type(base).__name__}: use base='sgd', "
                "from which it takes the learning rate and the weight decay"
            )

    def update(self, closure: Any) -> Tensor:
        count, splits = len(self.ask(closure, "ids")), self.param_groups[0]["splits"]
        params, s, roots, rhos = self._scales()
        if not params:
            return self.gradient(closure).loss
        start, generator = [p.clone() for p in params], self.noise()
        lengths, mean = [torch.zeros_like(p) for p in params], [torch.zeros_like(p) for p in params]
        loss = torch.zeros((), device=generator.device)
        drawn = torch.empty(sum(p.numel() for p in params), device=generator.device)
        noise = cut(drawn, params)
        parts = torch.arange(count, device=generator.device).chunk(splits)
        with self.perturbed(Gradient(loss, params, []), []):  # inside, each point is reached from `start`
            for part in parts:
                request, share = {"subset": part} if len(parts) > 1 else {}, len(part) / count
                drawn.normal_(generator=generator)
                torch._foreach_copy_(params, start)
                torch._foreach_addcdiv_(params, [n.to(p) for n, p in zip(noise, params, strict=True)], roots)
                noisy = self.gradient(closure, **request)
                torch._foreach_copy_(params, start)
                torch._foreach_addcdiv_(params, noisy.values, s, scalars=rhos)
                torch._foreach_abs_(noisy.values)
                torch._foreach_add_(lengths, noisy.values, alpha=share)
                noisy.values.clear()
                worst = self.gradient(closure, **request)
                torch._foreach_add_(mean, worst.values, alpha=share)
                worst.values.clear()
                loss = loss + worst.loss * share
        self._move(self.average(Gradient(loss, params, lengths)), self.average(Gradient(loss, params, mean)))
        return loss

    def _saved(self, p: Tensor, name: str, start: float) -> Tensor:
        """Return a state of a parameter, in its type, or a fresh one."""
        return self.own[p][name].to(p) if p in self.own else torch.full_like(p, start)

    def _scales(self) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[float]]:
        """Return all trained parameters, and of each s, sqrt(N s) and rho."""
        trained = [(p, group) for group in self.param_groups for p in group["params"] if p.requires_grad]
        if not trained:
            return [], [], [], []
        s = [self._saved(p, "s", group["precision"]) for p, group in trained]
        roots = torch._foreach_mul(s, [group["data_size"] for _, group in trained])
        torch._foreach_sqrt_(roots)
        return [p for p, _ in trained], s, list(roots), [group["rho"] for _, group in trained]

    def _move(self, lengths: Gradient, mean: Gradient) -> None:
        """Move weights and state; the two gradients become the new state."""
        for (group, params, m), (_, _, s) in zip(self.groups(mean), self.groups(lengths), strict=True):
            decay, before = group["weight_decay"], [self._saved(p, "s", group["precision"]) for p in params]
            torch._foreach_add_(m, params, alpha=decay)
            torch._foreach_lerp_(m, [self._saved(p, "m", 0.0) for p in params], group["beta1"])
            torch._foreach_mul_(s, torch._foreach_sqrt(before))
            torch._foreach_add_(s, group["damping"] + decay)
            torch._foreach_lerp_(s, before, group["beta2"])
            steps = torch._foreach_div(m, before)
            torch._foreach_mul_(steps, group["lr"])
            torch._foreach_sub_(params, steps)
            self.own.update({p: {"m": m_, "s": s_} for p, m_, s_ in zip(params, m, s, strict=True)})
