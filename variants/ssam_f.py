"""SSAM-F: SAM that perturbs only the parameters with the largest Fisher information."""

from typing import Any

import torch
from torch import Tensor

from .contract import Gradient
from .info import Identity, Paper
from .registry import Hyper, register
from .sam import SAM


def cut(flat: Tensor, like: list[Tensor]) -> list[Tensor]:
    """Return views of a vector (P,) in the shapes of the given tensors, in their order.

    Example:
        >>> [part.tolist() for part in cut(torch.arange(3.0), [torch.zeros(2), torch.tensor(0.0)])]
        [[0.0, 1.0], 2.0]
    """
    return [part.view(t.shape) for part, t in zip(flat.split([t.numel() for t in like]), like, strict=True)]


@register(
    "ssam_f",
    summary="sparse SAM: perturbs the parameters with the largest empirical Fisher information",
    paper=Paper(
        "Mi, Shen, Ren, Zhou, Sun, Ji, Tao",
        2022,
        "2210.05177",
        "Make Sharpness-Aware Minimization Stronger: A Sparsified Perturbation Approach",
        "Mi-Peng/Sparse-Sharpness-Aware-Minimization",
    ),
    gradients=lambda hyper: 2 + hyper["samples"] / hyper["mask_every"],
    state=1,
    transient=2.5,
    needs=("logits", "whole"),
    hyper={
        "rho": Hyper(0.1, "radius of SAM's perturbation before the mask", low=0, search=(0.01, 0.5, "log")),
        "sparsity": Hyper(0.5, "share of the parameters that is not perturbed", low=0, high=1, search=(0.2, 0.5, 0.8)),
        "mask_every": Hyper(100, "steps from one estimate of the mask to the next", low=1),
        "samples": Hyper(16, "samples of the batch that make an estimate, a gradient evaluation each", low=1),
    },
    neutral={"rho": 0.0},
    identities=(Identity({"sparsity": 0.0, "rho": 0.1}, "sam", {"rho": 0.1}),),
    defaults={
        "cifar10": {"rho": 0.1, "sparsity": 0.5, "mask_every": 390, "samples": 16},
        "cifar100": {"rho": 0.2},
    },
    notes=(
        "The mask comes from at most one batch (a smaller one than `samples` costs less than declared), where the "
        "paper takes 16 to 1024 samples from the data set. All the perturbation is computed before the mask: nothing "
        "is saved in time. sparsity, mask_every and samples are read from the first parameter group. With "
        "weight_decay_mode='in_loss' the decay enters the Fisher information with the weight of a whole batch. "
        "Published recipes: weight decay 1e-3, lr 0.05."
    ),
)
class SSAMF(SAM):
    r"""Sparse sharpness-aware minimization with a Fisher mask.

    .. math::
        \epsilon = M \cdot \rho \, g / \|g\|, \qquad
        w_{t+1} = \mathrm{base}(w_t, \nabla f_S(w_t + \epsilon)), \qquad
        M_j = [\,F_j \text{ is among the } \lfloor P (1 - s) \rfloor \text{ largest}\,], \quad
        F_j = \sum_{i} (\partial_j f_i(w))^2

    over all P parameters together, at least one of them. The norm is that of the whole gradient, so that
    :math:`\|\epsilon\| < \rho`. The mask is estimated anew every ``mask_every`` steps, before the perturbation, from
    the first ``samples`` samples i of the batch.

    Departs from the original code: the samples come from the present batch, since an optimizer sees no data set, and
    the first mask is ready for the first step, where the original leaves the weights unperturbed. The gradient of a
    sample is that of its loss within the batch (all other cotangents zero): BatchNorm normalizes as in training. The
    original runs batches of one, which BatchNorm normalizes by themselves (and refuses on 1x1 maps) and which enter its
    running statistics; here these come from the plain pass, made before. The price is a whole pass for each sample.
    Ties with the threshold are perturbed.

    References:
        Mi et al., NeurIPS 2022, arXiv 2210.05177; code: Mi-Peng/Sparse-Sharpness-Aware-Minimization (SSAMF; its README
        for ResNet-18 on CIFAR-10: rho 0.1, sparsity 0.5, 16 samples, every epoch).
    """

    def update(self, closure: Any) -> Tensor:
        at = self.gradient(closure)
        masks = self.masks(at, closure)
        if self.ascent(at):  # in place: at.values is now the ascent
            torch._foreach_mul_(at.values, masks)
        with self.perturbed(at, at.values):
            at.values.clear()
            worst = self.gradient(closure)
        for p, mask in zip(at.params, masks, strict=True):
            self.own.setdefault(p, {})["mask"] = mask
        self.descend(worst)
        return at.loss

    def masks(self, at: Gradient, closure: Any) -> list[Tensor]:
        """Return the mask of each parameter, estimated anew when it is due or a parameter has none."""
        first = self.param_groups[0]
        known = [self.own[p]["mask"] for p in at.params if p in self.own]
        if not at.params or (self.steps % first["mask_every"] and len(known) == len(at.params)):
            return known
        fisher = self.fisher(at.params, closure)
        threshold = torch.topk(fisher, max(1, int(len(fisher) * (1.0 - first["sparsity"]))), sorted=False).values.min()
        return [(part >= threshold).to(p) for p, part in zip(at.params, cut(fisher, at.params), strict=True)]

    def fisher(self, params: list[Tensor], closure: Any) -> Tensor:
        """Sum the squares of single samples' shares of the gradient, after a pass over the batch.

        Returns:
            (P,), in at least float32; smaller than the sum over losses by the square of the batch size, which no mask
            sees and which keeps a scaled loss in the range of float16.
        """
        wide = torch.float64 if any(p.dtype == torch.float64 for p in params) else torch.float32
        total = torch.zeros(sum(p.numel() for p in params), dtype=wide, device=params[0].device)
        part = dict(zip(params, cut(total, params), strict=True))
        cotangent = self.ask(closure, "cotangent")()
        for i in range(min(self.param_groups[0]["samples"], len(cotangent))):
            alone = torch.zeros_like(cotangent)
            alone[i] = cotangent[i]
            sample = self.gradient(closure, cotangent=alone)
            for p, g in zip(sample.params, sample.values, strict=True):
                part[p].addcmul_(g.to(total), g.to(total))
            sample.values.clear()
        return total
