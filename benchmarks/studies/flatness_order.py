"""Sharpness orders methods by their test error."""

import numpy as np

from ...results.statistics.rank_correlation import kendall_tau
from ...results.statistics.verdicts import every, exceeds
from ..studying.evidence import BySeed, Evidence
from ..studying.registry import Finding, Part, study
from .flatness import LABELS, MEASURES, RADII, SHARES

MARGIN = 0.2


@study(
    "flatness_order",
    "Of networks that were trained by SGD and by SAM, those in flatter minima generalize better.",
    papers=(
        "Keskar et al. 2016, arXiv 1609.04836",
        "Jiang et al. 2019, arXiv 1912.02178",
        "against it: Andriushchenko et al. 2023, arXiv 2302.07011",
    ),
    setting="WRN-10-1 on digits with right labels and with 40 % wrong ones, 20 epochs, ten seeds, nothing tuned, SGD "
    "and SAM at four radii; measured on 512 training images.",
    departs="The papers compare networks of many settings on CIFAR and ImageNet; these differ in the rule and its "
    "radius alone. On a perceptron, seen before, flatter networks had more error (docs/measures.md).",
    suite="digits-flatness",
    rule="t-interval at 1 - .05/2 over seeds of Kendall's tau within the seed, the mean of three measures, against .2; "
    "the claim needs both shares of wrong labels, and one short of it contradicts.",
    unit="tau",
    measures=MEASURES,
)
def flatness_order(evidence: Evidence) -> Finding:
    """Judge the mean of the three measures at both shares; show each measure too."""
    means, each = [], []
    for share in SHARES:
        errors = [evidence.errors("sgd", noise=share), *(evidence.errors("sam", noise=share, rho=rho) for rho in RADII)]
        taus = [_tau(_measured(evidence, label, share), errors) for label in LABELS]
        where, level = f"with test error, {share:.0%} wrong labels", 1 - 0.05 / len(SHARES)
        means.append(Part(f"tau of sharpness {where}", exceeds(np.mean(taus, axis=0), MARGIN, level)))
        each += [
            Part(f"tau of {name} {where}", exceeds(tau, MARGIN, level))
            for name, tau in zip(LABELS.values(), taus, strict=True)
        ]
    return Finding(every([part.verdict.outcome for part in means]), (*means, *each))


def _measured(evidence: Evidence, label: str, share: float) -> list[BySeed]:
    sam = (evidence.measured(label, "sam", noise=share, rho=rho) for rho in RADII)
    return [evidence.measured(label, "sgd", noise=share), *sam]


def _tau(measured: list[BySeed], errors: list[BySeed]) -> np.ndarray:
    """Return the rank correlation over the methods by seed; 0 where all values of one are equal."""
    seeds = sorted(set.intersection(*(set(one) for one in measured)))
    first, second = (np.array([[one[seed] for one in values] for seed in seeds]) for values in (measured, errors))
    return np.nan_to_num(kendall_tau(first, second))
