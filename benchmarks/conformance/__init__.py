"""One property suite that every variant passes through, knowing nothing about it but its metadata.

    from sambench.benchmarks.conformance import run

    for result in run(["sam"]):
        print(result.check, result.verdict, result.reason)

Each check is a function of the variant's metadata in a file of its own; importing the file registers it.
"""

from . import buffers, circumstances, cost, dense, distributed, edges, neutral, restoration, resumption
from .authoring import new_variant
from .results import Check, CheckResult, list_checks
from .runner import check, judge, report, run

__all__ = [
    "Check",
    "CheckResult",
    "buffers",
    "check",
    "circumstances",
    "cost",
    "dense",
    "distributed",
    "edges",
    "judge",
    "list_checks",
    "neutral",
    "new_variant",
    "report",
    "restoration",
    "resumption",
    "run",
]
