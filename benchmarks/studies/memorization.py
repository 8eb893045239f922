"""SAM takes longer to memorize."""

from typing import Any

import numpy as np

from ...results.statistics.verdicts import rises
from ..studying.evidence import Evidence, log_ratio
from ..studying.registry import Finding, Part, study

CASES = {
    "random labels": {"labels": "random", "pixels": None},
    "pixels in one other order": {"labels": None, "pixels": "shuffled"},
    "pixels of every image in an order of its own": {"labels": None, "pixels": "random"},
}
"""What is changed -> fields of the spec; the first one decides."""
MARGIN = 10.0


@study(
    "memorization",
    "A network that can fit random labels takes more epochs to do so with SAM than with SGD.",
    papers=("Zhang et al. 2016, arXiv 1611.03530", "Baek et al. 2024, arXiv 2405.03676"),
    setting="WRN-10-1 on 500 images of digits with random labels, 60 epochs, ten seeds, nothing tuned, radius .1; "
    "the first epoch after which 99 % of the labels are predicted, true and wrong ones alike. Moved pixels with "
    "true labels are shown beside it.",
    departs="Zhang et al. fit random labels of CIFAR-10 and ImageNet by SGD alone; Baek et al. show that SAM fits "
    "wrong labels later where a part of them is wrong.",
    suite="memorization",
    rule="95 % t-interval within the seed of the epochs of SAM less those of SGD, in percent of SGD's, against the "
    "margin of 10 percent. A run that never fits counts with all of its epochs.",
    unit="percent",
    measures="epochs_to_fit",
)
def memorization(evidence: Evidence) -> Finding:
    """Judge the case of random labels; show moved pixels."""
    parts = [
        Part(f"more epochs of SAM than of SGD, {words}", rises(_more(evidence, fields), MARGIN))
        for words, fields in CASES.items()
    ]
    return Finding(parts[0].verdict.outcome, tuple(parts))


def _more(evidence: Evidence, fields: dict[str, Any]) -> np.ndarray:
    return log_ratio(*(evidence.measured("epochs_to_fit", variant, **fields) for variant in ("sam", "sgd")))
