"""SAM on the normalization layers alone is enough."""

from ...results.statistics.verdicts import exceeds
from ..studying.evidence import Evidence, within_seed
from ..studying.registry import Finding, Part, study

MARGIN = -0.5


@study(
    "norm_layers_only",
    "SAM on the parameters of the normalization layers alone is as good as SAM on all, or better.",
    papers=("Mueller et al. 2023, arXiv 2306.04226",),
    setting="WRN-10-1 on digits with 40 % wrong labels, 50 epochs, ten seeds, nothing tuned, radius .1 for SAM, the "
    "registry's radius .5 for SAM-ON.",
    departs="The paper trains ResNets and WideResNets on CIFAR with right labels, at tuned radii.",
    suite="noise-family",
    rule="95 % t-interval of the difference within the seed, against the margin of -0.5 points.",
)
def norm_layers_only(evidence: Evidence) -> Finding:
    """Judge the difference."""
    effect = within_seed((1, evidence.errors("sam")), (-1, evidence.errors("sam_on")))
    part = Part("less error than SAM on all parameters: sam_on", exceeds(effect, MARGIN))
    return Finding(part.verdict.outcome, (part,))
