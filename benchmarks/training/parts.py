"""What a run trains, selects and is measured on, from its spec."""

from ...datasets import Dataset, Parts, prepare
from ..spec import RunSpec


def parts_of(spec: RunSpec, dataset: Dataset) -> Parts:
    """Split, thin and change a data set as a spec says; see :func:`~sambench.datasets.prepare`."""
    return prepare(
        dataset,
        split=spec.split,
        subset=spec.subset,
        noise=spec.noise,
        noise_kind=spec.noise_kind,
        labels=spec.labels,
        pixels=spec.pixels,
        imbalance=spec.imbalance,
        replace_example=spec.replace_example,
        seed=spec.seed,
    )
