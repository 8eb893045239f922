"""With SAM a growing batch does what a decaying rate does."""

from ...results.statistics.verdicts import exceeds
from ..studying.evidence import Evidence, within_seed
from ..studying.registry import Finding, Part, study

MARGIN = -0.5


@study(
    "increasing_batch",
    "With SAM a growing batch at a constant rate does as well as a constant batch at a decaying rate.",
    papers=(
        "asked here, after Harada and Iiduka 2024, arXiv 2409.09984",
        "for SGD: Smith et al. 2017, arXiv 1711.00489",
    ),
    setting="An MLP on 4,000 pictures of clothes with right labels, 24 epochs of SAM at radius .1: batches of 32 that "
    "double three times, against rates that are halved at the same epochs; learning rate and weight decay are tuned "
    "for each (12 trials, 3 finalists), twenty fresh seeds.",
    departs="The paper trains residual networks on CIFAR-100 for 200 epochs and decays the rate by other schedules; "
    "that it is halved where the batch doubles is from Smith et al.",
    suite="increasing-batch",
    rule="95 % t-interval of the difference within the seed, against the margin of -0.5 points. Epochs are equal.",
)
def increasing_batch(evidence: Evidence) -> Finding:
    """Judge the difference; show both beside a constant batch at a constant rate."""
    grown, decayed, constant = (
        evidence.errors("sam", schedule=schedule, batch_schedule=batch_schedule)
        for schedule, batch_schedule in (("constant", "doubling"), ("multistep", None), ("constant", None))
    )
    parts = (
        Part("less error, growing batch than decaying rate", exceeds(within_seed((1, decayed), (-1, grown)), MARGIN)),
        Part("gain of a growing batch over a constant one", exceeds(within_seed((1, constant), (-1, grown)), 0)),
        Part("gain of a decaying rate over a constant one", exceeds(within_seed((1, constant), (-1, decayed)), 0)),
    )
    return Finding(parts[0].verdict.outcome, parts)
