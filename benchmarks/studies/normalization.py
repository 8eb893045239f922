"""USAM fails at radii at which SAM trains."""

from ...results.statistics.verdicts import Outcome, exceeds
from ..studying.evidence import Evidence, within_seed
from ..studying.registry import Finding, Part, study

RADII = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
MARGIN = 5.0


@study(
    "normalization",
    "Without the normalization of the gradient, SAM fails at radii at which it trains with it.",
    papers=("Dai, Ahn and Sra 2023, arXiv 2305.15287",),
    setting="WRN-10-1 on digits with right labels, 20 epochs, ten seeds, nothing tuned, radii .05 to 1.6.",
    departs="The paper shows it on ResNet18 and CIFAR-10 and, by proof, on quadratic and scalar losses. A radius means "
    "another distance for USAM, which is shorter where the gradient is shorter than 1.",
    suite="usam-radius",
    rule="Supported if at one radius the excess error of USAM over SAM lies beyond 5 points by its t-interval within "
    "the seed at 1 - .05/6; contradicted if it lies below at every radius.",
)
def normalization(evidence: Evidence) -> Finding:
    """Judge every radius, the one with the largest excess first."""
    parts = [
        Part(
            f"error of USAM less that of SAM, rho {rho:g}",
            exceeds(
                within_seed((1, evidence.errors("usam", rho=rho)), (-1, evidence.errors("sam", rho=rho))),
                MARGIN,
                level=1 - 0.05 / len(RADII),
            ),
        )
        for rho in RADII
    ]
    found = [part.verdict.outcome for part in parts]
    outcome: Outcome = (
        "supported" if "supported" in found else "contradicted" if set(found) == {"contradicted"} else "undecided"
    )
    return Finding(outcome, tuple(sorted(parts, key=lambda part: -part.verdict.estimate)))
