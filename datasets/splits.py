"""The examples of a run: the pinned validation split, balanced subsets, long tails."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import torch
from torch import Tensor

from ..errors import ConfigError, DataError, unknown
from ..seeding import generator
from .dataset import Dataset
from .label_noise import corrupt
from .randomization import draw_labels, order_pixels

SPLITS = ("full", "holdout", "search")
PINNED_COUNT = 50_000
PINNED_FILE = "validation_50000.txt"
PINNED_SHA256 = "51bc035b1f6c205a73bcfabae46754a6b7e32f3614c3fc1369613f4ecf962597"


@lru_cache(maxsize=8)  # it is half of the start of a small run
def ranked(count: int) -> Tensor:
    """Order 0..count-1 by the sha256 of each number's decimal digits: a shuffle without a seed.

    Returns:
        int64 (count,), a permutation, the same tensor for all callers. Which of two numbers comes first does not
        depend on ``count``.
    """
    keys = [hashlib.sha256(str(index).encode()).digest() for index in range(count)]
    return torch.tensor(sorted(range(count), key=keys.__getitem__), dtype=torch.int64)


def validation_indices(count: int) -> Tensor:
    """Return the positions of the tenth of ``count`` training examples that is used for validation, sorted.

    They are the first ``count // 10`` of :func:`ranked`. For 50,000 examples (CIFAR) they are read from a file of the
    package whose sha256 is fixed here, so that the published split cannot change by accident.

    Returns:
        int64 (count // 10,), ascending.

    Raises:
        ConfigError: for fewer than 10 examples.
        DataError: if the pinned file is not the one this version was released with.
    """
    if count < 10:
        raise ConfigError(f"a validation split needs at least 10 training examples, got {count}; use split='full'")
    if count != PINNED_COUNT:
        return ranked(count)[: count // 10].sort().values
    content = resources.files(__name__.rpartition(".")[0]).joinpath(PINNED_FILE).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != PINNED_SHA256:
        raise DataError(
            f"{PINNED_FILE} has sha256 {found}, expected {PINNED_SHA256}: "
            "the installation is damaged, reinstall sambench"
        )
    return torch.tensor([int(line) for line in content.split()], dtype=torch.int64)


def balanced_subset(labels: Tensor, count: int, classes: int, seed: int) -> Tensor:
    """Choose ``count`` examples whose class counts differ by at most one where the classes are large enough.

    Every class is shuffled; then the first example of each class is taken (in a shuffled order of the classes), the
    second of each, and so on. For one seed a smaller subset is therefore part of every larger one.

    Args:
        labels: class of each example, int64 (N,).
        count: number of examples to choose, from 1 to N.
        classes: number of classes of the data set.
        seed: the seed of the run.

    Returns:
        int64 (count,), ascending positions in ``labels``.
    """
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= len(labels):
        raise ConfigError(f"subset={count!r} is not in 1..{len(labels)}, the size of the training part")
    stream = generator("subset", seed)
    shuffled = torch.randperm(len(labels), generator=stream)
    class_order = torch.randperm(classes, generator=stream)
    rank = _rank_within_class(labels[shuffled], classes)
    chosen = torch.argsort(rank * classes + class_order[labels[shuffled]])[:count]
    return shuffled[chosen].sort().values


def long_tail_counts(available: Tensor, ratio: float) -> Tensor:
    """Return the class sizes of an exponential long tail: n_c = floor(n_max * ratio^(-c / (C - 1))).

    n_max is the largest for which every class has enough examples: the size of the classes if they are
    balanced. Class 0 stays the most frequent, class C-1 becomes ``ratio`` times rarer.

    Args:
        available: number of examples of each class, int64 (C,).
        ratio: size of the most frequent class over that of the least frequent one, at least 1.

    Returns:
        int64 (C,).

    Raises:
        ConfigError: if the ratio is below 1 or not finite, or leaves a class without an example.

    Example:
        >>> long_tail_counts(torch.full((10,), 5000), 100.0).tolist()
        [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]

    References:
        Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019.
    """
    if not 1 <= ratio < float("inf"):
        raise ConfigError(f"imbalance={ratio!r} is not a finite ratio of at least 1 (most to least frequent class)")
    count = len(available)
    if ratio > 1 and count < 2:
        raise ConfigError(f"imbalance={ratio!r} needs at least two classes, the data set has {count}")
    exponent = torch.arange(count, dtype=torch.float64) / max(count - 1, 1)
    profile = torch.tensor(ratio, dtype=torch.float64) ** -exponent
    largest = float((available / profile).min())
    # The slack keeps 5000 * 100^-1 at 50 if rounding makes the power one ulp too small.
    counts = torch.floor(largest * profile + 1e-6).long()
    if int(counts.min()) < 1:
        raise ConfigError(
            f"imbalance={ratio!r} leaves class {int(counts.argmin())} without an example; "
            f"with {largest:.0f} examples in the largest class the ratio can be at most {int(largest)}"
        )
    return counts


def long_tail(labels: Tensor, ratio: float, classes: int, seed: int) -> Tensor:
    """Choose the examples of a long tail with the class sizes of :func:`long_tail_counts`.

    Returns:
        int64, ascending positions in ``labels``; for one seed, of classes of one size, a
        higher ratio keeps a subset of those of a lower one.
    """
    counts = long_tail_counts(torch.bincount(labels, minlength=classes), ratio)
    shuffled = torch.randperm(len(labels), generator=generator("imbalance", seed))
    kept = _rank_within_class(labels[shuffled], classes) < counts[labels[shuffled]]
    return shuffled[kept].sort().values


def _rank_within_class(labels: Tensor, classes: int) -> Tensor:
    """Number the examples of each class 0, 1, 2, ... in order of appearance; int64 (N,)."""
    by_class = torch.argsort(labels, stable=True)
    counts = torch.bincount(labels, minlength=classes)
    first = torch.repeat_interleave(counts.cumsum(0) - counts, counts)
    rank = torch.empty_like(labels)
    rank[by_class] = torch.arange(len(labels)) - first
    return rank


@dataclass(frozen=True, eq=False)
class Parts:
    """The examples of one run.

    Attributes:
        train_images: uint8 (n, C, H, W), in the order of ``train_ids``.
        train_labels: int64 (n,), after label noise, or as they were drawn.
        train_ids: positions of the examples in ``Dataset.train_images``, int64 (n,), ascending but for a replaced one.
        validation: images and clean labels held out from the training examples, or ``None``.
        test: images and labels of the test set; ``None`` in a search, which must not use them.
    """

    train_images: Tensor
    train_labels: Tensor
    train_ids: Tensor
    validation: tuple[Tensor, Tensor] | None
    test: tuple[Tensor, Tensor] | None


def train_ids(labels: Tensor, classes: int, split: str, subset: int | None, imbalance: float, seed: int) -> Tensor:
    """Choose the training examples of a run; arguments as for :func:`prepare`, with all training labels, int64 (N,).

    Returns:
        int64 (n,), ascending positions in ``labels``.

    Raises:
        ConfigError: for an unknown split, or a value out of range.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    ids = torch.arange(len(labels))
    if split != "full":
        remaining = torch.ones(len(labels), dtype=torch.bool)
        remaining[validation_indices(len(labels))] = False
        ids = ids[remaining]
    if subset is not None:
        ids = ids[balanced_subset(labels[ids], subset, classes, seed)]
    if imbalance != 1:
        ids = ids[long_tail(labels[ids], imbalance, classes, seed)]
    return ids


def replace_one(ids: Tensor, available: Tensor, at: int, seed: int) -> Tensor:
    """Put another example in the place of one: what a twin of a run trains on.

    It is drawn from those that the run leaves out, the same one for every place at one seed; all others keep theirs.

    Args:
        ids: training examples of the run, int64 (n,), ascending.
        available: examples that it may be trained on, those among them, int64 (N,).
        at: place in ``ids``.
        seed: the seed of the run.

    Returns:
        int64 (n,).

    Raises:
        ConfigError: there is no such place, or no other example.

    References:
        Hardt, Recht and Singer, "Train faster, generalize better: stability of stochastic gradient descent", 2015,
        arXiv 1509.01240.
    """
    left = available[~torch.isin(available, ids)]
    if not 0 <= at < len(ids):
        raise ConfigError(f"replace_example={at} is not in 0..{len(ids) - 1}, the training samples of the run")
    if not len(left):
        raise ConfigError(
            f"replace_example={at} is not valid: the run trains on all {len(ids)} samples that there are; leave some "
            f"out, such as by subset={len(ids) - 1}"
        )
    ids = ids.clone()
    ids[at] = left[torch.randint(len(left), (), generator=generator("replaced example", seed))]
    return ids


def prepare(
    dataset: Dataset,
    *,
    split: str,
    subset: int | None = None,
    noise: float = 0.0,
    noise_kind: str = "symmetric",
    labels: str = "given",
    pixels: str = "given",
    imbalance: float = 1.0,
    replace_example: int | None = None,
    seed: int,
) -> Parts:
    """Split a data set, then subsample and corrupt its training part; validation and test stay clean and complete.

    The order is: split, ``subset``, ``imbalance``, ``replace_example``, ``labels``, ``noise``; ``pixels``, which all
    parts share. Splits do not depend on the seed.

    Args:
        dataset: a data set, as :func:`~sambench.datasets.load` returns it.
        split: ``"full"`` trains on all training examples and reports the test set; ``"holdout"`` holds a tenth of them
            out for validation curves and reports the test set; ``"search"`` holds out the same tenth and reports that,
            for choosing hyper-parameters, without a test set.
        subset: number of training examples, classes as balanced as they allow; ``None`` keeps all.
        noise: share of the training labels made wrong (see :func:`~sambench.datasets.label_noise.corrupt`).
        noise_kind: how wrong labels are chosen, ``"symmetric"`` or ``"asymmetric"``.
        labels: ``"random"`` draws the training labels anew (see :func:`~sambench.datasets.randomization.draw_labels`).
        pixels: another order of pixels, ``"shuffled"`` or ``"random"``, in images of all parts (see
            :func:`~sambench.datasets.randomization.order_pixels`).
        imbalance: size of the most frequent class over that of the least frequent one in the training part, >= 1.
        replace_example: place of a training example that another one takes; see :func:`replace_one`.
        seed: the seed of the run; what is drawn for each of these has a stream of its own.

    Raises:
        ConfigError: for an unknown split or kind, or a value out of range.

    Example:
        >>> from sambench.datasets import load
        >>> parts = prepare(load("digits"), split="search", seed=0)
        >>> len(parts.train_ids), len(parts.validation[1]), parts.test
        (1295, 143, None)
    """
    images, truth = dataset.train_images, dataset.train_labels
    ids, validation = train_ids(truth, len(dataset.classes), split, subset, imbalance, seed), None
    if replace_example is not None:
        available = train_ids(truth, len(dataset.classes), split, None, 1.0, seed)
        ids = replace_one(ids, available, replace_example, seed)
    if split != "full":
        held_out = validation_indices(len(truth))
        validation = (order_pixels(images[held_out], pixels, 1, seed), truth[held_out])
    drawn = draw_labels(truth[ids], labels, len(dataset.classes), seed)
    test = None if split == "search" else (order_pixels(dataset.test_images, pixels, 2, seed), dataset.test_labels)
    return Parts(
        train_images=order_pixels(images if len(ids) == len(images) else images[ids], pixels, 0, seed),
        train_labels=corrupt(drawn, noise, noise_kind, dataset.classes, seed),
        train_ids=ids,
        validation=validation,
        test=test,
    )
