"""Independent random streams: every one is seeded by what it is for, never by what ran before it."""

import hashlib

import torch


def derive_seed(purpose: str, seed: int, *index: int) -> int:
    """Hash a purpose, a seed and positions (epoch, step, ...) into the 63-bit seed of one stream.

    The value depends on nothing else: not on the process, the platform, the order of calls or ``hash()``.

    Example:
        >>> derive_seed("order", 0, 3) == derive_seed("order", 0, 3) != derive_seed("order", 0, 4)
        True
    """
    digest = hashlib.sha256(repr((purpose, int(seed), *map(int, index))).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(purpose: str, seed: int, *index: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a fresh generator for the stream that :func:`derive_seed` names."""
    return torch.Generator(device).manual_seed(derive_seed(purpose, seed, *index))
