"""``sambench new`` and ``sambench check``: for the author of a variant."""

from typing import Annotated

import typer

from ..errors import SambenchError
from .console import out
from .options import Plugins


def check(
    names: Annotated[list[str], typer.Argument(help="variants, or patterns such as 'is_*'")],
    plugin: Plugins = None,
) -> None:
    """Hold variants to the conformance suite: identities, restore, resume, cost, edge cases, precision, DDP."""
    from ..benchmarks import conformance  # scipy takes a second

    if not conformance.check(names, out):
        raise SambenchError("not every check holds")
