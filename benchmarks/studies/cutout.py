"""Cutout leaves SAM something to gain."""

from ...results.statistics.verdicts import exceeds
from ..studying.evidence import Evidence, within_seed
from ..studying.registry import Finding, Part, study

MARGIN = 0.5


@study(
    "cutout",
    "SAM gains over SGD on top of Cutout, too.",
    papers=("Foret et al. 2020, arXiv 2010.01412, section 3.1", "DeVries and Taylor 2017, arXiv 1708.04552"),
    setting="WRN-10-1 on digits with 40 % wrong labels, 25 epochs, ten seeds, nothing tuned, radius .1, with and "
    "without a square of 3 of the 8 pixels cut out.",
    departs="Foret et al. train WideResNets and PyramidNets on CIFAR with right labels; Cutout takes 16 of 32 "
    "pixels there.",
    suite="noise-cutout",
    rule="95 % t-interval of the gain of SAM with Cutout within the seed, at equal epochs, against the margin of 0.5 "
    "points.",
)
def cutout(evidence: Evidence) -> Finding:
    """Judge the gain with Cutout; show it without, and how much of it Cutout takes."""
    plain, square = ("crop:4,flip", "cutout:16") if evidence.at_scale else ("crop:1", "cutout:3")
    with_, without = (
        [(1, evidence.errors("sgd", augment=augment)), (-1, evidence.errors("sam", augment=augment))]
        for augment in (f"{plain},{square}", plain)
    )
    taken = [*without, *((-factor, errors) for factor, errors in with_)]
    parts = (
        Part("gain of SAM with Cutout", exceeds(within_seed(*with_), MARGIN)),
        Part("gain of SAM without Cutout", exceeds(within_seed(*without), MARGIN)),
        Part("how much of the gain Cutout takes", exceeds(within_seed(*taken), 0)),
    )
    return Finding(parts[0].verdict.outcome, parts)
