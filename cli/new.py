"""`sambench new`: something to start from that works as it stands."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ..benchmarks.suites.new_suite import new_suite
from ..errors import ConfigError
from .console import say


def new(
    words: Annotated[list[str], typer.Argument(metavar="[suite] NAME", help="of the variant, in snake_case, or suite")],
    folder: Annotated[Path, typer.Option("--folder", help="where to write it")] = Path("."),
    package: Annotated[
        bool, typer.Option("--package", help="a package around the variant: pyproject, entry point, test")
    ] = False,
) -> None:
    """Write a commented variant that passes the conformance suite as it stands, or a suite that runs as it stands."""
    *kind, name = words
    if words == ["suite"]:
        raise ConfigError("a suite needs a name: new suite NAME")
    if kind not in ([], ["suite"]) or (kind and package):
        raise ConfigError(f"{' '.join(words)!r:.80} is not valid; write new NAME, new NAME --package or new suite NAME")
    if kind:
        path = new_suite(name, folder)
        say(f"wrote {path}; next: sambench plan {shlex.quote(str(path))}")
        return
    from ..benchmarks import conformance

    if package:
        root = conformance.new_package(name, folder)
        say(f"wrote {root}; next: pip install -e {shlex.quote(f'{root}[test]')} && pytest {shlex.quote(str(root))}")
        return
    path = conformance.new_variant(name, folder)
    say(f"wrote {path}; next: sambench check {name} --plugin {shlex.quote(str(path))}")
