"""SAM ends at features of lower rank."""

from ...results.statistics.verdicts import falls
from ..studying.evidence import Evidence, log_ratio
from ..studying.registry import Finding, Part, study

SHARES = (0.0, 0.4)
RADII = (0.2, 0.1, 0.4)
"""The one that decides first."""
MARGIN = 10.0


@study(
    "low_rank_features",
    "SAM ends at features of lower rank than SGD.",
    papers=("Andriushchenko et al. 2023, arXiv 2305.16292",),
    setting="An MLP on 4,000 pictures of clothes with right labels, 30 epochs, fifteen seeds, nothing tuned, radius "
    ".2; the principal components that hold 99 % of the variance of its 128 last features on 2,048 training images. "
    "Other radii and 40 % wrong labels are shown beside it.",
    departs="The paper measures residual networks, vision transformers and mixers on CIFAR and larger images, between "
    "their blocks, and explains the fall by ReLU units that SAM turns off, on networks of two layers as well; this one "
    "has three layers and no blocks.",
    suite="low-rank",
    rule="95 % t-interval within the seed of the fall of the rank from SGD to SAM, in percent of SGD's, against the "
    "margin of 10 percent. Epochs are equal.",
    unit="percent",
    measures="feature_rank",
)
def low_rank_features(evidence: Evidence) -> Finding:
    """Judge the fall at radius .2 with right labels; show other radii and wrong labels."""
    parts = []
    for share in SHARES:
        sgd = evidence.measured("feature_rank", "sgd", noise=share)
        for rho in RADII:
            fall = log_ratio(sgd, evidence.measured("feature_rank", "sam", noise=share, rho=rho))
            case = f"fall of the rank from SGD to SAM, rho {rho:g}, {share:.0%} wrong labels"
            parts.append(Part(case, falls(fall, MARGIN)))
    return Finding(parts[0].verdict.outcome, tuple(parts))
