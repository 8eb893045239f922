"""Published numbers: the results that papers and READMEs report, a table for each source, without a ranking.

They are declared beside the variants. This module takes them as rows of plain values, as
``sambench.variants.published_results`` returns them.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .comparability import write

ABOUT = {"dataset": "Data", "network": "Network", "variant": "Variant", "setting": "Setting", "protocol": "Protocol"}
"""What identifies a number: key of a row -> heading of its column."""
VALUE = "Test accuracy, %"


class Source(NamedTuple):
    """The numbers of one source.

    Attributes:
        name: name of the source, such as a paper's arXiv id.
        shared: heading -> text, for what all its numbers have in common.
        columns: headings of the other columns, the numbers' included.
        rows: one text a column, for each number.
    """

    name: str
    shared: Mapping[str, str]
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def on_workloads(
    results: Iterable[Mapping[str, Any]], workloads: Iterable[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Keep the numbers whose data set and network are those of a workload.

    Args:
        results: rows as for :func:`by_source`.
        workloads: the specs' keys that the runs of each workload share.

    Example:
        >>> number = {"dataset": "cifar10", "network": "WRN-28-10"}
        >>> models = ("wrn28_10", "wrn28_2")
        >>> [len(on_workloads([number], [{"dataset": "cifar10", "model": model}])) for model in models]
        [1, 0]
    """
    known = {(workload.get("dataset"), _plain(workload.get("model"))) for workload in workloads}
    return [result for result in results if (result["dataset"], _plain(result["network"])) in known]


def _plain(network: Any) -> str:
    return re.sub(r"[\W_]+", "", str(network)).lower()


def by_source(results: Iterable[Mapping[str, Any]]) -> list[Source]:
    """Group published numbers by their source; those with the most numbers come first.

    Args:
        results: rows with the keys of :data:`ABOUT` (``setting`` is a mapping), ``source``, and ``printed``, the
            number as its source writes it.

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
