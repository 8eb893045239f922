"""All rules over one folder of records."""

from collections.abc import Mapping
from pathlib import Path

from .contents import read
from .finding import Finding, merged
from .runs import check_data, check_releases, check_runs, check_seeds, check_standing
from .suites import check_suite


def validate(root: str | Path, sources: Mapping[str, str]) -> list[Finding]:
    """Hold a folder of records to the rules.

    Args:
        root: the store's folder.
        sources: variant -> sha256 of its source file as it is now.

    Returns:
        What was found, serious findings first, then by file; what several files have in common is one finding.

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
            *check_standing(found),
            *(finding for manifest in found.manifests for finding in check_suite(found, manifest)),
        ]
    )
