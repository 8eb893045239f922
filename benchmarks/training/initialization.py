"""Initial weights that were trained first: an adversarial initialization, which fits random labels.

It is the end of a run of its own, which depends on what all methods of a comparison share and on nothing else: at one
seed they begin at the same weights.

References:
    Liu, Papailiopoulos and Achlioptas, "Bad global minima exist and SGD can reach them", 2020, arXiv 1906.02613. There
    random labels are fitted on several copies of each image with pixels blanked out; here on the images as the run
    itself augments them.
"""

from ..resolve import make_spec
from ..spec import RunSpec

SHARED = ("dataset", "split", "subset", "imbalance", "pixels", "augment", "model", "norm", "batch_size", "accumulate")
"""Fields of the workload that the run before has from the run, beside those that say how and with which seed it is
computed; all others are those of plain SGD, without weight decay."""


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
