"""Notes under a table: statistical power, times that are not comparable, missing runs."""

from collections.abc import Sequence
from statistics import stdev

from ...markdown import code, count, escape, number
from ..records.manifest import TRACKS, Track
from ..statistics.pairs import LEAST_RUNS
from ..tables.boards import Board, Section
from ..tables.grouping import RELEASE
from ..tables.rows import Excluded, Row
from ..tables.tiers import STALE
from ..tables.workload_table import Workload
from .cells import EDGE

MOST_OF_IT = 0.95
"""Share of the gradient evaluations of the dearest row from which on all are taken to have used their budget."""
UNSTEADY = 1.5
"""Ratio of the slowest to the fastest run of a method at which a note says that times do not compare."""


def notes(section: Section) -> list[str]:
    """Return the notes under a table, one or two sentences each."""
    workload = section.workload
    return [
        *([] if section.reference or len(workload.rows) < 2 else [_power(workload)]),
        _hardware(workload),
        *_busy(workload.rows),
        *_forward_passes(workload.rows),
        *_codes(section),
        *_edges(section),
        *_best_epochs(workload.rows),
    ]


def _best_epochs(rows: Sequence[Row]) -> list[str]:
    if all(row.best_epoch is None for row in rows):
        return []
    return [
        "**Best held-out epoch** (what it cost) is secondary and no result: the mean over runs of the first epoch with "
        "the highest accuracy on held-out training images, with the error on those, which chose it. Rows are ranked by "
        "the last epoch, on test images."
    ]


def track_text(track: Track, rows: Sequence[Row]) -> str:
    """Return a sentence on what the runs of a track hold equal; where a tuning chose epochs, the budget is the most."""
    budget = f"{track.budget:g}"
    match track.name:
        case "G":
            used = [row.gradient_evaluations for row in rows if row.gradient_evaluations]
            rule = f"every method may spend {budget} passes of the training set forward and backward, " + (
                "so that one that needs a single pass a step trains for twice the epochs of SAM, its schedule stretched"
                if not used or min(used) >= MOST_OF_IT * max(used)
                else "and uses the share of it that was chosen for it, or that whole epochs leave: see what it cost"
            )
        case "E":
            fewer = any(row.spec.get("epochs", track.budget) < track.budget for row in rows)
            most = f"{'at most ' * fewer}{count(int(track.budget), 'epoch')}"
            rule = f"every method trains for {most}, whatever a step costs"
        case "T":
            where = f" on {escape(track.calibration.device_name)}" if track.calibration else ""
            rule = f"every method trains for the epochs that fit in {budget} s{where}, by a calibration before the runs"
    return f"Track {track.name}, {TRACKS[track.name]}: {rule}."


def origin(board: Board) -> str:
    """Return a paragraph on a board's runs: command, number, code, and how settings were chosen."""
    commits: dict[str, int] = {}
    for section in board.sections:
        for commit, runs in section.workload.commits:
            commits[commit] = max(commits.get(commit, 0), runs)  # a run may be in the tables of two tracks
    named = [("commit ", [one for one in sorted(commits) if not one.startswith(RELEASE)])]
    named += [("", [one for one in sorted(commits) if one.startswith(RELEASE)])]
    texts = [f"{what}{', '.join(map(escape, those))}" for what, those in named if those]
    made = f", made with the code of {' and '.join(texts)}" if texts else ""
    parts = [f"{count(board.runs, 'run')}{made}."]
    if board.manifest is None:
        again = "; `sambench run` with the settings of a row makes it again" * any(
            s.workload.rows for s in board.sections
        )
        parts.insert(0, f"No suite here lists these runs{again}.")
    else:
        parts.insert(0, f"{code(board.manifest.command)}:")
        if board.manifest.untracked and not board.manifest.tracks:
            parts.append("The suite has no track: nothing is held equal, every run trains for the epochs it says.")
    if any(commit.endswith("+") for commit in commits):
        parts.append("A + marks a checkout with changes since that commit.")
    if board.missing:
        parts.append(f"**{count(board.missing, 'promised run')} not done yet**: the tables may change.")
    if board.budget:
        stages = ", ".join(f"{trials} ({escape(stage)}, seed {seed})" for (stage, seed), trials in board.budget.items())
        ledger = board.manifest.tuning.ledger if board.manifest and board.manifest.tuning else ""
        parts.append(
            f"Settings were tuned on held-out training images, with the same trials for every method: {stages}; all "
            f"of them are in {code(f'ledgers/{ledger}')}."
        )
    elif board.manifest is not None:
        parts.append("Nothing was tuned: settings are the defaults or what the suite says.")
    if names := board.manifest and sorted(board.manifest.predictions):
        commands = ", ".join(code(f"sambench study describe {name}") for name in names)
        parts.append(f"What was predicted of these runs, and what they show of it: {commands}.")
    return " ".join(parts)


