"""AWP: a perturbation whose size in each layer is a share of that layer's weights."""

from typing import Any

import torch
from torch import Tensor

from .contract import TINY, Gradient, tensor_norms
from .info import Paper
from .registry import Hyper, register
from .sam import SAM


@register(
    "awp",
    summary="layer-wise relative SAM: perturbs each weight tensor by gamma times its own norm",
    paper=Paper(
        "Wu, Xia, Wang",
        2020,
        "2004.05884",
        "Adversarial Weight Perturbation Helps Robust Generalization",
        "csdongxian/AWP",
    ),
    gradients=2,
    transient=0.9,  # all but biases and normalization layers
    needs=("names",),
    hyper={
        "gamma": Hyper(
            0.01, "norm of a layer's perturbation over that of its weights", low=0, search=(1e-3, 0.1, "log")
        )
    },
    neutral={"gamma": 0.0},
    notes=(
        "Published for adversarial training only, where gamma is 0.01; in standard training this is layer-wise "
        "relative SAM in the style of AWP, and gamma has no published value. Biases and normalization layers are not "
        "perturbed."
    ),
)
class AWP(SAM):
    r"""Adversarial weight perturbation, in standard training.

    .. math::
        \epsilon_l = \gamma \, \|w_l\| \, g_l / \|g_l\| \text{ for each layer } l, \qquad
        w_{t+1} = \mathrm{base}(w_t, \nabla f_S(w_t + \epsilon))

    A layer is a parameter with more than one dimension whose own name contains "weight".

    Departs from the original code by computing the direction from the gradient itself, where the original lets a second
    copy of the model take one ascent step of SGD and subtracts (the same direction, up to rounding; that copy also
    keeps the first pass out of the model's BatchNorm statistics); by restoring the weights before the base step, where
    the original restores them after it, so that its weight decay is that of the perturbed weights; by 1e-12 in the
    denominator (there 1e-20); by a parameter's own name, where the original looks for "weight" in the whole path; and
    by leaving out the warm-up.

    References:
        Wu et al., NeurIPS 2020, arXiv 2004.05884; code: csdongxian/AWP.
    """

    def update(self, closure: Any) -> Tensor:
        at = self.gradient(closure)
        chosen = [i for i, p in enumerate(at.params) if p.ndim > 1 and self.owners[p].is_weight]
        layers = Gradient(at.loss, [at.params[i] for i in chosen], [at.values[i] for i in chosen])
        at.values.clear()
        with self.perturbed(layers, self.ascent(layers)):
            layers.values.clear()
            worst = self.gradient(closure)
        self.descend(worst)
        return at.loss

    def ascent(self, at: Gradient) -> list[Tensor]:
        for group, params, values in self.groups(at):
            scales, norms = tensor_norms(params), tensor_norms(values)
            torch._foreach_add_(norms, TINY)
            torch._foreach_div_(scales, norms)
            torch._foreach_mul_(scales, group["gamma"])
            torch._foreach_mul_(values, scales)
        return at.values
