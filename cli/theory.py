"""Check convergence theory on problems with proven constants.

Every command imports what it needs: pandas, matplotlib, scipy and numba take seconds, which the rest of the command
line need not pay.
"""

import os
import re
from pathlib import Path
from typing import Annotated

import typer

from ..atomic import atomic_write_bytes, check_writable, make_folder
from .console import say
from .options import RESULTS, Plugins, Results, typed

FOLDER = "theory"
"""Folder of data and figures in the results, with the page on them."""
QUICK = "normalization"

app = typer.Typer(help=(__doc__ or "").partition("\n")[0], no_args_is_help=True)
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "--output",
        help=f"Folder for data (Parquet) and figures (PNG, SVG) \\[default: {FOLDER} in the results].",
    ),
]
Page = Annotated[Path | None, typer.Option(help="The page to write \\[default: theory.md in the folder].")]
Quick = Annotated[bool, typer.Option("--quick", help="A small version of the experiment, for a first look.")]


PROBLEM = typer.Option(help="`sambench list problems`, or libsvm:FILE.")
SAMPLING = typer.Option(help="`sambench list samplings`.")
VARIANT = typer.Option(help="Any variant that takes a plain closure.")
STEP_SIZE = typer.Option(help="`sambench list step-sizes`, or a constant γ.")
SETTINGS = typer.Option("--set", metavar="NAME=VALUE", help="Hyper-parameter of the variant.")
RHO = typer.Option(min=0, help="Constant ρ, instead of the step size's own.")
STEPS = typer.Option(min=1)
TRIALS = typer.Option(min=1, help="Number of sample streams.")
SEED = typer.Option(min=0, help="Seed of the sample streams.")


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="An experiment; `sambench list experiments` shows them.")],
    problem: Annotated[str | None, PROBLEM] = None,
    sampling: Annotated[str | None, SAMPLING] = None,
    variant: Annotated[str | None, VARIANT] = None,
    step_size: Annotated[str | None, STEP_SIZE] = None,
    settings: Annotated[list[str] | None, SETTINGS] = None,
    lam: Annotated[str | None, typer.Option(help="λ of each line: numbers, 1/t or 1-1/t, as in 0,0.5,1/t.")] = None,
    rho: Annotated[float | None, RHO] = None,
    steps: Annotated[int | None, STEPS] = None,
    trials: Annotated[int | None, TRIALS] = None,
    seed: Annotated[int | None, SEED] = None,
    results: Results = RESULTS,
    out: Out = None,
    quick: Quick = False,
    plugin: Plugins = None,
) -> None:
    """Run one experiment, with any of the settings that it has, and say what it shows."""
    from ..benchmarks.theory.experiments import EXPERIMENTS, read_data, run_experiment
    from ..benchmarks.theory.methods import number_or_text
    from ..benchmarks.theory.problems import make_problem
    from .model_options import read_settings

    folder = out or results / FOLDER
    paths = run_experiment(
        name,
        folder,
        quick,
        problem=None if problem is None else make_problem(problem),
        sampling=sampling,
        variant=variant,
        step_size=step_size,
        hyper=read_settings(settings) if settings else None,
        lam=None if lam is None else tuple(number_or_text(one.strip()) for one in lam.split(",")),
        rho=rho,
        steps=steps,
        trials=trials,
        seed=seed,
    )
    for path in paths:
        say(str(path))
    for text in EXPERIMENTS.get(name).findings(read_data(paths[0].stem, folder)):
        say(f"\n{text}")
    say(f"\nnext: sambench describe {name}{typed(plugin)}")


@app.command()
def solve(
    problem: Annotated[str, PROBLEM],
    variant: Annotated[str, VARIANT],
    sampling: Annotated[str, SAMPLING] = "uniform",
    step_size: Annotated[str, STEP_SIZE] = "theorem-3.2",
    settings: Annotated[list[str] | None, SETTINGS] = None,
    lam: Annotated[str | None, typer.Option(help="λ of unified_sam: a number in \\[0, 1], 1/t or 1-1/t.")] = None,
    rho: Annotated[float | None, RHO] = None,
    steps: Annotated[int, STEPS] = 10_000,
    trials: Annotated[int, TRIALS] = 3,
    seed: Annotated[int, SEED] = 0,
    results: Results = RESULTS,
    out: Out = None,
    plugin: Plugins = None,
) -> None:
    """Run any variant on any problem, over the theorem's bound where it covers the run."""
    from ..benchmarks.theory.any_method import draw, findings, run_method
    from ..benchmarks.theory.experiments.base import write_run
    from ..benchmarks.theory.methods import make_method, number_or_text
    from ..benchmarks.theory.problems import make_problem
    from ..benchmarks.theory.sampling import make_sampling
    from .model_options import read_settings

    of = make_problem(problem)
    drawn = make_sampling(sampling, of)
    value, label = None if lam is None else number_or_text(lam), f"{variant}, {step_size}"
    hyper = read_settings(settings or [])
    said = [("lam", lam), ("rho", rho), *sorted(hyper.items()), ("steps", steps), ("trials", trials), ("seed", seed)]
    more = "".join(f"-{name}{re.sub('[^A-Za-z0-9.+-]', '', str(value))}" for name, value in said if value is not None)
    method = make_method(of, drawn, variant, step_size, steps, lam=value, rho=rho, hyper=hyper, label=label)
    folder = out or results / FOLDER
    check_writable(folder)  # before the work, not after
    data = run_method(of, drawn, method, steps=steps, trials=trials, seed=seed)
    for path in write_run(data, draw, folder / f"solve-{of.name}-{sampling}-{variant}-{step_size}{more}", of.name):
        say(str(path))
    for text in findings(data):
        say(f"\n{text}")
    say(f"\nnext: sambench describe {of.name}{typed(plugin)}")


@app.command("all")
def run_all(results: Results = RESULTS, out: Out = None, quick: Quick = False, page: Page = None) -> None:
    """Run every experiment and write the page on them (minutes; seconds with --quick)."""
    from ..benchmarks.device import cores
    from ..benchmarks.theory.experiments import run_experiments

    for paths in run_experiments(out or results / FOLDER, quick, workers=1 if quick else cores()):
        for path in paths:
            say(str(path))
    write_page(results, out, page)


@app.command("page")
def write_page(results: Results = RESULTS, out: Out = None, page: Page = None) -> None:
    """Write the page from data that is there."""
    from ..benchmarks.theory.page import build_page

    folder = out or results / FOLDER
    page = page or folder / "theory.md"
    make_folder(page.parent)
    text = build_page(folder, Path(os.path.relpath(folder, page.parent)).as_posix())
    atomic_write_bytes(page, text.encode())
    say(str(page))


def quick_figure(out: Path) -> Path:
    """Make one small figure in seconds, for a quick start.

    Returns:
        The path of the PNG.
    """
    from ..benchmarks.theory.experiments import run_experiment

    return run_experiment(QUICK, out, quick=True)[1]
