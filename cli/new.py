"""`sambench new`: the scaffold of a variant."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from .console import say


def new(
    name: Annotated[str, typer.Argument(help="of the variant, in snake_case")],
    folder: Annotated[Path, typer.Option("--folder", help="where to write the file")] = Path("."),
) -> None:
    """Write a commented variant that passes the conformance suite as it stands, to start your own from."""
    from ..benchmarks import conformance

    path = conformance.new_variant(name, folder)
    say(f"wrote {path}; try: sambench check {name} --plugin {shlex.quote(str(path))}")
