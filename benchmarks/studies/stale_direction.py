"""The direction of the step before does not do what the gradient of the batch does."""

from ...results.statistics.verdicts import exceeds
from ..studying.evidence import Evidence, within_seed
from ..studying.registry import Finding, Part, study

MARGIN = 0.5


@study(
    "stale_direction",
    "The gain of SAM needs the gradient of its batch: OptSAM, which ascends along the last step's gradient, is worse.",
    papers=("Xie, Pethick and Cevher 2024, arXiv 2410.10683 (OptSAM, RandSAM)",),
    setting="WRN-10-1 on digits with 40 % wrong labels, 50 epochs, ten seeds, nothing tuned, radius .1.",
    departs="The paper trains on CIFAR with right labels, and published no code of OptSAM; here it is made from its "
    "formula.",
    suite="stale-direction",
    rule="95 % t-interval of the difference within the seed, against the margin of 0.5 points. Epochs are equal, "
    "so that SAM has twice the gradient evaluations. What OptSAM and a random direction gain over SGD is beside it.",
)
def stale_direction(evidence: Evidence) -> Finding:
    """Judge the difference."""
    sgd, sam, stale, drawn = (evidence.errors(name) for name in ("sgd", "sam", "opt_sam", "rand_sam"))
    part = Part("gain of SAM over OptSAM", exceeds(within_seed((1, stale), (-1, sam)), MARGIN))
    beside = (
        Part("gain of SAM over rand_sam", exceeds(within_seed((1, drawn), (-1, sam)), MARGIN)),
        Part("gain of OptSAM over SGD", exceeds(within_seed((1, sgd), (-1, stale)), 0)),
        Part("gain of rand_sam over SGD", exceeds(within_seed((1, sgd), (-1, drawn)), 0)),
    )
    return Finding(part.verdict.outcome, (part, *beside))
