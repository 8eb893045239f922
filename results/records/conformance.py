"""What the conformance suite found about every variant when the pages of the variants were last made."""

import json
from collections.abc import Mapping
from pathlib import Path

Checks = Mapping[str, Mapping[str, str]]
"""Variant -> check -> ``pass``, ``fail`` or ``n/a``."""

PATH = Path(__file__).resolve().parents[1] / "conformance.json"
"""Part of the package: an installed one shows the same column of checks as its checkout."""


def conformance_checks(path: Path = PATH) -> Checks:
    """Read what was found; nothing where the file is not there."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def checks_text(checks: Checks) -> str:
    """Return the text of the file, the same for the same findings."""
    return json.dumps(checks, indent=1, sort_keys=True) + "\n"
