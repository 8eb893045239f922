"""SAM is more stable: runs on twin data sets end closer to each other."""

from ...results.statistics.verdicts import falls
from ..studying.evidence import Evidence, log_ratio
from ..studying.registry import Finding, Part, study

MARGIN = 10.0


@study(
    "stability",
    "Runs on data sets that differ in one example end closer to each other with SAM than with SGD.",
    papers=("Hardt, Recht and Singer 2015, arXiv 1509.01240",),
    setting="Multilayer perceptron on 1,000 images of digits and on the same with one of them replaced, 20 epochs, "
    "twenty seeds, nothing tuned, radius .1. Order and initial weights are the same.",
    departs="Hardt et al. bound the distance for SGD without momentum and measure it along training, as "
    "`stability_on_the_way` does; that SAM shortens it is inferred here from what is claimed of flat minima.",
    suite="stability",
    rule="95 % t-interval within the seed of the fall from SGD to SAM of the normalized distance of the twins' weights "
    "at the end, in percent of SGD's, against the margin of 10 percent. Epochs are equal.",
    unit="percent",
    measures="twin",
)
def stability(evidence: Evidence) -> Finding:
    """Judge the fall of the distance."""
    sgd, sam = (evidence.measured("twin", variant, replace_example=0) for variant in ("sgd", "sam"))
    part = Part("fall of the twins' distance from SGD to SAM", falls(log_ratio(sgd, sam), MARGIN))
    return Finding(part.verdict.outcome, (part,))
