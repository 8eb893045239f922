"""The gain of SAM grows with the share of wrong labels."""

import numpy as np

from ...results.statistics.verdicts import exceeds
from ..studying.evidence import Evidence, within_seed
from ..studying.registry import Finding, Part, study

SHARES = (0.0, 0.2, 0.4, 0.6)
MARGIN = 0.5


@study(
    "label_noise",
    "The more training labels are wrong, the more SAM gains over SGD.",
    papers=("Foret et al. 2020, arXiv 2010.01412, section 3.3", "Baek et al. 2024, arXiv 2405.03676"),
    setting="WRN-10-1 on digits with 0, 20, 40 and 60 % wrong labels, 50 epochs, ten seeds, nothing tuned, radius .1.",
    departs="The papers train ResNet-32 and larger on CIFAR-10, up to 80 % wrong labels, with the radius tuned; digits "
    "has 1,438 training images. At equal gradient evaluations SGD has twice the epochs, in which it learns more of the "
    "wrong labels: those gains are of its longer training, too, which is why equal epochs decide.",
    suite="label-noise",
    rule="95 % t-interval of the growth within the seed: the least-squares line through the gains at the four shares, "
    "times .6, at equal epochs, against the margin of 0.5 points.",
)
def label_noise(evidence: Evidence) -> Finding:
    """Judge the growth at equal epochs; show it at equal cost and the gain at each share too."""
    lines, gains = [], []
    for track, words in (("E", "equal epochs"), ("G", "equal gradient evaluations")):
        sgd, sam = ([evidence.errors(v, track, noise=share) for share in SHARES] for v in ("sgd", "sam"))
        slope = 0.6 * (np.array(SHARES) - np.mean(SHARES)) / (np.square(SHARES).sum() - 4 * np.mean(SHARES) ** 2)
        terms = [(c, a) for c, a in zip(slope, sgd, strict=True)] + [(-c, b) for c, b in zip(slope, sam, strict=True)]
        lines.append(Part(f"growth of SAM's gain from 0 to 60 %, {words}", exceeds(within_seed(*terms), MARGIN)))
        gains += [
            Part(f"gain of SAM at {share:.0%}, {words}", exceeds(within_seed((1, a), (-1, b)), 0))
            for share, a, b in zip(SHARES, sgd, sam, strict=True)
        ]
    return Finding(lines[0].verdict.outcome, (*lines, *gains))
