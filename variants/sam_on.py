"""SAM-ON: SAM that perturbs only the normalization layers."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim import Optimizer

from ..errors import ConfigError
from ..hyper import Value
from .contract import TINY, Gradient, Owner, tensor_norms
from .info import Identity, Paper
from .registry import Hyper, register
from .sam import SAM

NORMALIZATIONS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
"""Batch, instance, layer, group and root-mean-square normalization of PyTorch, and what is derived from them."""


@register(
    "sam_on",
    summary="SAM or ASAM that perturbs the scales and shifts of normalization layers and nothing else",
    paper=Paper(
        "Mueller, Vlaar, Rolnick, Hein",
        2023,
        "2306.04226",
        "Normalization Layers Are All That Sharpness-Aware Minimization Needs",
        "mueller-mp/SAM-ON",
    ),
    gradients=2,
    transient=0.1,  # the share of normalization layers, in most networks far less
    needs=("modules",),
    hyper={
        "rho": Hyper(0.5, "radius, in normalized coordinates if scaled", low=0, search=(0.05, 20.0, "log")),
        "layers": Hyper("norm", "which parameters are perturbed", choices=("norm", "other", "all")),
        "scaling": Hyper("none", "T of ASAM", choices=("none", "elementwise", "layerwise")),
        "p": Hyper("2", "norm of the ball", choices=("2", "inf")),
        "eta": Hyper(0.01, "floor of T where it is not 1", low=0),
        "normalize_bias": Hyper(False, "scale biases too, not only weights"),
    },
    neutral={"rho": 0.0},
    identities=(
        Identity({"layers": "all", "rho": 0.1}, "sam", {"rho": 0.1}),
        Identity({"layers": "all", "scaling": "elementwise", "rho": 0.5}, "asam", {"rho": 0.5}),
    ),
    defaults={"cifar100": {"rho": 10.0, "scaling": "elementwise", "normalize_bias": True}},
    notes=(
        "Needs larger radii than SAM; with p='inf' much smaller ones, since every entry then moves by rho T. The "
        "published CIFAR-100 setting goes with AutoAugment; the default radius has no source. A model without "
        "normalization layers of PyTorch's types is refused unless layers='all' or 'other'."
    ),
)
class SAMON(SAM):
    r"""Sharpness-aware minimization, only norm.

    .. math::
        \epsilon = \rho \, T^2 g_N / \|T g_N\|_2 \;(p = 2), \qquad
        \epsilon = \rho \, T \, \mathrm{sign}(g_N) \;(p = \infty), \qquad
        w_{t+1} = \mathrm{base}(w_t, \nabla f_S(w_t + \epsilon))

    :math:`g_N` is the gradient by the parameters of normalization layers, zero elsewhere; all parameters descend.
    T = 1 (SAM-ON), or on weights :math:`|w| + \eta` (elementwise) or :math:`\|w_l\| + \eta` (layerwise), and the same
    on biases with ``normalize_bias``. ``layers="other"`` perturbs all but normalization layers, the paper's contrast.

    Departs from the original code, which knows a normalization layer by "norm" or "bn" in a parameter's name and so
    misses that of a shortcut ("shortcut.1"), by looking at the type of the module; which knows a weight by "weight" in
    the whole path, by looking at the parameter's own name; by storing only what is perturbed; and by adding eta to the
    layer's norm, where it multiplies by 1 + eta and cannot move a shift off zero.

    References:
        Mueller et al., NeurIPS 2023, arXiv 2306.04226; code: mueller-mp/SAM-ON.
    """

    def __init__(self, base: Optimizer, owners: dict[Tensor, Owner], hyper: dict[str, Value], seed: int = 0):
        super().__init__(base, owners, hyper, seed)
        if self.defaults["layers"] == "norm" and not any(self.is_norm(p) for p in self.owners):
            known = ", ".join(kind.__name__.lstrip("_") for kind in NORMALIZATIONS)
            raise ConfigError(
                f"'sam_on' perturbs normalization layers and this model has none (of {known}); choose a model with "
                "some, or layers='all'"
            )

    def is_norm(self, p: Tensor) -> bool:
        return isinstance(self.owners[p].module, NORMALIZATIONS)

    def update(self, closure: Any) -> Tensor:
        at = self.gradient(closure)
        chosen = self.select(at)
        at.values.clear()
        with self.perturbed(chosen, self.ascent(chosen)):
            chosen.values.clear()
            worst = self.gradient(closure)
        self.descend(worst)
        return at.loss

    def select(self, at: Gradient) -> Gradient:
        """Return the part of a gradient that may be perturbed."""
        wanted = {"norm": (True,), "other": (False,), "all": (True, False)}
        pairs = [
            (p, g)
            for group, params, values in self.groups(at)
            for p, g in zip(params, values, strict=True)
            if self.is_norm(p) in wanted[group["layers"]]
        ]
        return Gradient(at.loss, [p for p, _ in pairs], [g for _, g in pairs])

    def ascent(self, at: Gradient) -> list[Tensor]:
        scales = [self.scale(p, group) for group, params, _ in self.groups(at) for p in params]
        for group, _, values in self.groups(at):
            if group["p"] == "inf":
                torch._foreach_sign_(values)
        if scales:
            torch._foreach_mul_(at.values, scales)  # in place: at.values is now T g, or T sign(g)
        inverse = 1.0 / (at.norm() + TINY)
        for (group, _, values), (_, _, again) in zip(self.groups(at), self.groups(at.like(scales)), strict=True):
            if group["p"] == "inf":
                torch._foreach_mul_(values, group["rho"])
            else:
                torch._foreach_mul_(values, again)
                torch._foreach_mul_(values, group["rho"] * inverse)
        return at.values

    def scale(self, p: Tensor, group: dict[str, Any]) -> Tensor:
        """Return T of a parameter: of its shape, or 0-d when it is the same for all its entries."""
        if group["scaling"] == "none" or not (group["normalize_bias"] or self.owners[p].is_weight):
            return p.new_ones(())
        size = p.abs() if group["scaling"] == "elementwise" else tensor_norms([p])[0].to(p.dtype)
        return size.add_(group["eta"])
