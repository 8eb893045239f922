"""Large batches generalize worse with SGD, and not with SAM."""

from ..studying.evidence import Evidence
from ..studying.harm import harms_without_sam
from ..studying.registry import Finding, study

SMALL, LARGE = 32, 256
SETTING = (
    "An MLP on 4,000 pictures of clothes with right labels, 30 epochs, batches of 32 and 256; learning rate, weight "
    "decay and radius are tuned for SGD and for SAM at each batch (12 trials, 3 finalists), twenty fresh seeds."
)
MARGIN = 0.5


@study(
    "large_batch",
    "Large batches generalize worse with SGD; SAM at 8 times the batch loses nothing.",
    papers=("Keskar et al. 2016, arXiv 1609.04836", "Liu et al. 2022, arXiv 2203.02714"),
    setting=SETTING,
    departs="Keskar et al. train by Adam, until the network fits, with 256 samples and with a tenth of all; Liu et al. "
    "train vision transformers on ImageNet with batches of thousands. Here epochs are equal and rates are tuned.",
    suite="large-batch",
    rule="Two t-intervals within the seed at 1 - .05/2: with the larger batch SGD has more than 0.5 points more test "
    "error, and SAM at most 0.5 points more; one whose whole interval fails contradicts.",
)
def large_batch(evidence: Evidence) -> Finding:
    """Judge what the larger batch costs SGD and SAM."""
    small, large = ((f"batch {size}", {"batch_size": size}) for size in (SMALL, LARGE))
    return harms_without_sam(evidence, small, large, MARGIN)
