"""SAM over smaller micro-batches generalizes better."""

import numpy as np

from ...results.statistics.verdicts import exceeds
from ..studying.evidence import Evidence, within_seed
from ..studying.registry import Finding, Part, study

MICRO = (16, 32, 64)
BATCH = 128
MARGIN = 0.5


@study(
    "m_sharpness",
    "SAM generalizes better the fewer samples it is perturbed for at a time.",
    papers=(
        "Foret et al. 2020, arXiv 2010.01412, section 4.1",
        "Andriushchenko and Flammarion 2022, arXiv 2206.06232",
    ),
    setting="WRN-10-1 with group normalization on digits with 40 % wrong labels, 50 epochs, ten seeds, nothing tuned, "
    "radius .1, m = 16, 32, 64 and the whole batch of 128.",
    departs="The papers train larger networks on CIFAR with right labels, at radii tuned for each m. Group "
    "normalization, since with batch normalization m also changes what a sample is normalized by.",
    suite="m-sharpness",
    rule="95 % t-interval within the seed of the fall of test error from m = 128 to 16 on the least-squares line over "
    "log2 m, against the margin of 0.5 points.",
)
def m_sharpness(evidence: Evidence) -> Finding:
    """Judge the fall on the line; show each m against SAM too."""
    sizes = np.log2((*MICRO, BATCH))
    sam = evidence.errors("sam")
    errors = [*(evidence.errors("m_sam", m=m) for m in MICRO), sam]
    slopes = np.log2(BATCH / MICRO[0]) * (sizes - sizes.mean()) / np.square(sizes - sizes.mean()).sum()
    line = Part(
        "fall of error from m = 128 to m = 16",
        exceeds(within_seed(*zip(slopes, errors, strict=True)), MARGIN),
    )
    each = [
        Part(f"gain of m = {m} over m = {BATCH}", exceeds(within_seed((1, sam), (-1, of)), 0))
        for m, of in zip(MICRO, errors, strict=False)
    ]
    return Finding(line.verdict.outcome, (line, *each))
