"""Which code of a variant made a run: told by how the variant behaved, or by the hash of its source.

A source changes whenever a comment in it does; the behaviour (:mod:`sambench.benchmarks.training.behaviour`) changes
when the rule does. ``results/behaviour.json`` lists how each source that was ever measured behaved, so that records
from before behaviours were recorded are judged by it too.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

PATH = Path(__file__).resolve().parents[1] / "behaviour.json"
"""Part of the package, as the verdicts of the conformance suite are."""


class Code(NamedTuple):
    """The code of a variant.

    Attributes:
        source: sha256 of the variant's source file.
        behaviour: hash of what it does; ``None`` where that is not known.
    """

    source: str
    behaviour: str | None = None

    def differs(self, other: "Code") -> bool:
        """Tell whether results may differ: the behaviours do, or, where one is not known, the sources."""
        if self.behaviour is None or other.behaviour is None:
            return self.source != other.source
        return self.behaviour != other.behaviour


@cache
def known_behaviours(path: Path = PATH) -> Mapping[str, Mapping[str, str]]:
    """Read variant -> sha256 of a source -> behaviour; nothing where the file is not there."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def code_of(variant: str, source: str, behaviour: str | None = None) -> Code:
    """Return the code that made a run or trial; the behaviour is looked up where it was not recorded.

    Args:
        variant: name of the variant.
        source: sha256 of its source file then.
        behaviour: as recorded.
    """
    return Code(source, behaviour or known_behaviours().get(variant, {}).get(source))


def behaviours_text(known: Mapping[str, Mapping[str, str]]) -> str:
    """Return the text of the file, the same for the same behaviours."""
    return json.dumps(known, indent=1, sort_keys=True) + "\n"
