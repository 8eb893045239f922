"""SAM ends at flatter minima."""

import numpy as np

from ...results.statistics.verdicts import every, falls
from ..studying.evidence import Evidence, log_ratio
from ..studying.registry import Finding, Part, study

LABELS = {
    "lambda_max[samples=512]": "lambda_max",
    "trace[draws=30,samples=512]": "trace",
    "worst_case[scale=plain,rho=0.1,samples=512]": "worst-case sharpness",
}
"""Measure -> what it is called here."""
MEASURES = "lambda_max:samples=512,trace:draws=30:samples=512,worst_case:scale=plain:rho=0.1:samples=512"
SHARES = (0.0, 0.4)
RADII = (0.05, 0.1, 0.2, 0.4)
MARGIN = 10.0


@study(
    "flatness",
    "SAM ends where the training loss is flatter than where SGD ends.",
    papers=("Foret et al. 2020, arXiv 2010.01412, section 4.2", "Wen, Ma and Li 2023, arXiv 2211.05729"),
    setting="WRN-10-1 on digits with right labels, 20 epochs, ten seeds, nothing tuned, radius .1; measured on 512 "
    "training images. Other radii and 40 % wrong labels are shown beside it.",
    departs="The papers measure WideResNets on CIFAR and, by proof, at minima; these networks are not at equal "
    "training loss, and have batch normalization, which Foret et al. leave out as it blurs what the Hessian says. A "
    "perceptron on the same data had been measured before (docs/measures.md).",
    suite="digits-flatness",
    rule="Each of the three falls by more than 10 percent of SGD's by its t-interval within the seed at 1 - .05/3; one "
    "whose whole interval is short of that contradicts.",
    unit="percent",
    measures=MEASURES,
)
def flatness(evidence: Evidence) -> Finding:
    """Judge the fall of each measure at radius .1 with right labels; show it everywhere."""
    parts = [
        Part(
            f"fall of {name} from SGD to SAM, rho {rho:g}, {share:.0%} wrong labels",
            falls(_fall(evidence, label, share, rho), MARGIN, level=1 - 0.05 / len(LABELS)),
        )
        for share in SHARES
        for rho in sorted(RADII, key=lambda rho: rho != 0.1)
        for label, name in LABELS.items()
    ]
    return Finding(every([part.verdict.outcome for part in parts[: len(LABELS)]]), tuple(parts))


def _fall(evidence: Evidence, label: str, share: float, rho: float) -> np.ndarray:
    """Return the logarithm of a measure of SGD over that of SAM, by seed."""
    sgd = evidence.measured(label, "sgd", noise=share)
    sam = evidence.measured(label, "sam", noise=share, rho=rho)
    return log_ratio(sgd, sam)