def exclusions(board: Board) -> list[str]:
    """List the runs of a board that no row counts, with the reasons, as Markdown lines."""
    lines = [
        escape(f"{section.workload.title}: {item.label}, {_seeds(item)}: {item.reason[:300]}")
        for section in board.sections
        for item in section.workload.excluded
    ]
    return list(dict.fromkeys(lines))


def _power(workload: Workload) -> str:
    if not workload.detectable or workload.deviation is None:
        return "No row has three runs: there is no interval and no group, and no difference is evidence."
    found = ", ".join(f"{100 * alone:.2f} points with {n} runs each" for n, alone, _ in workload.detectable)
    joint = ", ".join(f"{100 * together:.2f}" for _, _, together in workload.detectable)
    within = (
        "" if workload.within_seed is None else f", of a difference within the seed {100 * workload.within_seed:.2f}"
    )
    own = {row.label: 100 * stdev(row.accuracies) for row in workload.rows if row.n >= LEAST_RUNS}
    wild = max(own, key=lambda label: own[label], default="")
    apart = f", of single rows {min(own.values()):.2f} to {own[wild]:.2f} ({escape(wild)})" if len(own) > 1 else ""
    return (
        f"Smallest difference between two rows that is found with 80 % power: {found} (one comparison at 5 %; "
        f"standard deviation over seeds {100 * workload.deviation:.2f}{apart}{within}); by the groups, which judge all "
        f"pairs at once, {joint}."
    )


def _hardware(workload: Workload) -> str:
    if len(workload.hardware) == 1:
        return f"Times were measured on: {escape(workload.hardware[0][0])}."
    kinds = "; ".join(f"{escape(name)} ({count(runs, 'run')})" for name, runs in workload.hardware)
    return f"**Times mix hardware** and do not compare: {kinds}."


def _busy(rows: Sequence[Row]) -> list[str]:
    worst = max((row.unsteadiness for row in rows if row.unsteadiness), default=1.0)
    if worst < UNSTEADY:
        return []
    return [
        f"**Times do not compare**: a gradient evaluation took {worst:.1f} times as long in one run of a row as in "
        "another, so other work shared the machine."
    ]


def _forward_passes(rows: Sequence[Row]) -> list[str]:
    found = [f"{escape(row.label)} {number(row.forward_evaluations)}" for row in rows if row.forward_evaluations]
    return [f"Forward-only passes, beside the gradient evaluations: {', '.join(found)}."] if found else []


def _codes(section: Section) -> list[str]:
    rows = section.workload.rows
    mixed = [escape(row.label) for row in rows if len(row.codes) > 1]
    compiled = [escape(row.label) for row in rows if len(row.compilers) > 1]
    old = [escape(row.label) for row in rows if section.tiers.get(row.label) == STALE]
    return [
        *([f"**More than one version** of the variant's code: {', '.join(mixed)}."] if mixed else []),
        *([f"**Compiled and not compiled** runs in one row: {', '.join(compiled)}."] if compiled else []),
        *([f"**Stale**, as the variant behaves otherwise today: {', '.join(old)}."] if old else []),
    ]


def _edges(section: Section) -> list[str]:
    found = [escape(row.label) for row in section.workload.rows if section.edges.get(row.label)]
    if not found:
        return []
    return [f"{EDGE} a tuned value at the edge of its range, where a wider one might do better: {', '.join(found)}."]


def _seeds(item: Excluded) -> str:
    return f"seed{'s' if len(item.seeds) > 1 else ''} {', '.join(map(str, item.seeds))}"
