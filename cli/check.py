"""``sambench new`` and ``sambench check``: for the author of a variant."""

from pathlib import Path
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


def new(
    name: Annotated[str, typer.Argument(help="of the variant, in snake_case")],
    folder: Annotated[Path, typer.Option("--folder", help="where to write the file")] = Path("."),
) -> None:
    """Write a commented variant that passes the conformance suite as it stands, to start your own from."""
    from ..benchmarks import conformance

    path = conformance.new_variant(name, folder)
    out.print(f"wrote {path}; try: sambench check {name} --plugin {path}", highlight=False)
