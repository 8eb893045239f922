"""Adversarial training is more robust where the weights are perturbed as well."""

from ...results.statistics.verdicts import every, exceeds
from ..studying.evidence import Evidence, within_seed
from ..studying.registry import Finding, Part, study

SMALL, LARGE = "pgd[epsilon=16.0]", "pgd[epsilon=8.0]"
"""The attack on images of 8x8 pixels, and on those of CIFAR-10."""
RULES = ("awp", "sam")
MARGIN = 1.0


@study(
    "adversarial_training",
    "Adversarial training is more robust where the weights are perturbed as well as the images, by AWP or by SAM.",
    papers=("Wu, Xia and Wang 2020, arXiv 2004.05884", "Zhang et al. 2024, arXiv 2402.15152"),
    setting="WRN-10-1 on digits, 20 epochs, ten seeds, nothing tuned: every batch under three steps of PGD in the linf "
    "ball of 16/255; AWP with its gamma .01, SAM with radius .1. Attacked by ten steps in the same ball. Test error, "
    "and what adversarial training itself gains, are shown beside it.",
    departs="Wu et al. train PreActResNet-18 and WRN-34-10 on CIFAR at 8/255 for 200 epochs, where robust accuracy "
    "falls late in training; Zhang et al. perturb the weights alone.",
    suite="adversarial-training",
    rule="Robust accuracy rises over that of SGD by more than 1 point with each of the two, by t-intervals within the "
    "seed at 1 - .05/2; one whose whole interval fails contradicts. Epochs are equal.",
    measures="pgd:epsilon=16",
    measures_at_scale="pgd:epsilon=8",
)
def adversarial_training(evidence: Evidence) -> Finding:
    """Judge both rules; show what they cost in accuracy, and what the moved images gain under SGD."""
    trained, attack = {"hook": "adversarial"}, LARGE if evidence.at_scale else SMALL
    robust, errors = evidence.measured(attack, "sgd", **trained), evidence.errors("sgd", **trained)
    level = 1 - 0.05 / len(RULES)
    parts = [
        Part(
            f"gain of {rule} over SGD under PGD, both on moved images",
            exceeds(100 * within_seed((1, evidence.measured(attack, rule, **trained)), (-1, robust)), MARGIN, level),
        )
        for rule in RULES
    ]
    shown = [
        Part(
            f"less error than SGD, both on moved images: {rule}",
            exceeds(within_seed((1, errors), (-1, evidence.errors(rule, **trained))), 0),
        )
        for rule in RULES
    ]
    plain = evidence.measured(attack, "sgd", hook=None)
    gained = Part("gain of moved images under PGD, SGD", exceeds(100 * within_seed((1, robust), (-1, plain)), MARGIN))
    return Finding(every([part.verdict.outcome for part in parts]), (*parts, *shown, gained))
