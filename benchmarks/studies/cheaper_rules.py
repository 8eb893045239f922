"""Rules that cost less than SAM have the accuracy of SAM."""

from ...results.statistics.verdicts import exceeds, most
from ..studying.evidence import Evidence, within_seed
from ..studying.registry import Finding, Part, study

RULES = ("esam", "looksam", "ae_sam", "rst", "msam", "saf")
MARGIN = 1.0


@study(
    "cheaper_rules",
    "ESAM, LookSAM, AE-SAM, RST, MSAM and SAF have the accuracy of SAM at fewer gradient evaluations.",
    papers=(
        "Du et al. 2021, arXiv 2110.03141",
        "Liu et al. 2022, arXiv 2203.02714",
        "Jiang et al. 2023, arXiv 2304.14647",
        "Zhao, Zhang and Hu 2022, arXiv 2203.09962",
        "Becker et al. 2024, arXiv 2401.12033",
        "Du et al. 2022, arXiv 2205.14083",
    ),
    setting="WRN-10-1 on digits with 40 % wrong labels, 50 epochs for all, ten seeds, nothing tuned: SAM's radius .1 "
    "where a rule shares it, the registry's defaults for MSAM and SAF.",
    departs="The papers train on CIFAR and ImageNet with right labels, each rule with settings of its own. ESAM "
    "makes 550 forward passes beside its gradient evaluations here, which are not among those.",
    suite="noise-family",
    rule="Each rule is to be no more than 1 point worse than SAM by its t-interval within the seed at 1 - .05/6; the "
    "claim needs more than half of the six.",
)
def cheaper_rules(evidence: Evidence) -> Finding:
    """Judge every rule, and the claim by their majority."""
    sam = evidence.errors("sam")
    parts = [
        Part(
            f"less error than SAM: {rule}{_share(evidence, rule)}",
            exceeds(within_seed((1, sam), (-1, evidence.errors(rule))), -MARGIN, level=1 - 0.05 / len(RULES)),
        )
        for rule in RULES
    ]
    return Finding(most([part.verdict.outcome for part in parts]), tuple(parts))


def _share(evidence: Evidence, rule: str) -> str:
    """Say what a rule costs: the share of SAM's gradient evaluations, as they were counted."""
    cost, whole = (evidence.row(name).gradient_evaluations for name in (rule, "sam"))
    return f", {100 * cost / whole:.0f} % of its gradient evaluations" if cost and whole else ""
