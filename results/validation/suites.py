"""Rules for what a suite promised: its runs, their seeds, their budgets, their tuning, their hardware."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator

from ...errors import ConfigError
from ..ledger import FOLDER as LEDGERS
from ..ledger import check_budgets
from ..roster import FOLDER as SUITES
from ..roster import Roster, Track
from ..workloads import setting_of
from .contents import Contents, Entry
from .finding import Finding

OVERSPENT = 0.1
"""Share of the budget that a run of track G may exceed it by: costs that are drawn at random scatter that much."""

UNSTEADY = 0.15
"""Share of the time budget that a run of track T may miss it by: machines are not steadier than that."""


def check_suite(found: Contents, roster: Roster) -> Iterator[Finding]:
    """Check what a suite promised against what is there."""
    file = f"{SUITES}/{roster.name}.json"
    yield from _tuning(found, roster, file)
    missing = [run for run in roster.runs if run not in found.entries or found.entries[run].status == "failed"]
    if missing:
        failed = sum(run in found.entries for run in missing)
        yield Finding(
            file,
            f"{len(missing)} of {len(roster.runs)} runs",
            f"promised and not there (the first is {missing[0][:12]}; {failed} of them failed): seeds are missing",
            f"Run `{roster.command}` again; it makes what is missing",
        )
    for track in roster.tracks:
        entries = [found.entries[run] for run in track.runs if run in found.entries]
        yield from _seeds(roster, track, [entry for entry in entries if entry.status != "failed"], file)
        yield from _trained_on_everything(entries)
        yield from _chosen(found, roster, entries)
        yield from _budget(track, [entry for entry in entries if entry.status == "completed"])
        if track.name == "T":
            yield from _hardware(track, entries)


def _tuning(found: Contents, roster: Roster, file: str) -> Iterator[Finding]:
    trials = found.trials(roster)
    if overlap := sorted({trial.seed for trial in trials} & set(roster.seeds)):
        yield Finding(
            file,
            f"seeds = {', '.join(map(str, overlap))}",
            "tuning used them, too: its choice has seen their luck",
            "Give the suite seeds that no trial has, and run it again",
        )
    ledger = f"{LEDGERS}/{roster.tuning.ledger if roster.tuning else ''}"
    try:
        check_budgets(trials)
    except ConfigError as error:
        yield Finding(ledger, "trials", str(error), "Then run the suite again")


def _chosen(found: Contents, roster: Roster, entries: list[Entry]) -> Iterator[Finding]:
    """The settings of a tuned suite are those that the tuning chose, and no others."""
    chosen = {setting_of(json.loads(trial.spec)) for trial in found.trials(roster) if trial.chosen}
    for entry in entries:
        if chosen and setting_of(entry.spec) not in chosen:
            yield Finding(
                entry.file,
                f"{entry.name}, lr = {entry.spec.get('lr')}, hyper = {entry.spec.get('hyper')}",
                f"the tuning in {LEDGERS}/{roster.tuning.ledger if roster.tuning else ''} chose no such setting",
                "Run the suite that the tuning wrote",
            )


def _seeds(roster: Roster, track: Track, entries: list[Entry], file: str) -> Iterator[Finding]:
    methods: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
    for entry in entries:
        methods[entry.workload, entry.method][int(entry.spec.get("seed", 0))] += 1
    names = {(entry.workload, entry.method): str(entry.spec.get("variant")) for entry in entries}
    for key, seeds in methods.items():
        if foreign := sorted(seeds.keys() - set(roster.seeds)):
            yield Finding(
                file,
                f"track {track.name}, {names[key]}: seeds {', '.join(map(str, foreign))}",
                f"the suite promised seeds {', '.join(map(str, roster.seeds))}",
                "List only the promised runs",
            )


def _trained_on_everything(entries: list[Entry]) -> Iterator[Finding]:
    for entry in entries:
        if (split := entry.spec.get("split", "full")) != "full":
            yield Finding(
                entry.file,
                f"split = {split!r}",
                "final runs train on all training data; this one held some out",
                "Run the suite with split 'full'",
            )


def _budget(track: Track, entries: list[Entry]) -> Iterator[Finding]:
    for entry in entries:
        spent, epoch = _spent(track, entry), _spent(track, entry) / max(1, entry.epochs)
        if track.name == "E":
            wrong = spent != track.budget
        elif track.name == "G":  # whole epochs: what is left over is less than one of them
            wrong = spent > track.budget * (1 + OVERSPENT) or spent <= track.budget * (1 - OVERSPENT) - epoch
        else:
            wrong = abs(spent - track.budget) > track.budget * UNSTEADY + epoch
        if wrong:
            unit = {"E": "epochs", "G": "passes forward and backward", "T": "seconds"}[track.name]
            yield Finding(
                entry.file,
                f"{entry.name} spent {spent:.4g} {unit}",
                f"the budget of track {track.name} is {track.budget:g}",
                "Correct the declared cost of the variant (or calibrate again) and run it again",
            )


def _spent(track: Track, entry: Entry) -> float:
    return {"E": float(entry.epochs), "G": entry.epochs * entry.evaluations, "T": entry.seconds}[track.name]


def _hardware(track: Track, entries: list[Entry]) -> Iterator[Finding]:
    places = Counter(_place(entry) for entry in entries)
    promised = track.calibration and (track.calibration.device_name, track.calibration.threads, track.calibration.host)
    usual = promised or (places.most_common(1)[0][0] if places else None)
    for entry in entries:
        if (place := _place(entry)) != usual:
            yield Finding(
                entry.file,
                f"{place[0]}, {place[1]} threads, host {place[2]}",
                f"track T compares times on one device, and the others ran on {usual[0]}, {usual[1]} threads, host "
                f"{usual[2]}"
                if usual
                else "track T compares times on one device",
                "Run it again there",
            )


def _place(entry: Entry) -> tuple[str, int, str]:
    environment = entry.environment
    many = f"{environment.devices} x " if environment.devices > 1 else ""
    return f"{many}{environment.device_name}", environment.threads, environment.host
