"""WHAT is compared: the registry, the contract and one file per variant.

from sambench.variants import create, list_variants

optimizer = create("unified_sam", model, base="sgd", lr=0.1, momentum=0.9, rho=0.2, lam="1-1/t")
loss = optimizer.step(closure)
"""

from ..hyper import Hyper
from ..registry import load_plugin
from ._bases import list_bases
from .averages import AVERAGES, WeightAverage, create_average
from .contract import TINY, Gradient, GradientOracle, StepRule, global_norm
from .hooks import HOOKS, LossHook, create_hook
from .info import Identity, Paper, VariantInfo
from .published import Published
from .registry import create, get_info, list_variants, published_results, register

__all__ = [
    "AVERAGES",
    "HOOKS",
    "TINY",
    "Gradient",
    "GradientOracle",
    "Hyper",
    "Identity",
    "LossHook",
    "Paper",
    "Published",
    "StepRule",
    "VariantInfo",
    "WeightAverage",
    "create",
    "create_average",
    "create_hook",
    "get_info",
    "global_norm",
    "list_bases",
    "list_variants",
    "load_plugin",
    "published_results",
    "register",
]
