"""The part of docs/measures.md that the measures say of themselves.

``python -m sambench.benchmarks.measuring.page`` writes it anew.
"""

import inspect
from pathlib import Path

from ...atomic import atomic_write_bytes
from ...markdown import table
from .registry import MEASURES, Measure

PAGE = Path(__file__).parents[2] / "docs" / "measures.md"
MARK = "<!-- What follows is written by python -m sambench.benchmarks.measuring.page -->"


def reference() -> str:
    """Return a section for every measure, by group: what it is, its values and its settings."""
    groups = sorted({one.group for one in MEASURES.all()})
    parts = [f"## Group {group}\n\n" + "\n".join(map(_section, _members(group))) for group in groups]
    return "\n".join(parts)


def stale(path: Path = PAGE) -> bool:
    """Tell whether the page says something else than the measures."""
    return path.read_text(encoding="utf-8") != _whole(path)


def _whole(path: Path) -> str:
    head, _, _ = path.read_text(encoding="utf-8").partition(MARK)
    return f"{head}{MARK}\n\n{reference()}"


def _members(group: str) -> list[Measure]:
    return [one for one in MEASURES.all() if one.group == group]


def _section(one: Measure) -> str:
    values = [[f"`{name}`", text] for name, text in one.values.items()]
    settings = [[f"`{name}`", str(h.default), h.describe(), h.doc] for name, h in one.settings.items()]
    parts = [f"### `{one.name}`: {one.summary}", inspect.getdoc(one.function) or ""]
    parts.append(table(["value", "meaning"], values, ["value", "meaning"]))
    if settings:
        columns = ["setting", "default", "valid", "meaning"]
        parts.append(table(columns, settings, columns))
    parts.append(f"Version {one.version}. {one.paper}.")
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    atomic_write_bytes(PAGE, _whole(PAGE).encode())
