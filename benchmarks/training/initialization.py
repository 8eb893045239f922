"""Initial weights that were trained: those of a finished run, or adversarial ones, which fit random labels.

The latter is the end of a run of its own, which depends on what all methods of a comparison share and on nothing else:
at one seed they begin at the same weights.

References:
    Liu, Papailiopoulos and Achlioptas, "Bad global minima exist and SGD can reach them", 2020, arXiv 1906.02613. There
    random labels are fitted on several copies of each image with pixels blanked out; here on the images as the run
    itself augments them.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from ...results.records.record import Initialization
from ..resolve import make_spec
from ..spec import RunSpec

SHARED = (
    "dataset", "split", "subset", "imbalance", "pixels", "augment", "model", "norm", "batch_size", "drop_last",
    "accumulate",
)  # fmt: skip
"""Fields of the workload that the run before has from the run, beside those that say how and with which seed it is
computed; all others are those of plain SGD, without weight decay."""


@dataclass(frozen=True)
class Beginning:
    """Trained weights that a run begins with.

    Args:
        state: parameters and buffers by name.
        record: where they come from, as the record of the run says it.
        began: when the first step towards them was made as a part of this run, in seconds since 1970.
    """

    state: Mapping[str, Tensor]
    record: Initialization
    began: float = field(default_factory=time.time)


def run_before(spec: RunSpec) -> RunSpec:
    """Return the run on random labels whose last weights an adversarially initialized run begins with.

    Example:
        >>> first = run_before(make_spec({"variant": "sam", "init": "adversarial", "init_epochs": 30, "seed": 3}))
        >>> first.variant, first.labels, first.epochs, first.weight_decay, first.seed
        ('sgd', 'random', 30, 0.0, 3)
    """
    shared = {name: getattr(spec, name) for name in (*SHARED, "precision", "channels_last", "seed")}
    epochs = {"epochs": spec.init_epochs, "eval_every": spec.init_epochs}
    return make_spec({**shared, **epochs, "labels": "random", "weight_decay": 0.0})
