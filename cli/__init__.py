"""The command line: the only place that knows every room.

A command is a plain function in the file of its group; what options commands share is in ``options``. This file puts
them into the order in which ``sambench --help`` reads.
"""

import logging
import sys
from typing import Annotated

import typer
from rich.logging import RichHandler
from rich.markup import escape

from .. import __version__
from ..benchmarks.training.signals import Interrupted
from ..errors import SambenchError
from .calibrate import calibrate_
from .cancel import cancel
from .check import check
from .console import err, out
from .describe import describe, list_
from .export import export
from .launch import launch
from .leaderboard import leaderboard
from .logs import logs
from .merge import merge
from .new import new
from .plan import plan
from .plot import plot
from .quickstart import quickstart
from .retry import retry
from .run import run
from .status import status
from .theory import app as theory
from .tune import tune
from .validate import validate

COMMANDS = {
    "Look": {"list": list_, "describe": describe},
    "Run": {"run": run},
    "Suites": {
        "quickstart": quickstart,
        "plan": plan,
        "tune": tune,
        "calibrate": calibrate_,
        "launch": launch,
        "status": status,
        "logs": logs,
        "cancel": cancel,
        "retry": retry,
    },
    "Results": {"leaderboard": leaderboard, "plot": plot, "export": export, "validate": validate, "merge": merge},
    "Extend": {"new": new, "check": check},
}
"""Panel of the help -> name -> command; a new command is added here."""

app = typer.Typer(
    name="sambench",
    help="A benchmark suite for Sharpness-Aware Minimization: plug-in optimizers, one harness, honest leaderboards.\n\n"
    "Start with [bold]sambench quickstart[/]; see what there is with [bold]sambench list variants[/].",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)
for panel, commands in COMMANDS.items():
    for name, command in commands.items():
        app.command(name, rich_help_panel=panel)(command)
app.add_typer(theory, name="theory", rich_help_panel="Look")


def _version(asked: bool) -> None:
    if asked:
        out.print(f"sambench {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version and leave")
    ] = False,
) -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(message)s", handlers=[RichHandler(console=err, show_path=False, show_time=False)]
    )


def main() -> None:
    """Run the command line; expected errors are a message and exit code 2, an interrupt is 130."""
    try:
        app(standalone_mode=True)
    except SambenchError as error:
        err.print(f"[red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(2)
    except Interrupted as stop:
        err.print(f"interrupted: {stop}; the same command resumes", highlight=False)
        sys.exit(130)
