"""Independent random streams: the seed of each depends on its purpose, never on what ran before it."""

import hashlib

import torch


def derive_seed(purpose: str, seed: int, *index: int) -> int:
    """Hash a purpose, a seed and positions (epoch, step, ...) into the 63-bit seed of one stream.

    The value does not depend on the process, the platform, the order of calls or ``hash()``.

    Args:
        purpose: name of the stream, such as ``"order"``.
        seed: seed of the run.
        index: positions that the stream belongs to, such as epoch and step.

    Example:
        >>> derive_seed("order", 0, 3) == derive_seed("order", 0, 3) != derive_seed("order", 0, 4)
        True
    """
    digest = hashlib.sha256(repr((purpose, int(seed), *map(int, index))).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(purpose: str, seed: int, *index: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a new generator for the stream of :func:`derive_seed`, on a device."""
    return torch.Generator(device).manual_seed(derive_seed(purpose, seed, *index))
