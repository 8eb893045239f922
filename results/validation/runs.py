"""Rules that hold for runs inside and outside suites: code, data, cost, seeds, re-runs, retractions."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from statistics import fmean

from ..records.behaviour import Code
from .contents import Contents, Entry
from .finding import Finding

TOLERANCE = 0.02
"""Largest relative difference of declared and mean counted cost that is not reported: costs may be random."""


def check_runs(found: Contents, today: Mapping[str, Code]) -> Iterator[Finding]:
    """Check the code and the end of each run, and the declared cost of each method.

    Args:
        found: content of the folder.
        today: variant -> its code as it is.
    """
    for entry in found.entries.values():
        yield from _code(entry, today)
        if entry.status == "completed":
            yield from _end(entry)
    yield from _costs(found)


def check_data(found: Contents, official: Mapping[str, str | None]) -> Iterator[Finding]:
    """Check that all runs on a data set of one name have the same data, and those of a reserved name the official.

    Args:
        found: content of the folder.
        official: reserved name of a data set -> fingerprint of its data, None where it is not known.
    """
    first: dict[str, Entry] = {}
    for entry in found.entries.values():
        name = str(entry.spec.get("dataset"))
        if name in official and entry.record.dataset_fingerprint != official[name]:
            known, value = official[name], f"dataset_fingerprint = {entry.record.dataset_fingerprint[:12]}"
            yield Finding(
                entry.file,
                value,
                f"not the official {name}, which has {known[:12]}" if known else f"nothing here knows that of {name}",
                f"Run it again on the official {name}, or give the data another name"
                if known
                else "Compare it with that of other people's records of this data set",
                serious=known is not None,
            )
        other = first.setdefault(name, entry)
        if other.record.dataset_fingerprint != entry.record.dataset_fingerprint:
            yield Finding(
                entry.file,
                f"dataset_fingerprint = {entry.record.dataset_fingerprint[:12]}",
                f"other data under the name {name!r}: {other.file} has {other.record.dataset_fingerprint[:12]}",
                "Give one of the data sets another name (`--dataset NAME=parquet:DIR`) and run it again",
            )


def check_releases(found: Contents) -> Iterator[Finding]:
    """Check that one version, where it was installed, is one source: else something else was given its name."""
    first: dict[str, Entry] = {}
    for entry in found.entries.values():
        if (source := entry.record.environment.source) is None:
            continue
        other = first.setdefault(entry.record.environment.sambench, entry)
        if other.record.environment.source != source:
            yield Finding(
                entry.file,
                f"source = {source[:12]}",
                f"other code under the version {entry.record.environment.sambench}: {other.file} has "
                f"{str(other.record.environment.source)[:12]}",
                "Run it again with the release of that version",
                serious=False,
            )


def check_doubles(found: Contents) -> Iterator[Finding]:
    """Check that no table has a seed of a method twice: those of each suite, and those of the runs of none."""
    listed = {run for manifest in found.manifests for run in manifest.runs}
    tables = [
        *(frozenset(manifest.runs) for manifest in found.manifests),
        {entry.record.run_id for entry in found.entries.values()} - listed,
    ]
    counted = [entry for entry in found.entries.values() if _counts(entry)]
    told = set[str]()
    for table in tables:
        first: dict[tuple[str, str, int], Entry] = {}
        for entry in (one for one in counted if one.record.run_id in table):
            other = first.setdefault((entry.workload, entry.method, entry.spec["seed"]), entry)
            if other is not entry and entry.file not in told:
                told.add(entry.file)
                yield Finding(
                    entry.file,
                    f"seed = {entry.spec['seed']}",
                    f"{entry.spec['variant']} has this seed twice: {other.file} differs only in how often it was "
                    "measured, and one of the two would not count",
                    "Keep the one that was made first and delete the other",
                )


def _counts(entry: Entry) -> bool:
    return entry.status != "failed" and entry.spec.get("split") != "search"


def check_seeds(found: Contents) -> Iterator[Finding]:
    """Check that all methods of a workload have the same seeds. Those of a suite have what it states; others have those
    of each other, and all seeds of one of these."""
    runs: dict[str, dict[str, dict[int, Entry]]] = defaultdict(lambda: defaultdict(dict))
    for entry in found.entries.values():
        if _counts(entry):
            runs[entry.workload][entry.method].setdefault(entry.spec["seed"], entry)
    listed = {run for manifest in found.manifests for run in manifest.runs}
    for methods in runs.values():
        promised, loose = list[dict[int, Entry]](), list[dict[int, Entry]]()
        for seeds in methods.values():
            (promised if any(entry.record.run_id in listed for entry in seeds.values()) else loose).append(seeds)
        union = {seed for seeds in loose for seed in seeds}
        for seeds in loose:
            one = next(iter(seeds.values()))
            nearest = max(promised, key=lambda o: (len(o.keys() & seeds.keys()), -len(o)), default=dict[int, Entry]())
            if lacking := sorted((union | nearest.keys()) - seeds.keys()):
                yield Finding(
                    one.file,
                    f"{one.spec['variant']}: seeds {_numbers(sorted(seeds))}",
                    f"other methods on this workload also ran seeds {_numbers(lacking)}",
                    "Run the missing seeds; every method gets the same ones",
                    serious=False,
                )


def check_tiers(found: Contents) -> Iterator[Finding]:
    """Check that re-runs and retractions belong to records, and that re-runs come from other machines."""
    for run, entry in found.again.items():
        original = found.entries.get(run)
        if original is None:
            yield Finding(
                entry.file, f"run_id = {run[:12]}", "there is no such run to verify", "Add the original record"
            )
        elif original.record.environment.machine == entry.record.environment.machine:
            yield Finding(
                entry.file,
                f"host = {entry.record.environment.host}, {entry.record.environment.device_name}",
                "it was made on the machine of the original, so that it verifies nothing",
                "Run it on another machine",
            )
    for entry in found.retractions:
        for run in entry.runs:
            if run not in found.entries:
                yield Finding(
                    "retracted.toml", run[:12], "there is no record of this run", "Correct the id; records stay"
                )


def _code(entry: Entry, today: Mapping[str, Code]) -> Iterator[Finding]:
    variant, environment = entry.spec["variant"], entry.record.environment
    if variant not in today:
        yield Finding(
            entry.file,
            f"variant = {variant!r}",
            "it is not registered, so its source cannot be compared",
            "Name its file with --plugin, or install the package that has it",
            serious=False,
        )
    elif today[variant].differs(entry.code):
        what = "behaviour" if today[variant].behaviour and entry.code.behaviour else "source"
        then, now = getattr(entry.code, what), getattr(today[variant], what)
        yield Finding(
            entry.file,
            f"{what} = {then[:12]}",
            f"stale: the {what} of {variant!r} is now {now[:12]}",
            f"Run it again, or show that the change since {environment.commit or 'then'} leaves results alone",
            serious=False,
        )
    if environment.source is None and (environment.commit is None or environment.dirty):
        state = "commit = none" if environment.commit is None else f"commit = {environment.commit[:12]}, dirty"
        yield Finding(
            entry.file,
            state,
            "nobody can tell which code made this record",
            "Run it again from a clean checkout, or from an installed release",
            serious=False,
        )


def _end(entry: Entry) -> Iterator[Finding]:
    if entry.epochs != entry.spec.get("epochs", entry.epochs):
        yield Finding(
            entry.file,
            f"last epoch = {entry.epochs}",
            f"the run has {entry.spec['epochs']} epochs: what counts is measured after the last one",
            "Run it to its end",
        )
    expected = "validation" if entry.spec.get("split") == "search" else "test"
    split = entry.record.metrics.split if entry.record.metrics else ""
    if split != expected:
        yield Finding(
            entry.file,
            f"metrics.split = {split!r}",
            f"a run with split {entry.spec.get('split')!r} is measured on {expected!r}",
            "Run it again with the harness as it is",
        )


def _costs(found: Contents) -> Iterator[Finding]:
    methods: dict[tuple[str, str, float], list[Entry]] = defaultdict(list)
    for entry in found.entries.values():
        if entry.status == "completed" and entry.record.declared_gradients:
            methods[entry.workload, entry.method, entry.record.declared_gradients].append(entry)
    for (_, _, declared), runs in methods.items():
        counted = fmean(run.evaluations for run in runs)
        if abs(counted / declared - 1) > TOLERANCE:
            yield Finding(
                runs[0].file,
                f"{counted:.4g} gradient evaluations a step",
                f"{runs[0].spec['variant']} declares {declared:g}",
                "Correct the declared cost; budgets are planned with it",
                serious=False,
            )


def _numbers(seeds: list[int], most: int = 8) -> str:
    shown = ", ".join(map(str, seeds[:most]))
    return shown + (f" and {len(seeds) - most} more" if len(seeds) > most else "")
