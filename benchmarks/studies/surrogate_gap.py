"""Minimizing the surrogate gap beside the perturbed loss is better than SAM."""

from ...results.statistics.verdicts import exceeds
from ..studying.evidence import Evidence, within_seed
from ..studying.registry import Finding, Part, study

MARGIN = 0.5


@study(
    "surrogate_gap",
    "GSAM generalizes better than SAM.",
    papers=("Zhuang et al. 2022, arXiv 2203.08065",),
    setting="WRN-10-1 on digits with 40 % wrong labels, 50 epochs, ten seeds, nothing tuned, radius .1 for SAM, the "
    "registry's defaults for GSAM.",
    departs="The paper trains ViT, MLP-Mixer and ResNets on ImageNet, at tuned radii.",
    suite="noise-family",
    rule="95 % t-interval of the difference within the seed, against the margin of 0.5 points.",
)
def surrogate_gap(evidence: Evidence) -> Finding:
    """Judge the difference."""
    effect = within_seed((1, evidence.errors("sam")), (-1, evidence.errors("gsam")))
    part = Part("gain of GSAM over SAM", exceeds(effect, MARGIN))
    return Finding(part.verdict.outcome, (part,))
