"""Unified SAM between SAM and USAM is at least as good as both for most radii, where all labels are right."""

from ..studying.registry import study
from .unified_grid import RULE, unified_grid

study(
    "unified_grid_clothes",
    "Where labels are right, Unified SAM with lam .5 or 1-1/t is at least as good as SAM and as USAM for most radii.",
    papers=("Oikonomou and Loizou 2025, ICLR, Table 2",),
    setting="WRN-10-1 on 2,000 pictures of clothes at 16x16 pixels, 20 epochs, ten seeds, nothing tuned, four radii.",
    departs="The paper trains PreActResNet-18 and WRN-28-10 on all of CIFAR, three seeds; its radii are .1, .2, .3 "
    "and .4.",
    suite="unified-grid-clothes",
    rule=RULE,
)(unified_grid)
