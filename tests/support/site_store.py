"""Results folders for sites: suites of made-up runs, a grid of two hyper-parameters, texts that try to act."""

from pathlib import Path

from synthetic import build_measurement, build_record

from sambench.results.records.manifest import SuiteManifest, Track, read_manifest, write_manifest
from sambench.results.records.measurement import Measurements
from sambench.results.records.store import Store

HOSTILE = "</script><img src=x onerror=alert(1)>\u2028{{7*7}}'\"`${1}"
"""A text that would act as markup, as a script, or as a template."""


def fill(root: Path, workloads: int = 2, methods: int = 4, seeds: int = 5, epochs: int = 4, **fields) -> Store:
    """Write the records and manifests of suites with a track each: sgd, sam and made-up variants.

    Args:
        root: the results folder.
        workloads: number of suites, one workload each.
        methods: number of rows of each, sgd and sam included.
        seeds: number of runs of a row.
        epochs: points of a curve.
        fields: keywords for all records.
    """
    store = Store(root)
    store.runs.mkdir(parents=True, exist_ok=True)
    names = ["sgd", "sam", *(f"variant_{number}" for number in range(methods - 2))]
    for workload in range(workloads):
        runs = []
        for at, variant in enumerate(names):
            for seed in range(seeds):
                accuracy = 0.9 - 0.004 * at + 0.001 * ((7 * seed + 3 * at) % 5) - 0.01 * workload
                spec = {"variant": variant, "noise": workload / 100, "seed": seed, "epochs": epochs, "hyper": {}}
                record = build_record(**(spec | {"accuracy": accuracy, "count": 10_000} | fields))
                store.path(record.run_id).write_text(f"{record.model_dump_json()}\n")  # without the slow fsyncs
                runs.append(record.run_id)
        add_suite(store, f"suite-{workload}", runs)
    return store


def fill_grid(store: Store) -> None:
    """Add a suite whose variant ran over a grid of rho and lam."""
    runs = []
    for rho in (0.1, 0.2, 0.4):
        for lam in (0.0, 0.5, 1.0):
            for seed in range(3):
                record = build_record(
                    variant="unified_sam",
                    hyper={"rho": rho, "lam": lam},
                    seed=seed,
                    model="mlp",
                    accuracy=0.9 + 0.01 * rho + 0.001 * seed - 0.01 * lam,
                    count=10_000,
                )
                store.path(record.run_id).write_text(f"{record.model_dump_json()}\n")
                runs.append(record.run_id)
    add_suite(store, "grid", runs)


def fill_measured(store: Store) -> None:
    """Measure the first suite's runs: a measure of all, a surface of two, and a line between these."""
    runs = read_manifest(store.root / "suites" / "suite-0.json").tracks[0].runs
    for number, run in enumerate(runs):
        path = store.path(run)
        record = store.read(run).model_copy(update={"weights": "1" * 64})
        path.write_text(f"{record.model_dump_json()}\n")
        found = [build_measurement(record, value=1 + 0.1 * number)]
        if number in (0, len(runs) - 1):
            found.append(build_measurement(record, measure="surface", series=_bowl(9), **_SURFACE))
        if number == 0:
            line = {"x": [0.0, 0.5, 1.0], "train": [0.1, 0.9, 0.2], "test": [0.3, 1.1, None]}
            found.append(build_measurement(record, measure="line", series=line, to=runs[-1], points=3))
        for one in found:
            Measurements(store).write(one)


_SURFACE = {"directions": "random", "dimensions": 2, "points": 9, "radius": 1.0}


def _bowl(points: int) -> dict[str, list[float | None]]:
    """Return a loss that rises from the middle, with a corner where it is not finite."""
    at = [2 * i / (points - 1) - 1 for i in range(points)]
    grid = [(x, y) for y in at for x in at]
    train = [0.02 + x * x + 0.3 * y * y for x, y in grid]
    return {"x": [x for x, _ in grid], "y": [y for _, y in grid], "train": [*train[:-1], None], "test": train}


def add_suite(store: Store, name: str, runs: list[str], track: str = "G", title: str = "", text: str = "") -> None:
    """Write a manifest with one track."""
    fields = {
        "title": title or f"The suite {name}",
        "description": text or "What it asks.",
        "command": f"sambench {name}",
    }
    tracks = (Track(name=track, budget=8, runs=tuple(runs)),)
    write_manifest(store, SuiteManifest(name=name, seeds=(0, 1, 2), tracks=tracks, **fields))
