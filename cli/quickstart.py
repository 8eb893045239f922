"""``sambench quickstart``: from nothing to a leaderboard that was trained here."""

from ..benchmarks.device import cores
from ..errors import ConfigError
from .console import say, tell
from .launch import report, show
from .leaderboard import good_records, print_board, shown_checks
from .options import RESULTS, Device, Results, Workers
from .site import write_site
from .theory import quick_figure


def quickstart(
    results: Results = RESULTS,
    workers: Workers = None,
    device: Device = "cpu",
) -> None:
    """Train a small network with many variants on embedded data and show the leaderboard. A minute or two."""
    from ..slurm.executor import LocalExecutor
    from ..slurm.launch import launch_suite

    executor = LocalExecutor(device, workers=workers)
    report(
        launch_suite("quickstart", results, executor, command="sambench quickstart", watch=show),
        "quickstart",
        "",
        "local",
    )
    from ..benchmarks.training.behaviour import codes_today
    from ..results import plots
    from ..results.leaderboard import render as boards
    from ..results.leaderboard.place import Place
    from ..results.records.store import Store
    from ..results.tables.boards import gather

    store, board, figures = Store(results), Place.of(results), results / "figures"
    found = gather(store, codes_today())
    boards.write(boards.render(found, shown_checks(results, found), place=board))
    print_board(found)
    for path in plots.draw(found, good_records(store), figures, workers=cores()):
        tell(f"figure: {path}")
    tell(f"figure: {quick_figure(figures)}")
    try:
        page = str(write_site(results))
    except ConfigError as missing:  # an extra that is not installed spoils no quickstart
        page = f"none: {missing}"
    say(f"board: {board.front}")
    say(f"site: {page}")
