"""Comparisons of rows as texts: for the terminal, Markdown, LaTeX and JSON."""

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from ...markdown import count, number, table
from ..statistics.paired_examples import PairedExamples
from ..tables.comparison import Pair
from ..tables.rows import Row

_COLUMNS = ("Workload", "Rows", "Error less error, points", "n", "Grad. evals each", "Would show, points")
_LEFT = ("Workload", "Rows")
_SPECIAL = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "−": "$-$",
    "–": "--",
    "±": r"$\pm$",
    "†": r"$\dagger$",
}


def text(pairs: Sequence[Pair]) -> str:
    """Write comparisons for a terminal: table by table the rows with their cost, then a sentence a pair."""
    parts = []
    for (suite, title), found in groupby(pairs, key=lambda pair: (pair.suite, pair.title)):
        group = list(found)
        rows = {row.label: row for pair in group for row in (pair.first, pair.second)}
        width = max(map(len, rows))
        lines = [f"{title} ({suite})" if suite else title]
        lines += [f"  {label:{width}}  {_error(row)}  {_cost(row)}" for label, row in rows.items()]
        for pair in group:
            lines += [f"  {_by(pair)}{pair}", *([f"  {pair.on_examples}"] if pair.examples else [])]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def markdown(pairs: Sequence[Pair]) -> str:
    """Write comparisons as a Markdown table with the sentences below it."""
    rows = [[pair.title, f"{pair.first.label} − {pair.second.label}", *_numbers(pair)] for pair in pairs]
    sentences = "\n".join(f"- {pair.title}: {pair} {pair.on_examples}".rstrip() for pair in pairs)
    return f"{table(_COLUMNS, rows, _LEFT)}\n\n{sentences}"


def latex(pairs: Sequence[Pair]) -> str:
    """Write comparisons as a LaTeX ``tabular`` with the rules of the package booktabs."""
    rows = [[pair.title, f"{pair.first.label} − {pair.second.label}", *_numbers(pair)] for pair in pairs]
    return tabular(_COLUMNS, rows, _LEFT)


def tabular(columns: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str]) -> str:
    """Write a LaTeX ``tabular`` with the rules of the package booktabs; its texts are escaped here.

    Args:
        columns: heading of each column.
        rows: for each row one text a column.
        left: headings of the columns that are aligned to the left; the others are aligned to the right.
    """
    heading, *body = (" & ".join(map(latex_text, row)) + r" \\" for row in (columns, *rows))
    sides = "".join("l" if name in left else "r" for name in columns)
    rules = (r"\toprule", heading, r"\midrule", *body, r"\bottomrule")
    return "\n".join([f"\\begin{{tabular}}{{{sides}}}", *rules, r"\end{tabular}"])


def as_json(pairs: Sequence[Pair]) -> str:
    """Write comparisons as a JSON list; differences and errors are in points, that is in percent of the test set."""
    return json.dumps([_values(pair) for pair in pairs], indent=1, ensure_ascii=False)


def _values(pair: Pair) -> dict[str, Any]:
    difference = None
    if pair.difference is not None and pair.errors is not None:
        difference = dict(zip(("estimate", "low", "high"), pair.errors, strict=True)) | {
            "p": pair.difference.p,
            "within_seed": pair.difference.within_seed,
            "n": pair.difference.n,
            "detectable": 100 * pair.difference.detectable,
        }
    return {
        "suite": pair.suite or None,
        "workload": pair.workload,
        "track": pair.track or None,
        "first": _row(pair.first),
        "second": _row(pair.second),
        "difference": difference,
        "examples": pair.examples and _examples(pair.examples),
        "sentence": str(pair),
    }


def _examples(found: PairedExamples) -> dict[str, Any]:
    """Write an accuracy's difference as one of errors, in points, like the others."""
    return {
        "estimate": -100 * found.estimate + 0.0,
        "low": -100 * found.high + 0.0,
        "high": -100 * found.low + 0.0,
        "only_first": found.only_first,
        "only_second": found.only_second,
        "mcnemar_p": list(found.p),
        "mcnemar_apart": found.apart,
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "label": row.label,
        "error": 100 * row.error,
        "n": row.n,
        "diverged": row.diverged,
        "gradient_evaluations": row.gradient_evaluations,
        "train_seconds": row.train_seconds,
    }


def _numbers(pair: Pair) -> list[str]:
    costs = " / ".join(number(row.gradient_evaluations) for row in (pair.first, pair.second))
    if pair.difference is None or pair.errors is None:
        return ["–", f"{pair.first.n} / {pair.second.n}", costs, "–"]
    estimate, low, high = pair.errors
    n = str(pair.difference.n[0]) if pair.difference.within_seed else " / ".join(map(str, pair.difference.n))
    interval = f"{estimate:+.2f} [{low:+.2f}, {high:+.2f}]".replace("-", "−")
    return [interval, n, costs, f"{100 * pair.difference.detectable:.2f}"]


def _error(row: Row) -> str:
    half = "" if row.low is None else f" ± {100 * (row.accuracy - row.low):.2f}"
    return f"error {100 * row.error:.2f}{half} %"


def _cost(row: Row) -> str:
    diverged = f", {row.diverged} diverged" if row.diverged else ""
    return f"{count(row.n, 'run')}{diverged}, {number(row.gradient_evaluations)} gradient evaluations each"


def _by(pair: Pair) -> str:
    if pair.difference is None:
        return ""
    return f"[{count(pair.difference.n[0], 'pair')}] " if pair.difference.within_seed else "[unpaired] "


def latex_text(cell: str) -> str:
    """Escape a text for LaTeX."""
    return "".join(_SPECIAL.get(character, character) for character in cell)
