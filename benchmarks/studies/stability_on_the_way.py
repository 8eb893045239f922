"""SAM is more stable all along: runs on twin data sets stay closer to each other while they train."""

from ...results.statistics.verdicts import every, falls
from ..studying.evidence import Evidence, log_ratio
from ..studying.registry import Finding, Part, study

MARGIN = 10.0
POINTS = (1, 2, 5, 10)
LEVEL = 1 - 0.05 / (len(POINTS) + 1)


@study(
    "stability_on_the_way",
    "While they train, runs on data sets that differ in one example are closer to each other with SAM than with SGD.",
    papers=("Hardt, Recht and Singer 2015, arXiv 1509.01240",),
    setting="Multilayer perceptron on 1,000 images of digits and on the same with one of them replaced, 20 epochs, "
    "twenty fresh seeds, nothing tuned, radius .1. Order and initial weights are the same.",
    departs="Hardt et al. bound the distance for SGD without momentum, after every step; here it is measured at five "
    "points, and that SAM shortens it is inferred from what is claimed of flat minima. The prediction is the claim in "
    "numbers: at the end of other runs, those of suite `stability`, it was known to be wrong.",
    suite="stability-on-the-way",
    rule="t-intervals within the seed at 1 - .05/5 of the fall from SGD to SAM of the normalized distance of the "
    "twins' weights after 1, 2, 5 and 10 epochs and at the end, in percent of SGD's, each against the margin of 10 "
    "percent: supported if all are, contradicted if one is. Epochs are equal.",
    unit="percent",
    measures="twin",
    points=POINTS,
)
def stability_on_the_way(evidence: Evidence) -> Finding:
    """Judge the fall of the distance at every point."""

    def fall(label: str, when: str) -> Part:
        sgd, sam = (evidence.measured(label, variant, replace_example=0) for variant in ("sgd", "sam"))
        return Part(f"fall of the twins' distance from SGD to SAM {when}", falls(log_ratio(sgd, sam), MARGIN, LEVEL))

    parts = [fall(f"twin@{at}", f"after {at} epoch{'s' * (at > 1)}") for at in POINTS]
    parts.append(fall("twin", "at the end"))
    return Finding(every([part.verdict.outcome for part in parts]), tuple(parts))
