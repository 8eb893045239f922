"""A random direction does not do what the gradient does."""

from ...results.statistics.verdicts import exceeds
from ..studying.evidence import Evidence, within_seed
from ..studying.registry import Finding, Part, study

MARGIN = 0.5


@study(
    "random_directions",
    "The gain of SAM needs the direction of the gradient: a random one of the same length is worse.",
    papers=(
        "Foret et al. 2020, arXiv 2010.01412, appendix",
        "Wen, Ma and Li 2023, arXiv 2211.05729",
    ),
    setting="WRN-10-1 on digits with 40 % wrong labels, 50 epochs, ten seeds, nothing tuned, radius .1.",
    departs="The papers train on CIFAR with right labels.",
    suite="noise-family",
    rule="95 % t-interval of the difference within the seed, against the margin of 0.5 points. Epochs are equal, "
    "so that SAM has twice the gradient evaluations.",
)
def random_directions(evidence: Evidence) -> Finding:
    """Judge the difference."""
    effect = within_seed((1, evidence.errors("rand_sam")), (-1, evidence.errors("sam")))
    part = Part("gain of SAM over rand_sam", exceeds(effect, MARGIN))
    return Finding(part.verdict.outcome, (part,))
