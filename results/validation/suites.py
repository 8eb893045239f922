"""Rules for what a suite promised: its runs, their seeds, their budgets, their tuning, their hardware."""

import json
import shlex
from collections import defaultdict
from collections.abc import Iterator
from statistics import mode

from ...errors import ConfigError, StateError
from ..records.behaviour import Code, code_of
from ..records.manifest import FOLDER as SUITES
from ..records.manifest import SuiteManifest, Track
from ..records.trials import FOLDER as LEDGERS
from ..records.trials import Trial, check_budgets, choose
from ..tables.comparability import setting_of
from .contents import Contents, Entry
from .finding import Finding

OVERSPENT = 0.1
"""Share by which a run of track G may exceed its budget: the cost of variants with random steps scatters that much."""

OF_THE_BASE = ("lr", "momentum", "nesterov", "weight_decay")
"""Spec keys of the base optimizer: a tuning chooses them for every method, or the suite sets them for all."""

UNSTEADY = 0.15
"""Share by which a run of track T may miss its time budget: the speed of machines varies that much."""


def check_suite(found: Contents, manifest: SuiteManifest) -> Iterator[Finding]:
    """Compare the manifest of a suite with the runs and trials in the folder."""
    file = f"{SUITES}/{manifest.name}.json"
    yield from _tuning(found, manifest, file)
    missing = [run for run in manifest.runs if run not in found.entries or found.entries[run].status == "failed"]
    if missing:
        failed = sum(run in found.entries for run in missing)
        yield Finding(
            file,
            f"{len(missing)} of {len(manifest.runs)} runs",
            f"promised and not there (the first is {missing[0][:12]}; {failed} of them failed): seeds are missing",
            f"Run `{manifest.command} --results {shlex.quote(str(found.root))}` again; it makes what is missing",
        )
    for track in manifest.tracks:
        entries = [found.entries[run] for run in track.runs if run in found.entries]
        yield from _seeds(manifest, f"track {track.name}, ", entries, file, whole=not missing)
        yield from _trained_on_everything(entries)
        yield from _chosen(found, manifest, entries)
        if manifest.tuning is None:
            yield from _set_alike(track, entries, file)
        completed = [entry for entry in entries if entry.status == "completed"]
        yield from _budget(track, completed, _tuned_epochs(found.trials(manifest), track))
        if track.name == "T":
            yield from _hardware(track, entries)
    yield from _predicted(found, manifest, file)
    untracked = [found.entries[run] for run in manifest.untracked if run in found.entries]
    yield from _seeds(manifest, "", untracked, file, whole=not missing, serious=False)


def _predicted(found: Contents, manifest: SuiteManifest, file: str) -> Iterator[Finding]:
    """Check that no run began before what studies predict of it was written."""
    began = {run: found.entries[run].record.timing.began for run in manifest.runs if run in found.entries}
    early = manifest.not_after_predictions(began)
    if manifest.predictions and early:
        yield Finding(
            file,
            f"predictions of {', '.join(manifest.predictions)}",
            f"{len(early)} of {len(began)} runs (the first is {early[0][:12]}) are not known to have begun after them",
            "Make the runs anew under another name of the suite, with seeds that nobody has seen",
        )


def _tuning(found: Contents, manifest: SuiteManifest, file: str) -> Iterator[Finding]:
    trials = found.trials(manifest)
    if overlap := sorted({trial.seed for trial in trials} & set(manifest.seeds)):
        yield Finding(
            file,
            f"seeds = {', '.join(map(str, overlap))}",
            "tuning used them, too: its choice has seen their luck",
            "Give the suite seeds that no trial has, and run it again",
        )
    ledger = f"{LEDGERS}/{manifest.tuning.ledger if manifest.tuning else ''}"
    try:
        check_budgets(trials)
    except ConfigError as error:
        yield Finding(ledger, "trials", str(error), "Then run the suite again")
    yield from _choice(trials, ledger)
    yield from _tuned_as_it_ran(found, manifest, trials, ledger)


def _choice(trials: list[Trial], ledger: str) -> Iterator[Finding]:
    """Check that the trials marked as chosen are the best ones."""
    searches: dict[tuple[str, str], list[Trial]] = defaultdict(list)
    for trial in trials:
        searches[trial.track, trial.method].append(trial)
    for (track, method), tried in sorted(searches.items()):
        marked = sorted({trial.trial for trial in tried if trial.chosen})
        try:
            best = choose(tried)
        except StateError as error:
            yield Finding(ledger, f"track {track}, {method}", str(error), "Then tune the suite again")
            continue
        if marked != [best]:
            yield Finding(
                ledger,
                f"track {track}, {method}: chosen = {', '.join(map(str, marked)) or 'none'}",
                f"by accuracy, then loss, on average over the seeds, it is trial {best}",
                "Restore the ledger that the tuning wrote, or tune again",
            )


