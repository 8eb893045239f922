"""SAM makes networks robust to small changes of the images without training on such changes."""

from ...results.statistics.verdicts import every, exceeds
from ..studying.evidence import Evidence, within_seed
from ..studying.registry import Finding, Part, study

ATTACKS = {"pgd[epsilon=16.0]": "PGD", "fgsm[epsilon=16.0]": "FGSM"}
PUBLISHED = {"pgd": "PGD", "fgsm": "FGSM"}
"""On CIFAR-10 at 1/255, as in the paper."""
RADII = (0.1, 0.05, 0.2, 0.4)
"""The one that decides first."""
MARGIN = 1.0


@study(
    "robustness",
    "SAM alone raises robust accuracy over SGD, at no cost in accuracy.",
    papers=("Zhang et al. 2024, arXiv 2402.15152",),
    setting="WRN-10-1 on digits with right labels, 20 epochs, ten seeds, nothing tuned, radius .1; ten steps of PGD in "
    "the linf ball of 16/255 around all test images. Other radii and FGSM are shown beside it.",
    departs="The paper trains on CIFAR and attacks with linf 1/255 and 2/255 and l2 16/255 and 32/255; digits has 8x8 "
    "pixels, which takes a larger change. SGD errs on 1 percent here, so that a point more asks little of accuracy.",
    suite="digits-flatness",
    rule="Two t-intervals within the seed at 1 - .05/2: robust accuracy rises by more than 1 point, and error by no "
    "more than 1 point; one whose whole interval fails contradicts.",
    measures="pgd:epsilon=16,fgsm:epsilon=16",
    measures_at_scale="pgd,fgsm",
)
def robustness(evidence: Evidence) -> Finding:
    """Judge robust and plain accuracy at radius .1; show other radii and FGSM."""
    level = 1 - 0.05 / 2
    robust, plain = [], []
    sgd = evidence.errors("sgd", noise=0.0)
    for rho in RADII:
        for label, attack in (PUBLISHED if evidence.at_scale else ATTACKS).items():
            of_sgd = evidence.measured(label, "sgd", noise=0.0)
            of_sam = evidence.measured(label, "sam", noise=0.0, rho=rho)
            effect = 100 * within_seed((1, of_sam), (-1, of_sgd))
            robust.append(Part(f"gain of SAM under {attack}, rho {rho:g}", exceeds(effect, MARGIN, level)))
        effect = within_seed((1, sgd), (-1, evidence.errors("sam", noise=0.0, rho=rho)))
        plain.append(Part(f"less error than SGD, rho {rho:g}", exceeds(effect, -MARGIN, level)))
    deciding = (robust[0], plain[0])
    outcome = every([part.verdict.outcome for part in deciding])
    return Finding(outcome, (*deciding, *robust[1:], *plain[1:]))
