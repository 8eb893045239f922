"""The command line: the only room that knows every other.

A command is a plain function in a file of its own; what options commands share is in ``options``. This file has their
names, reads their one-line helps, and imports a command when it is run: ``sambench --help`` loads neither torch nor
pydantic.
"""

import ast
import errno
import importlib
import inspect
import io
import logging
import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from typer.core import TyperGroup

from ..errors import Interrupted, SambenchError
from ..version import __version__
from .console import LogHandler, say, tell

COMMANDS = {
    "Look": {
        "list": "describe:list_",
        "describe": "describe:describe",
        "theory": "theory:app",
        "study": "study:app",
        "doctor": "doctor:doctor",
    },
    "Run": {"run": "run:run", "fetch": "fetch:fetch"},
    "Suites": {
        "quickstart": "quickstart:quickstart",
        "plan": "plan:plan",
        "tune": "tune:tune",
        "calibrate": "calibrate:calibrate",
        "launch": "launch:launch",
        "status": "status:status",
        "logs": "logs:logs",
        "cancel": "cancel:cancel",
        "retry": "retry:retry",
        "clean": "clean:clean",
    },
    "Models": {"models": "models:models", "measure": "measure:measure", "surface": "surface:surface"},
    "Results": {
        "leaderboard": "leaderboard:leaderboard",
        "compare": "compare:compare",
        "plot": "plot:plot",
        "site": "site:site",
        "export": "export:export",
        "validate": "validate:validate",
        "merge": "merge:merge",
        "publish": "publish:publish",
        "pull": "publish:pull",
    },
    "Extend": {"new": "new:new", "check": "check:check"},
}
"""Panel of the help -> name -> ``module:function`` of this package (or ``module:app`` of a group), in the order of
``sambench --help``; a new command is added here."""

PLACES = {name: place for commands in COMMANDS.values() for name, place in commands.items()}


def load(name: str) -> Any:
    """Import a command and return what click runs.

    Args:
        name: the command as it is typed.
    """
    module, _, attribute = PLACES[name].partition(":")
    target = getattr(importlib.import_module(f".{module}", __name__), attribute)
    if not isinstance(target, typer.Typer):
        single = typer.Typer(rich_markup_mode="rich", pretty_exceptions_enable=False, add_completion=False)
        single.command(name, help=escape(inspect.getdoc(target) or ""))(target)  # its brackets are no markup
        target = single
    command = typer.main.get_command(target)
    command.name = name
    return command


def summary(place: str) -> str:
    """Return the first paragraph of the docstring of a command (of its file, for a group), read without importing it.

    Args:
        place: a value of :data:`COMMANDS`.
    """
    module, _, attribute = place.partition(":")
    tree = ast.parse(Path(__file__).with_name(f"{module}.py").read_text(encoding="utf-8"))
    function = next((node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == attribute), tree)
    return " ".join((ast.get_docstring(function) or "").split("\n\n")[0].split())


class LazyGroup(TyperGroup):
    """A group that lists its commands without importing them, and imports the one that is run or completed."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Return name, command and remaining arguments, as click asks for them; the command is loaded here."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, load(name) if name else listed, rest


app = typer.Typer(
    name="sambench",
    cls=LazyGroup,
    help="A benchmark suite for Sharpness-Aware Minimization: plug-in optimizers, one harness, honest leaderboards.\n\n"
    "Start with [bold]sambench quickstart[/]; see what there is with [bold]sambench list variants[/].",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _listed() -> None:
    """Stand in the help for a command that is not imported yet."""


for _panel, _commands in COMMANDS.items():
    for _name, _place in _commands.items():
        app.command(_name, help=escape(summary(_place)), rich_help_panel=_panel)(_listed)


def _version(asked: bool) -> None:
    if asked:
        say(f"sambench {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version and leave")
    ] = False,
) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[LogHandler()])


_OF_THE_MACHINE = {
    errno.ENOSPC: "there is no space left where it goes",
    errno.EDQUOT: "the quota is used up where it goes",
    errno.EIO: "the device failed",
    errno.EMFILE: "this process may open too few files: raise the limit, as in `ulimit -n 1024`",
    errno.ENFILE: "the machine has too many open files",
}
"""Failures that are no mistake of anybody's code -> what they mean for what is printed or loaded."""


def main() -> None:
    """Run the command line; expected errors are a message and exit code 2, an interrupt is 130."""
    if not os.environ.get("COLUMNS", "80").strip("0"):
        del os.environ["COLUMNS"]  # a width of 0 says that nobody knows it, and help texts would have no room
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what the terminal's encoding lacks is written out
    try:
        app(standalone_mode=True)
    except SambenchError as error:
        tell(("error: ", "red"), str(error))
        sys.exit(2)
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not re.search("allocate memory|out of memory", str(error)):
            raise
        reason = str(error).partition("\n")[0]
        tell(("error: ", "red"), f"there is not enough memory: {reason}")
        sys.exit(2)
    except Interrupted as stop:
        tell(f"interrupted: {stop}; the same command resumes")
        sys.exit(130)
    except OSError as error:
        if error.errno not in _OF_THE_MACHINE:
            raise
        without = "open a file" if error.errno in (errno.EMFILE, errno.ENFILE) else "print"
        what = f"cannot use {error.filename}" if error.filename else f"cannot {without}"
        with suppress(OSError):
            tell(("error: ", "red"), f"{what}: {_OF_THE_MACHINE[error.errno]}")
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # where the end of Python flushes to
        sys.exit(2)
