"""What the conformance suite found: about the variants of the package, and, in a results folder, about plug-ins."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from ...atomic import atomic_write_bytes, make_folder
from ...reading import read_bytes
from .behaviour import Code
from .fields import Digest, Frozen, Name, Text

FOLDER = "conformance"
"""Folder of the verdicts on plug-ins, beside the records of a store."""
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


class Findings(Frozen):
    """What `sambench check` found about a plug-in, and of which code: of any other it says nothing."""

    variant: Name
    source: Digest
    behaviour: Text | None
    sambench: Text
    checks: dict[Name, Literal["pass", "fail", "n/a"]]

    def write(self, root: Path) -> Path:
        """Write them into a results folder, in place of earlier ones, and return the path."""
        path = make_folder(root / FOLDER) / f"{self.variant}.json"
        atomic_write_bytes(path, self.model_dump_json(indent=1).encode() + b"\n")
        return path


def checks_of(root: Path, rows: Iterable[tuple[str, Iterable[Code]]]) -> Checks:
    """Return what was found about the variants of a board: those of the package, and plug-ins as they were checked.

    Args:
        root: the results folder.
        rows: variant and codes of each row; findings count where no row of the variant was made with other code.
    """
    made_with = defaultdict[str, list[Code]](list)
    for variant, codes in rows:
        made_with[variant] += codes
    found = dict(conformance_checks())
    for variant in made_with.keys() - found.keys():
        with suppress(OSError, ValidationError):  # none, or nothing that `check` wrote: they are not checked
            text = read_bytes(root / FOLDER / f"{variant}.json")
            one = Findings.model_validate_json(text, strict=True)
            code = Code(one.source, one.behaviour)
            if one.variant == variant and not any(code.differs(other) for other in made_with[variant]):
                found[variant] = one.checks
    return found
