"""Lowering sharpness by the function rather than by the logits is better."""

from ...results.statistics.verdicts import exceeds
from ..studying.evidence import Evidence, within_seed
from ..studying.registry import Finding, Part, study

MARGIN = 0.5


@study(
    "functional_sam",
    "Functional SAM, which leaves out that part of SAM's gradient that scales logits, generalizes better than SAM.",
    papers=("Singh et al. 2025, arXiv 2502.02407",),
    setting="WRN-10-1 on digits with 40 % wrong labels, 25 epochs, ten seeds, nothing tuned, radius .1 for both.",
    departs="The paper trains language models, on which SAM does badly, with a preconditioned form on an adaptive "
    "base.",
    suite="noise-rivals",
    rule="95 % t-interval of the difference within the seed, against the margin of 0.5 points.",
)
def functional_sam(evidence: Evidence) -> Finding:
    """Judge the difference."""
    effect = within_seed((1, evidence.errors("sam")), (-1, evidence.errors("functional_sam")))
    part = Part("gain of functional SAM over SAM", exceeds(effect, MARGIN))
    return Finding(part.verdict.outcome, (part,))
