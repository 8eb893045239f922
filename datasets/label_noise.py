"""Label noise: replaces an exact share of labels by wrong ones."""

import torch
from torch import Tensor

from ..errors import ConfigError, unknown
from ..seeding import generator
from .cifar100_superclasses import CIFAR100_SUPERCLASSES

NOISE_KINDS = ("symmetric", "asymmetric")

CIFAR10_MISTAKES = {
    "truck": "automobile",
    "bird": "airplane",
    "deer": "horse",
    "cat": "dog",
    "dog": "cat",
}
_CIFAR10_CLASSES = frozenset(CIFAR10_MISTAKES) | frozenset(CIFAR10_MISTAKES.values()) | {"frog", "ship"}
_CIFAR100_CLASSES = frozenset(name for names in CIFAR100_SUPERCLASSES.values() for name in names)


def mistaken_for(classes: tuple[str, ...]) -> Tensor:
    """Return the class that asymmetric noise turns each class into; a class mapped to itself stays clean.

    The data set is recognized by its class names, from whatever archive it was read:

    - CIFAR-10: truck -> automobile, bird -> airplane, deer -> horse, cat <-> dog; the other five stay clean.
    - CIFAR-100: each class -> the next one of its superclass, the fifth -> the first.
    - anything else: c -> (c + 1) mod C.

    Returns:
        int64 (C,).

    Example:
        >>> mistaken_for(("zero", "one", "two")).tolist()
        [1, 2, 0]

    References:
        Patrini et al., "Making Deep Neural Networks Robust to Label Noise: a Loss Correction Approach", CVPR 2017.
    """
    position = {name: index for index, name in enumerate(classes)}
    if set(classes) == _CIFAR10_CLASSES:
        return torch.tensor([position[CIFAR10_MISTAKES.get(name, name)] for name in classes])
    if set(classes) == _CIFAR100_CLASSES:
        target = torch.empty(len(classes), dtype=torch.int64)
        for names in CIFAR100_SUPERCLASSES.values():
            for name, successor in zip(names, (*names[1:], names[0]), strict=True):
                target[position[name]] = position[successor]
        return target
    return (torch.arange(len(classes)) + 1) % len(classes)


def corrupt(labels: Tensor, share: float, kind: str, classes: tuple[str, ...], seed: int) -> Tensor:
    """Replace an exact share of labels by wrong ones.

    Of the n labels whose class the noise can change, round(share * n) are changed. With symmetric noise these n are all
    labels, and the new class is uniform over the C - 1 others. With asymmetric noise they are the labels of the classes
    that :func:`mistaken_for` changes, as in the literature: 40 % on CIFAR-10 change 40 % of five classes. Symmetric
    noise of 40 % always leaves 60 % correct; code that draws from all C classes leaves more.

    Args:
        labels: clean labels, int64 (N,); not modified.
        share: share of labels to change, from 0 to 1.
        kind: how the wrong class is chosen, ``"symmetric"`` or ``"asymmetric"``.
        classes: the class names, in the order of the labels.
        seed: the seed of the run.

    Returns:
        int64 (N,); ``labels`` itself if nothing changes. For one seed, labels that a lower share changes are changed to
        the same classes by a higher one.

    Raises:
        ConfigError: for a share outside [0, 1], an unknown kind, or noise on a single class.
    """
    if kind not in NOISE_KINDS:
        raise unknown("label noise", kind, NOISE_KINDS)
    if not 0 <= share <= 1:
        raise ConfigError(f"noise={share!r} is not a share of labels in [0, 1]")
    if share == 0:
        return labels
    if len(classes) < 2:
        raise ConfigError(f"noise={share!r} needs at least two classes, the data set has {len(classes)}")
    stream = generator("label-noise", seed)
    order = torch.randperm(len(labels), generator=stream)
    if kind == "symmetric":
        shift = torch.randint(1, len(classes), (len(labels),), generator=stream)
        wrong = (labels + shift) % len(classes)
    else:
        wrong = mistaken_for(classes)[labels]
    movable = order[(wrong != labels)[order]]
    changed = movable[: round(share * len(movable))]
    noisy = labels.clone()
    noisy[changed] = wrong[changed]
    return noisy
