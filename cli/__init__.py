"""The command line: the only room that knows every other.

A command is a plain function in a file of its own; what options commands share is in ``options``. This file has their
names and one-line helps, and imports a command when it is run: ``sambench --help`` loads neither torch nor pydantic.
"""

import importlib
import logging
import sys
from typing import Annotated, Any, NamedTuple

import typer
from rich.logging import RichHandler
from rich.markup import escape
from typer.core import TyperGroup

from ..errors import Interrupted, SambenchError
from ..version import __version__
from .console import err, out


class Command(NamedTuple):
    """Where a command is and what ``sambench --help`` says of it.

    Args:
        panel: heading under which the help lists it.
        place: ``module:attribute`` of this package; a function, or the ``typer.Typer`` of a group.
        help: one line, the first of the function's docstring.
    """

    panel: str
    place: str
    help: str

    def load(self, name: str) -> Any:
        """Import the command and return what click runs."""
        module, _, attribute = self.place.partition(":")
        target = getattr(importlib.import_module(f".{module}", __name__), attribute)
        if not isinstance(target, typer.Typer):
            single = typer.Typer(rich_markup_mode="rich", pretty_exceptions_enable=False, add_completion=False)
            single.command(name)(target)
            target = single
        command = typer.main.get_command(target)
        command.name = name
        return command


COMMANDS = {
    "list": Command("Look", "describe:list_", "List what can be named in a run or a suite."),
    "describe": Command(
        "Look",
        "describe:describe",
        "Say everything that is declared about a plug-in: rule, paper, cost, hyper-parameters, caveats.",
    ),
    "theory": Command("Look", "theory:app", "Check convergence theory on problems with proven constants."),
    "run": Command(
        "Run",
        "run:run",
        "Train one run and write its record. A run that is in the store is shown; an interrupted one resumes.",
    ),
    "quickstart": Command(
        "Suites",
        "quickstart:quickstart",
        "Train a small network with many variants on embedded data and show the leaderboard. Two minutes or so.",
    ),
    "plan": Command(
        "Suites",
        "plan:plan",
        "Print what a suite would run, what it costs and about how long it takes. Starts nothing.",
    ),
    "tune": Command(
        "Suites",
        "tune:tune",
        "Choose hyper-parameters for every method of a suite under one budget; write the ledger and the suite to "
        "launch.",
    ),
    "calibrate": Command(
        "Suites",
        "calibrate:calibrate",
        "Time an epoch of every method on this device, in turns, and write the suite of track T that rests on it.",
    ),
    "launch": Command(
        "Suites",
        "launch:launch",
        "Run what is missing of a suite: here, several processes at a time, or as job arrays of a cluster.",
    ),
    "status": Command("Suites", "status:status", "Show the state of every run of a suite."),
    "logs": Command("Suites", "logs:logs", "Show what the job that makes a run has written."),
    "cancel": Command(
        "Suites",
        "cancel:cancel",
        "Cancel the jobs of a suite that wait or run. Records and checkpoints stay; launch goes on with them.",
    ),
    "retry": Command(
        "Suites",
        "retry:retry",
        "Make the failed and lost runs of a suite again, each at most so often, and later each time.",
    ),
    "leaderboard": Command(
        "Results",
        "leaderboard:leaderboard",
        "Regenerate the leaderboard from the records, byte for byte the same for the same records.",
    ),
    "plot": Command(
        "Results",
        "plot:plot",
        "Draw the figures: errors and their cost, learning curves, who beats whom, heat maps, profiles, tuning curves.",
    ),
    "export": Command(
        "Results",
        "export:export",
        "Write a tidy table with one row a run, for pandas; docs/results.md says what its columns are.",
    ),
    "validate": Command(
        "Results",
        "validate:validate",
        "Hold a folder of records to docs/rules.md: hashes, seeds, budgets, hardware, code. Fails when one is broken.",
    ),
    "merge": Command(
        "Results",
        "merge:merge",
        "Add the records of other results folders to this one. Nothing is overwritten; different results are "
        "explained.",
    ),
    "new": Command(
        "Extend",
        "new:new",
        "Write a commented variant that passes the conformance suite as it stands, to start your own from.",
    ),
    "check": Command(
        "Extend",
        "check:check",
        "Hold variants to the conformance suite: identities, restore, resume, cost, edge cases, precision, DDP.",
    ),
}
"""Name -> command, in the order in which ``sambench --help`` lists them; a new command is added here."""


class LazyGroup(TyperGroup):
    """A group that lists its commands without importing them, and imports the one that is run or completed."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Return name, command and remaining arguments, as click asks for them; the command is loaded here."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, COMMANDS[name].load(name) if name else listed, rest


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


for _name, _command in COMMANDS.items():
    app.command(_name, help=_command.help, rich_help_panel=_command.panel)(_listed)


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
