"""sambench: a benchmark suite for Sharpness-Aware Minimization and its variants.

import sambench as sb

optimizer = sb.create("unified_sam", model, base="sgd", lr=0.1, momentum=0.9, rho=0.2, lam="1-1/t")
sb.launch_suite("quickstart", "sambench-results")
frame = sb.load_results("sambench-results")

Names are imported when they are first used: ``import sambench`` alone loads no torch.
"""

from typing import TYPE_CHECKING

from .lazy import attach
from .version import __version__ as __version__

if TYPE_CHECKING:
    from .benchmarks.measuring.measurements import MeasuringOptions, measure_runs
    from .benchmarks.measuring.slices import surface
    from .benchmarks.resolve import make_spec
    from .benchmarks.spec import RunSpec
    from .benchmarks.suites.suite import Suite, load_suite
    from .benchmarks.training.kept_network import load_model
    from .benchmarks.training.oracle import Oracle
    from .benchmarks.training.run import run_spec
    from .cli.site import write_site
    from .errors import ConfigError, DataError, SambenchError, StateError
    from .registry import load_plugin
    from .results.records.store import Store
    from .results.tables.comparison import compare
    from .results.tables.dataframe import load_results
    from .slurm.executor import make_executor
    from .slurm.launch import launch_suite
    from .slurm.planning import make_plan
    from .variants.registry import create, get_info, list_variants, register

__all__ = [
    "ConfigError",
    "DataError",
    "MeasuringOptions",
    "Oracle",
    "RunSpec",
    "SambenchError",
    "StateError",
    "Store",
    "Suite",
    "compare",
    "create",
    "get_info",
    "launch_suite",
    "list_variants",
    "load_model",
    "load_plugin",
    "load_results",
    "load_suite",
    "make_executor",
    "make_plan",
    "make_spec",
    "measure_runs",
    "register",
    "run_spec",
    "surface",
    "write_site",
]

__getattr__ = attach(
    __name__,
    {
        ".benchmarks.measuring.measurements": "MeasuringOptions measure_runs",
        ".benchmarks.measuring.slices": "surface",
        ".benchmarks.resolve": "make_spec",
        ".benchmarks.spec": "RunSpec",
        ".benchmarks.suites.suite": "Suite load_suite",
        ".benchmarks.training.kept_network": "load_model",
        ".benchmarks.training.oracle": "Oracle",
        ".benchmarks.training.run": "run_spec",
        ".cli.site": "write_site",
        ".errors": "ConfigError DataError SambenchError StateError",
        ".registry": "load_plugin",
        ".results.records.store": "Store",
        ".results.tables.comparison": "compare",
        ".results.tables.dataframe": "load_results",
        ".slurm.executor": "make_executor",
        ".slurm.launch": "launch_suite",
        ".slurm.planning": "make_plan",
        ".variants.registry": "create get_info list_variants register",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
