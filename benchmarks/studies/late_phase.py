"""SAM late in training is enough."""

from ...results.statistics.verdicts import exceeds
from ..studying.evidence import Evidence, within_seed
from ..studying.registry import Finding, Part, study

MARGIN = -1.0


@study(
    "late_phase",
    "SAM in the last part of training alone is as good as SAM throughout.",
    papers=("Zhou et al. 2024, arXiv 2410.10373",),
    setting="WRN-10-1 on digits with 40 % wrong labels, 50 epochs, ten seeds, nothing tuned, radius .1, SAM in the "
    "last 30 % of the steps.",
    departs="The paper trains on CIFAR with right labels, and finds a few epochs at the end enough.",
    suite="noise-family",
    rule="95 % t-interval of the difference within the seed, against the margin of -1 point.",
)
def late_phase(evidence: Evidence) -> Finding:
    """Judge the difference."""
    effect = within_seed((1, evidence.errors("sam")), (-1, evidence.errors("late_sam")))
    part = Part("less error than SAM throughout: late_sam", exceeds(effect, MARGIN))
    return Finding(part.verdict.outcome, (part,))
