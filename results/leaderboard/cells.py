"""The rows of a table as texts, column by column."""

from collections.abc import Mapping

from ...markdown import number
from ..records.conformance import Checks
from ..statistics.pairs import PairDifference
from ..tables.boards import Section
from ..tables.comparability import write
from ..tables.rows import BASELINES, VERIFIED, Row

BEST = "Best held-out epoch"
"""Column of what is secondary: no ranking looks at it."""
COLUMNS = (
    "Group",
    "Variant",
    "Error, %",
    "n",
    *(f"vs {name}" for name in BASELINES),
    "Grad. evals",
    "ms / eval",
    "Memory, MiB",
    "Diverged",
    BEST,
    "Checks",
    "Tier",
    "Settings",
)
LEFT = ("Group", "Variant", "Checks", "Tier", "Settings")
"""Columns of texts; the others are numbers."""

UNVERIFIED, EDGE = "†", "‡"


def cells(row: Row, section: Section, checks: Checks) -> dict[str, str]:
    """Write a row, one text for each of :data:`COLUMNS`, without padding.

    Args:
        row: a row of the section's table.
        section: the table, with tiers and edges by label.
        checks: variant -> conformance check -> result.
    """
    return {
        "Group": row.group or "–",
        "Variant": row.label + ("" if row.status == VERIFIED else f" {UNVERIFIED}"),
        "Error, %": error(row),
        "n": str(row.n),
        **{f"vs {name}": difference(row.against.get(name)) for name in BASELINES},
        "Grad. evals": number(row.gradient_evaluations),
        "ms / eval": number(None if row.seconds_per_gradient is None else 1000 * row.seconds_per_gradient),
        "Memory, MiB": number(None if row.memory is None else row.memory / 2**20),
        "Diverged": f"{row.diverged}/{row.n}",
        BEST: best_epoch(row),
        "Checks": _mark(checks.get(row.variant)),
        "Tier": section.tiers.get(row.label, "reproduced"),
        "Settings": _settings(row, section.edges.get(row.label, "").split(",")) or "–",
    }


def failing(found: Mapping[str, str]) -> list[str]:
    """List the conformance checks that a variant fails; checks that do not apply to it are not failures."""
    return sorted(check for check, result in found.items() if result not in ("pass", "n/a"))


def error(row: Row) -> str:
    """Write the error of a row in percent, with half its interval, or with the number of runs where there is none."""
    half = f" (n = {row.n})" if row.low is None else f" ± {100 * (row.accuracy - row.low):.2f}"
    return f"{100 * row.error:.2f}{half}"


def best_epoch(row: Row) -> str:
    """Write the mean of the best epochs on held-out images, and the error there; a dash where nothing was held out."""
    if row.best_epoch is None or row.best_held_out is None:
        return "–"
    return f"{row.best_epoch:.1f} ({100 * (1 - row.best_held_out):.2f} %)"


def difference(accuracy: PairDifference | None) -> str:
    """Write a difference of accuracies as one of errors, in points: negative is better than the baseline."""
    if accuracy is None:
        return "–"
    estimate, low, high = (-100 * value + 0.0 for value in (accuracy.estimate, accuracy.high, accuracy.low))
    return f"{estimate:+.2f} [{low:+.2f}, {high:+.2f}]".replace("-", "−")


def _mark(found: Mapping[str, str] | None) -> str:
    if not found:
        return "–"
    return f"✗ {' '.join(wrong)}" if (wrong := failing(found)) else "✓"


def _settings(row: Row, edges: list[str]) -> str:
    names = [edge.strip().partition(" ")[0] for edge in edges]  # "rho (low)" is the lower end of rho
    return " ".join(f"{key}={write(value)}{EDGE if key in names else ''}" for key, value in row.settings.items())
