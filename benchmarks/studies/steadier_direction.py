"""An ascent direction with less noise of the batch, or with less of the full gradient, is no worse."""

from ...results.statistics.verdicts import every, exceeds
from ..studying.evidence import Evidence, within_seed
from ..studying.registry import Finding, Part, study

RULES = ("fsam", "vasso")
MARGIN = -0.5


@study(
    "steadier_direction",
    "Taking the noise of the batch out of the ascent direction, or its full gradient, is at least as good as SAM.",
    papers=("Li et al. 2024, arXiv 2403.12350 (F-SAM)", "Li and Giannakis 2023, arXiv 2309.15639 (VaSSO)"),
    setting="WRN-10-1 on digits with 40 % wrong labels, 50 epochs, ten seeds, nothing tuned, radius .1.",
    departs="The papers train on CIFAR and ImageNet, at tuned radii. The prediction says that F-SAM takes the noise "
    "of the batch out: it takes the full gradient out, and keeps the noise.",
    suite="noise-family",
    rule="Both are to be no more than 0.5 points worse than SAM by the t-interval within the seed at 1 - .05/2; one "
    "that by its whole interval is worse by more contradicts.",
)
def steadier_direction(evidence: Evidence) -> Finding:
    """Judge both rules."""
    sam = evidence.errors("sam")
    parts = [
        Part(
            f"less error than SAM: {rule}",
            exceeds(within_seed((1, sam), (-1, evidence.errors(rule))), MARGIN, level=1 - 0.05 / len(RULES)),
        )
        for rule in RULES
    ]
    return Finding(every([part.verdict.outcome for part in parts]), tuple(parts))
