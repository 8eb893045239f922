"""One property suite that every variant passes through, knowing nothing about it but its metadata.

    from sambench.benchmarks.conformance import run

    for result in run(["sam"]):
        print(result.check, result.verdict, result.reason)

Each check is a function of the variant's metadata in a file of its own; importing the file registers it.
"""

from .check import Check, CheckResult, list_checks
from .checks import data_parallel as distributed
from .checks import declared_cost as cost
from .checks import edge_cases as edges
from .checks import equivalence as neutral
from .checks import memory_and_syncs as buffers
from .checks import numpy_reference
from .checks import state_dict_resume as resumption
from .checks import training_options as circumstances
from .checks import weights_restored as restoration
from .runner import check, judge, report, run
from .scaffold import new_variant

__all__ = [
    "Check",
    "CheckResult",
    "buffers",
    "check",
    "circumstances",
    "cost",
    "distributed",
    "edges",
    "judge",
    "list_checks",
    "neutral",
    "new_variant",
    "numpy_reference",
    "report",
    "restoration",
    "resumption",
    "run",
]
