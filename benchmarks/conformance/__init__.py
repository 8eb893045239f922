"""One property suite that every variant passes through, knowing nothing about it but its metadata.

    from sambench.benchmarks.conformance import run

    for result in run(["sam"]):
        print(result.check, result.verdict, result.reason)

Each check is a function of the variant's metadata; a new file in ``checks/`` is found by itself.
"""

from .check import CHECKS, Check, CheckResult, Failed, NotApplicable, list_checks
from .check import check as register_check
from .runner import check, findings, judge, report, run
from .scaffold import new_package, new_variant

__all__ = [
    "CHECKS",
    "Check",
    "CheckResult",
    "Failed",
    "NotApplicable",
    "check",
    "findings",
    "judge",
    "list_checks",
    "new_package",
    "new_variant",
    "register_check",
    "report",
    "run",
]
