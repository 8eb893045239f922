"""`sambench new`: the scaffold of a variant."""

from pathlib import Path
from typing import Annotated

import typer

from .console import out


def new(
    name: Annotated[str, typer.Argument(help="of the variant, in snake_case")],
    folder: Annotated[Path, typer.Option("--folder", help="where to write the file")] = Path("."),
) -> None:
    """Write a commented variant that passes the conformance suite as it stands, to start your own from."""
    from ..benchmarks import conformance

    path = conformance.new_variant(name, folder)
    out.print(f"wrote {path}; try: sambench check {name} --plugin {path}", highlight=False)
