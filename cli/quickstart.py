"""``sambench quickstart``: from nothing to a leaderboard that was trained here."""

from ..benchmarks.suites.preregistration import preregister
from ..benchmarks.suites.suite import load_suite
from ..results.records.store import Store
from ..slurm.cluster.profile import Profile
from ..slurm.worker import RunOptions
from .console import err, out
from .launch import start
from .leaderboard import conformance_checks, good_records, print_board
from .options import RESULTS, Device, Results, Workers
from .theory import quick_figure


def quickstart(
    results: Results = RESULTS,
    workers: Workers = None,
    device: Device = "cpu",
) -> None:
    """Train a small network with many variants on embedded data and show the leaderboard. Two minutes or so."""
    from ..results import plots
    from ..results.leaderboard import render as boards  # when they are needed: scipy and matplotlib take seconds
    from ..results.tables.boards import gather

    store = Store(results)
    store.check_writable()
    suite = load_suite("quickstart")
    preregister(suite, store, "sambench quickstart")
    start(suite, store, "local", Profile.model_validate({}), RunOptions(store.root, device=device), workers)
    board, figures = results / "LEADERBOARD.md", results / "figures"
    found = gather(store)
    boards.write(boards.render(found, conformance_checks()), board)
    print_board(found)
    for path in plots.draw(found, good_records(store), figures):
        err.print(f"figure: {path}", highlight=False)
    err.print(f"figure: {quick_figure(figures)}", highlight=False)
    out.print(f"board: {board}", highlight=False)
