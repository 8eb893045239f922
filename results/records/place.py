"""Where results are, and what a printed command needs to find them again."""

import os
import shlex
from pathlib import Path

RESULTS_VARIABLE = "SAMBENCH_RESULTS"
RESULTS = Path("sambench-results")
"""Where results are unless ``$SAMBENCH_RESULTS`` or an option says otherwise; git ignores a folder of this name."""


def results_option(results: Path) -> str:
    """Return what a printed command needs to find these results when it is pasted: nothing for the default ones."""
    default = Path(os.environ.get(RESULTS_VARIABLE) or RESULTS)
    return "" if results == default else f" --results {shlex.quote(str(results))}"


def command(verb: str, suite: str, results: Path) -> str:
    """Return a command on a suite that works where it is pasted.

    Args:
        verb: name of the command, with options of its own.
        suite: the suite as it was named: a shipped one, or the path of a file.
        results: folder of its results.
    """
    return f"sambench {verb} {shlex.quote(suite)}{results_option(results)}"
