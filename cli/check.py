"""``sambench check``: for the author of a variant."""

from typing import Annotated

import typer

from ..errors import SambenchError
from ..registry import is_built_in
from ..variants import get_info
from .console import out, say
from .options import RESULTS, Plugins, Results, results_option, typed


def check(
    names: Annotated[list[str], typer.Argument(help="variants, or patterns such as 'is_*'")],
    results: Results = RESULTS,
    plugin: Plugins = None,
) -> None:
    """Hold variants to the conformance suite: identities, restore, resume, cost, edge cases, precision, DDP.

    What is found of a plug-in is written to the results; the board shows it with the runs of this very code.
    """
    from ..benchmarks import conformance  # scipy takes a second

    found = conformance.check(names, out)
    checked = dict.fromkeys(one.variant for one in found)
    for name in checked:
        if not is_built_in(get_info(name)):
            say(f"verdict on {name}: {conformance.findings(found, name).write(results)}")
    if any(one.verdict == "fail" for one in found):
        raise SambenchError("not every check holds")
    say(f"next: sambench run --variant {next(iter(checked))}{typed(plugin)}{results_option(results)}")
