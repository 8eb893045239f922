"""``sambench theory``: run one experiment or all of them, write the page.

Every command imports what it needs: pandas, seaborn, scipy and numba take seconds, which the rest of the command line
need not pay.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from ..atomic import atomic_write_bytes, make_folder
from .options import Plugins

FIGURES = Path("docs/figures/theory")
ELSEWHERE = Path("theory")
PAGE = Path("docs/theory.md")
QUICK = "normalization"

app = typer.Typer(help="Check convergence theory on problems with proven constants.", no_args_is_help=True)
Out = Annotated[Path, typer.Option(help="Folder for data (Parquet) and figures (PNG, SVG).")]
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
    out: Annotated[
        Path | None,
        typer.Option(help=f"Folder for data and figures; {FIGURES}, or {ELSEWHERE} with --problem, unless given."),
    ] = None,
    quick: Quick = False,
    plugin: Plugins = None,
) -> None:
    """Run one experiment and say what it shows."""
    from ..benchmarks.theory.experiments import EXPERIMENTS, read_data, run_experiment
    from ..benchmarks.theory.problems import make_problem

    other = None if problem is None else make_problem(problem)
    folder = out or (FIGURES if other is None else ELSEWHERE)
    paths = run_experiment(name, folder, quick, other)
    for path in paths:
        typer.echo(path)
    for text in EXPERIMENTS.get(name).findings(read_data(paths[0].stem, folder)):
        typer.echo(f"\n{text}")


@app.command("all")
def run_all(out: Out = FIGURES, quick: Quick = False, page: Annotated[Path, typer.Option()] = PAGE) -> None:
    """Run every experiment and write the page on them (minutes; seconds with --quick)."""
    from ..benchmarks.theory.experiments import EXPERIMENTS, run_experiment

    for name in EXPERIMENTS.names():
        for path in run_experiment(name, out, quick):
            typer.echo(path)
    write_page(out, page)


@app.command("page")
def write_page(out: Out = FIGURES, page: Annotated[Path, typer.Option(help="The page to write.")] = PAGE) -> None:
    """Write the page from data that is there."""
    from ..benchmarks.theory.page import build_page

    figures = Path(os.path.relpath(out, page.parent)).as_posix()
    text = build_page(out, figures)
    make_folder(page.parent)
    atomic_write_bytes(page, text.encode())
    typer.echo(page)


def quick_figure(out: Path) -> Path:
    """Make one small figure in seconds, for a quick start.

    Returns:
        The path of the PNG.
    """
    from ..benchmarks.theory.experiments import run_experiment

    return run_experiment(QUICK, out, quick=True)[1]
