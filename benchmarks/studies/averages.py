"""SAM is more than an average of weights."""

from ...results.statistics.verdicts import exceeds
from ..studying.evidence import Evidence, within_seed
from ..studying.registry import Finding, Part, study

MARGIN = 0.5


@study(
    "averages",
    "SAM generalizes better than SGD with stochastic weight averaging.",
    papers=("asked here, after Kaddour et al. 2022, arXiv 2202.00661",),
    setting="WRN-10-1 on digits with 40 % wrong labels, 50 epochs, ten seeds, nothing tuned, radius .1; SWA over the "
    "last fifth of training at half the rate.",
    departs="The paper compares on 42 tasks with right labels, and finds that either may win.",
    suite="noise-family",
    rule="95 % t-interval of the difference within the seed, against the margin of 0.5 points. Epochs are equal, "
    "so that SAM has twice the gradient evaluations.",
)
def averages(evidence: Evidence) -> Finding:
    """Judge the difference."""
    effect = within_seed((1, evidence.errors("swa")), (-1, evidence.errors("sam")))
    part = Part("gain of SAM over SWA", exceeds(effect, MARGIN))
    return Finding(part.verdict.outcome, (part,))
