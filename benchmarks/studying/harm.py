"""Claims that a setting harms SGD and does not harm SAM."""

from typing import Any

from ...results.statistics.verdicts import every, exceeds
from .evidence import Evidence, within_seed
from .registry import Finding, Part


def harms_sgd_alone(
    evidence: Evidence, without: tuple[str, dict[str, Any]], harmful: tuple[str, dict[str, Any]], margin: float
) -> Finding:
    """Judge the claim that a setting costs SGD more than a margin of test error, and SAM no more than the margin.

    Shown beside it are SAM in that setting against SGD without it, and SAM against SGD in both.

    Args:
        evidence: with one row of ``sgd`` and one of ``sam`` in each setting.
        without: the setting that is compared with: its name, and fields of the spec.
        harmful: the setting that is to cost something, likewise.
        margin: in percentage points.
    """
    level = 1 - 0.05 / 2
    (sgd, sgd_harmed), (sam, sam_harmed) = (
        [evidence.errors(variant, **fields) for _, fields in (without, harmful)] for variant in ("sgd", "sam")
    )
    (plain, _), (name, _) = without, harmful
    parts = tuple(
        Part(case, exceeds(within_seed((1, more), (-1, less)), needed, of))
        for case, more, less, needed, of in (
            (f"more error of SGD, {name} against {plain}", sgd_harmed, sgd, margin, level),
            (f"less error of SAM, {name} against {plain}", sam, sam_harmed, -margin, level),
            (f"less error of SAM, {name}, than of SGD, {plain}", sgd, sam_harmed, -margin, 0.95),
            (f"gain of SAM over SGD, {name}", sgd_harmed, sam_harmed, 0.0, 0.95),
            (f"gain of SAM over SGD, {plain}", sgd, sam, 0.0, 0.95),
        )
    )
    return Finding(every([part.verdict.outcome for part in parts[:2]]), parts)
