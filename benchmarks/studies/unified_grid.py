"""Unified SAM between SAM and USAM is at least as good as both for most radii."""

from ...results.statistics.verdicts import Outcome, every, exceeds, most
from ..studying.evidence import Evidence, within_seed
from ..studying.registry import Finding, Part, study

RADII = (0.05, 0.1, 0.2, 0.4)
MARGIN = 0.5
RULE = (
    "At each radius the mean of lam .5 and 1-1/t is to be no more than 0.5 points worse than SAM and than USAM, "
    "each by the t-interval within the seed at 1 - .05/4; the claim needs more than half of the radii."
)


@study(
    "unified_grid",
    "Unified SAM with lam .5 or 1-1/t is at least as good as SAM and as USAM for most radii.",
    papers=("Oikonomou and Loizou 2025, ICLR, Table 2",),
    setting="WRN-10-1 on digits with 40 % wrong labels, 50 epochs, ten seeds, nothing tuned, four radii.",
    departs="The paper trains PreActResNet-18 and WRN-28-10 on CIFAR with right labels, three seeds; its radii are "
    ".1, .2, .3 and .4.",
    suite="unified-grid",
    rule=RULE,
)
def unified_grid(evidence: Evidence) -> Finding:
    """Judge every radius against both ends of lam, and the claim by their majority."""
    parts, outcomes = [], list[Outcome]()
    for rho in RADII:

        def at(lam: float | str, rho: float = rho) -> dict[int, float]:
            return evidence.errors("unified_sam", "E", rho=rho, lam=lam, lam_clock="step")

        between = ((-0.5, at(0.5)), (-0.5, at("1-1/t")))
        cases = [
            Part(
                f"less error than {name}, rho {rho:g}",
                exceeds(within_seed((1, at(lam)), *between), -MARGIN, level=1 - 0.05 / len(RADII)),
            )
            for name, lam in (("SAM", 1.0), ("USAM", 0.0))
        ]
        outcomes.append(every([case.verdict.outcome for case in cases]))
        parts += cases
    return Finding(most(outcomes), tuple(parts))
