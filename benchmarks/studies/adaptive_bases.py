"""Adaptive bases generalize worse, and not under SAM."""

from ..studying.evidence import Evidence
from ..studying.harm import harms_without_sam
from ..studying.registry import Finding, study

MARGIN = 0.5


@study(
    "adaptive_bases",
    "Adaptive methods generalize worse than SGD, and SAM on an adaptive base closes the gap.",
    papers=("Wilson et al. 2017, arXiv 1705.08292", "Foret et al. 2020, arXiv 2010.01412"),
    setting="An MLP on 4,000 pictures of clothes with right labels, 30 epochs of SGD with momentum and of AdamW, with "
    "and without SAM; learning rate, weight decay and radius are tuned for each of the four (16 trials, 3 finalists), "
    "twenty fresh seeds.",
    departs="Wilson et al. train convolutional and recurrent networks by AdaGrad, RMSProp and Adam without decoupled "
    "weight decay; that SAM closes the gap is inferred here from what it does on SGD.",
    suite="adaptive-bases",
    rule="Two t-intervals within the seed at 1 - .05/2: without SAM AdamW has more than 0.5 points more test error "
    "than SGD, and under SAM at most 0.5 points more; one whose whole interval fails contradicts.",
)
def adaptive_bases(evidence: Evidence) -> Finding:
    """Judge what AdamW costs without SAM and under it."""
    sgd, adamw = ((name, {"base": name.lower()}) for name in ("SGD", "AdamW"))
    return harms_without_sam(evidence, sgd, adamw, MARGIN)
