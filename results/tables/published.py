"""Published numbers: what others printed, a table for each source, ranked with nothing.

They are stored in one place, beside the variants whose numbers they are. What is read here are the rows of plain values
that ``sambench.variants.published_results`` makes of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .comparability import write

ABOUT = {"dataset": "Data", "network": "Network", "variant": "Variant", "setting": "Setting", "protocol": "Protocol"}
"""What a number is told apart by: key of a row -> heading."""
VALUE = "Test accuracy, %"


class Source(NamedTuple):
    """What one source printed.

    Attributes:
        name: of the source.
        shared: what all its numbers have in common, by heading.
        columns: headings of the rest, and of the numbers.
        rows: texts, one a column.
    """

    name: str
    shared: Mapping[str, str]
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def by_source(results: Iterable[Mapping[str, Any]]) -> list[Source]:
    """Group published numbers by their source; those with the most numbers come first.

    Args:
        results: rows with the keys of :data:`ABOUT`, ``source``, and ``printed``, the number as its source writes it;
            ``setting`` is a mapping.

    Example:
        >>> about = {"dataset": "cifar10", "network": "WRN-28-10", "protocol": "200 epochs", "source": "a README"}
        >>> [one] = by_source([
        ...     {**about, "variant": "sgd", "setting": {}, "printed": "96.5"},
        ...     {**about, "variant": "sam", "setting": {"rho": 0.05}, "printed": "97.04"},
        ... ])
        >>> one.shared
        {'Data': 'cifar10', 'Network': 'WRN-28-10', 'Protocol': '200 epochs'}
        >>> one.columns, one.rows[0]
        (['Variant', 'Setting', 'Test accuracy, %'], ['sgd', '', '96.5'])
    """
    numbers: dict[str, list[dict[str, str]]] = {}
    for result in results:
        setting = " ".join(f"{key}={write(value)}" for key, value in result["setting"].items())
        texts = {heading: str(result[key]) for key, heading in ABOUT.items()} | {ABOUT["setting"]: setting}
        numbers.setdefault(result["source"], []).append({**texts, VALUE: result["printed"]})
    ordered = sorted(numbers.items(), key=lambda item: (-len(item[1]), item[0]))
    return [_source(name, found) for name, found in ordered]


def _source(name: str, found: list[dict[str, str]]) -> Source:
    shared = {
        heading: found[0][heading]
        for key, heading in ABOUT.items()
        if key not in ("variant", "setting") and len({row[heading] for row in found}) == 1
    }
    columns = [heading for heading in found[0] if heading not in shared]
    columns = sorted(columns, key=lambda heading: heading == ABOUT["protocol"])  # long texts after the numbers
    return Source(name, shared, columns, [[row[heading] for heading in columns] for row in found])
