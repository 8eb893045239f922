"""Applies all rules to a folder of records."""

from collections.abc import Mapping
from pathlib import Path

from ..records.behaviour import Code
from .contents import read
from .finding import Finding, merged
from .measurements import check_measurements
from .runs import check_data, check_doubles, check_releases, check_runs, check_seeds, check_tiers
from .suites import check_suite


def validate(root: str | Path, today: Mapping[str, Code], official: Mapping[str, str | None]) -> list[Finding]:
    """Check a folder of records against the rules.

    Args:
        root: results folder, with ``runs`` in it.
        today: variant -> its code as it is; see :func:`sambench.benchmarks.training.behaviour.codes_today`.
        official: reserved name of a data set -> fingerprint of its data, None where it is not known.

    Returns:
        The findings, serious ones first, then by file; the same finding in several files is listed once.

    Raises:
        StateError: the folder is no store of records.
    """
    found = read(Path(root))
    return merged(
        [
            *found.findings,
            *check_runs(found, today),
            *check_data(found, official),
            *check_releases(found),
            *check_doubles(found),
            *check_seeds(found),
            *check_tiers(found),
            *check_measurements(found),
            *(finding for manifest in found.manifests for finding in check_suite(found, manifest)),
        ]
    )
