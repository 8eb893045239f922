"""Applies all rules to a folder of records."""

from collections.abc import Mapping
from pathlib import Path

from .contents import read
from .finding import Finding, merged
from .measurements import check_measurements
from .runs import check_data, check_releases, check_runs, check_seeds, check_tiers
from .suites import check_suite


def validate(root: str | Path, sources: Mapping[str, str]) -> list[Finding]:
    """Check a folder of records against the rules.

    Args:
        root: results folder, with ``runs`` in it.
        sources: variant -> sha256 of its present source file.

    Returns:
        The findings, serious ones first, then by file; the same finding in several files is listed once.

    Raises:
        StateError: the folder is no store of records.
    """
    found = read(Path(root))
    return merged(
        [
            *found.findings,
            *check_runs(found, sources),
            *check_data(found),
            *check_releases(found),
            *check_seeds(found),
            *check_tiers(found),
            *check_measurements(found),
            *(finding for manifest in found.manifests for finding in check_suite(found, manifest)),
        ]
    )
