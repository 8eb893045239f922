"""Check convergence theory on problems with proven constants.

Every command imports what it needs: pandas, seaborn, scipy and numba take seconds, which the rest of the command line
need not pay.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from ..atomic import atomic_write_bytes, make_folder
from .console import say
from .options import RESULTS, Plugins, Results

FOLDER = "theory"
"""Folder of data and figures in the results, with the page on them."""
QUICK = "normalization"

app = typer.Typer(help=(__doc__ or "").partition("\n")[0], no_args_is_help=True)
Out = Annotated[
    Path | None,
    typer.Option(help=f"Folder for data (Parquet) and figures (PNG, SVG) \\[default: {FOLDER} in the results]."),
]
Page = Annotated[Path | None, typer.Option(help="The page to write \\[default: theory.md in the folder].")]
Quick = Annotated[bool, typer.Option("--quick", help="A small version of the experiment, for a first look.")]


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="An experiment; `sambench list experiments` shows them.")],
    problem: Annotated[
        str | None,
        typer.Option(
            help="Run on this problem (`sambench list problems`), or file (libsvm:FILE), not on the experiment's own."
        ),
    ] = None,
    results: Results = RESULTS,
    out: Out = None,
    quick: Quick = False,
    plugin: Plugins = None,
) -> None:
    """Run one experiment and say what it shows."""
    from ..benchmarks.theory.experiments import EXPERIMENTS, read_data, run_experiment
    from ..benchmarks.theory.problems import make_problem

    other = None if problem is None else make_problem(problem)
    folder = out or results / FOLDER
    paths = run_experiment(name, folder, quick, other)
    for path in paths:
        say(str(path))
    for text in EXPERIMENTS.get(name).findings(read_data(paths[0].stem, folder)):
        say(f"\n{text}")


@app.command("all")
def run_all(results: Results = RESULTS, out: Out = None, quick: Quick = False, page: Page = None) -> None:
    """Run every experiment and write the page on them (minutes; seconds with --quick)."""
    from ..benchmarks.theory.experiments import EXPERIMENTS, run_experiment

    for name in EXPERIMENTS.names():
        for path in run_experiment(name, out or results / FOLDER, quick):
            say(str(path))
    write_page(results, out, page)


@app.command("page")
def write_page(results: Results = RESULTS, out: Out = None, page: Page = None) -> None:
    """Write the page from data that is there."""
    from ..benchmarks.theory.page import build_page

    folder = out or results / FOLDER
    page = page or folder / "theory.md"
    text = build_page(folder, Path(os.path.relpath(folder, page.parent)).as_posix())
    make_folder(page.parent)
    atomic_write_bytes(page, text.encode())
    say(str(page))


def quick_figure(out: Path) -> Path:
    """Make one small figure in seconds, for a quick start.

    Returns:
        The path of the PNG.
    """
    from ..benchmarks.theory.experiments import run_experiment

    return run_experiment(QUICK, out, quick=True)[1]
