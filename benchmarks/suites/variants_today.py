"""What boards say of the variants as they are, from a cache: their code, and the numbers that others published."""

from typing import Any, NamedTuple

from ...results.records.behaviour import Code
from .from_cache import from_cache


class VariantsToday(NamedTuple):
    """The registered variants, as boards need them.

    Attributes:
        codes: variant -> its code.
        published: rows as :func:`sambench.variants.published_results` returns them.
    """

    codes: dict[str, Code]
    published: list[dict[str, Any]]


def variants_today() -> VariantsToday:
    """Return codes and published numbers of all variants; torch is imported only where they are not in the cache."""
    return from_cache("variants", "", _made, _read)


def _made() -> VariantsToday:
    from ...variants import published_results  # torch, for the step rules
    from ..training.behaviour import codes_today

    return VariantsToday(codes_today(), published_results())


def _read(made: tuple[dict[str, Any], list[dict[str, Any]]]) -> VariantsToday:
    codes, published = made
    return VariantsToday({name: Code(*code) for name, code in codes.items()}, published)