def _tuned_as_it_ran(found: Contents, manifest: SuiteManifest, trials: list[Trial], ledger: str) -> Iterator[Finding]:
    """Check that trials and runs were made with the same source of the variant."""
    made: dict[str, set[Code]] = defaultdict(set)
    for entry in (found.entries[run] for run in manifest.runs if run in found.entries):
        made[entry.spec["variant"]].add(entry.code)
    for variant, source in sorted({(trial.variant, trial.variant_source) for trial in trials}):
        tried = code_of(variant, source)
        if others := sorted(code.source[:12] for code in made[variant] if tried.differs(code)):
            yield Finding(
                ledger,
                f"{variant}: variant_source = {source[:12]}",
                f"its runs were made with the source {', '.join(others)}",
                "Tune it again, or show that the change leaves results alone",
                serious=False,
            )


def _chosen(found: Contents, manifest: SuiteManifest, entries: list[Entry]) -> Iterator[Finding]:
    """Check that the runs of a tuned suite have settings that the tuning chose."""
    chosen = {setting_of(json.loads(trial.spec)) for trial in found.trials(manifest) if trial.chosen}
    for entry in entries:
        if chosen and setting_of(entry.spec) not in chosen:
            yield Finding(
                entry.file,
                f"{entry.name}, lr = {entry.spec.get('lr')}, hyper = {entry.spec.get('hyper')}",
                f"the tuning in {LEDGERS}/{manifest.tuning.ledger if manifest.tuning else ''} chose no such setting",
                "Run the suite that the tuning wrote",
            )


def _seeds(
    manifest: SuiteManifest, where: str, entries: list[Entry], file: str, *, whole: bool, serious: bool = True
) -> Iterator[Finding]:
    """Check that every method has only promised seeds, and all of them if no promised run is missing."""
    methods: dict[tuple[str, str], set[int]] = defaultdict(set)
    for entry in entries:
        methods[entry.workload, entry.method].add(entry.spec["seed"])
    names = {(entry.workload, entry.method): entry.spec["variant"] for entry in entries}
    for key, seeds in methods.items():
        if seeds - set(manifest.seeds) or (whole and seeds != set(manifest.seeds)):
            yield Finding(
                file,
                f"{where}{names[key]}: seeds {', '.join(map(str, sorted(seeds)))}",
                f"the suite promised seeds {', '.join(map(str, manifest.seeds))}",
                "Give every method the same seeds, and list only the promised runs",
                serious,
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


def _set_alike(track: Track, entries: list[Entry], file: str) -> Iterator[Finding]:
    """Check that settings which no search chose are equal for all methods on one base optimizer, or that each variant
    has them all: then they are what is compared."""
    settings: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for entry in entries:
        written = " ".join(f"{key}={entry.spec.get(key)}" for key in OF_THE_BASE)
        settings[entry.workload, str(entry.spec.get("base"))][written].add(entry.spec["variant"])
    for found in settings.values():
        if len({frozenset(variants) for variants in found.values()}) > 1:
            listed = "; ".join(f"{written} ({', '.join(sorted(variants))})" for written, variants in found.items())
            yield Finding(
                file,
                f"track {track.name}: {listed}",
                "methods differ in what no search has chosen",
                "Set it once, in [spec], or tune all methods",
            )


def _tuned_epochs(trials: list[Trial], track: Track) -> set[tuple[str, int]]:
    """Return the chosen (setting, epochs) if epochs were an axis of the search: trials of a method differ in them."""
    here = [trial for trial in trials if trial.track == track.name]
    epochs: dict[str, set[int]] = defaultdict(set)
    for trial in here:
        epochs[trial.method].add(trial.epochs)
    if all(len(values) == 1 for values in epochs.values()):
        return set()
    return {(setting_of(json.loads(trial.spec)), trial.epochs) for trial in here if trial.chosen}


def _budget(track: Track, entries: list[Entry], tuned: set[tuple[str, int]]) -> Iterator[Finding]:
    for entry in entries:
        spent, epoch = _spent(track, entry), _spent(track, entry) / max(1, entry.epochs)
        if tuned:  # less than the budget is a choice of the search, and then nothing but that choice will do
            over = spent > track.budget * (1 + OVERSPENT * (track.name == "G"))
            wrong = over or (setting_of(entry.spec), entry.epochs) not in tuned
        elif track.name == "E":
            wrong = spent != track.budget
        elif track.name == "G":  # a run has whole epochs, so it may leave less than one of them unspent
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
    seconds = entry.record.timing.train_seconds
    return {"E": float(entry.epochs), "G": entry.epochs * entry.evaluations, "T": seconds}[track.name]


def _hardware(track: Track, entries: list[Entry]) -> Iterator[Finding]:
    if not entries:
        return
    promised = track.calibration and (track.calibration.device_name, track.calibration.threads, track.calibration.host)
    usual = promised or mode(map(_hardware_of, entries))
    for entry in entries:
        if (hardware := _hardware_of(entry)) != usual:
            yield Finding(
                entry.file,
                f"{hardware[0]}, {hardware[1]} threads, host {hardware[2]}",
                f"track T compares times on one device, and the others ran on {usual[0]}, {usual[1]} threads, host "
                f"{usual[2]}",
                "Run it again there",
            )


def _hardware_of(entry: Entry) -> tuple[str, int, str]:
    environment = entry.record.environment
    many = f"{environment.devices} x " if environment.devices > 1 else ""
    return f"{many}{environment.device_name}", environment.threads, environment.host
