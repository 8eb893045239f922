"""Claims that a setting does harm without SAM, and none under it."""

from typing import Any

from ...results.statistics.verdicts import every, exceeds
from .evidence import Evidence, within_seed
from .registry import Finding, Part


def harms_without_sam(
    evidence: Evidence, without: tuple[str, dict[str, Any]], harmful: tuple[str, dict[str, Any]], margin: float
) -> Finding:
    """Judge the claim that a setting costs plain steps more test error than a margin, and SAM no more than the margin.

    Shown beside it are SAM in that setting against plain steps without it, and the gain of SAM in both.

    Args:
        evidence: with one row of ``sgd``, which takes plain steps of its base, and one of ``sam`` in each setting.
        without: the setting that is compared with: its name, and fields of the spec.
        harmful: the setting that is to cost something, likewise.
        margin: in percentage points.
    """
    level = 1 - 0.05 / 2
    (plain, plain_harmed), (sam, sam_harmed) = (
        [evidence.errors(variant, **fields) for _, fields in (without, harmful)] for variant in ("sgd", "sam")
    )
    (good, _), (bad, _) = without, harmful
    parts = tuple(
        Part(case, exceeds(within_seed((1, more), (-1, less)), needed, of))
        for case, more, less, needed, of in (
            (f"more error without SAM, {bad} than {good}", plain_harmed, plain, margin, level),
            (f"less error under SAM, {bad} than {good}", sam, sam_harmed, -margin, level),
            (f"less error, {bad} with SAM than {good} without SAM", plain, sam_harmed, -margin, 0.95),
            (f"gain of SAM, {bad}", plain_harmed, sam_harmed, 0.0, 0.95),
            (f"gain of SAM, {good}", plain, sam, 0.0, 0.95),
        )
    )
    return Finding(every([part.verdict.outcome for part in parts[:2]]), parts)
