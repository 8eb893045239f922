"""Synthetic records and trials: what a run or a search would have written, without either."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from sambench.datasets.registry import official_fingerprints
from sambench.results.records.manifest import SuiteManifest, manifest_files, read_manifest
from sambench.results.records.measurement import Measurement, measurement_id
from sambench.results.records.record import RunRecord, canonical_json, pack_bits, run_id_of
from sambench.results.records.trials import Trial

SPEC: dict[str, Any] = {
    "variant": "sam",
    "base": "sgd",
    "sampler": "uniform",
    "hyper": {"rho": 0.05},
    "dataset": "digits",
    "split": "full",
    "subset": None,
    "noise": 0.0,
    "noise_kind": "symmetric",
    "imbalance": 1.0,
    "model": "wrn10_1",
    "norm": "batch",
    "epochs": 4,
    "batch_size": 128,
    "drop_last": True,
    "lr": 0.1,
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 5e-4,
    "schedule": "cosine",
    "warmup_epochs": 0,
    "milestones": [],
    "gamma": 0.1,
    "schedule_unit": "step",
    "augment": "standard",
    "label_smoothing": 0.0,
    "precision": "fp32",
    "channels_last": False,
    "clip": None,
    "accumulate": 1,
    "bn_update": "first",
    "weight_decay_mode": "base",
    "seed": 0,
    "eval_every": 1,
}
HYPER = {"sgd": {}, "sam": {"rho": 0.05}, "unified_sam": {"rho": 0.2, "lam": "1-1/t"}}


def _curve(spec: dict[str, Any], accuracy: float, gradients: float, seconds: float) -> list[dict[str, Any]]:
    rng = np.random.default_rng([spec["seed"], len(spec["variant"])])
    points = []
    for epoch in range(1, spec["epochs"] + 1):
        share = epoch / spec["epochs"]
        held_out = float(np.clip(accuracy * (1 - np.exp(-4 * share)) + rng.normal(0, 0.004), 0, 1))
        points.append(
            {
                "epoch": epoch,
                "step": 11 * epoch,
                "gradient_evaluations": 11 * epoch * gradients,
                "seconds": seconds * share,
                "lr": spec["lr"] * (1 - share),
                "train_loss": float(2.3 * np.exp(-3 * share) + 0.02 * rng.random()),
                "validation_loss": None if spec["split"] == "full" else 1 - held_out,
                "validation_accuracy": None if spec["split"] == "full" else held_out,
            }
        )
    return points


def build_record(
    *,
    accuracy: float = 0.95,
    status: str = "completed",
    count: int = 400,
    gradients: float | None = None,
    device_name: str = "a CPU",
    host: str = "0123456789abcdef",
    variant_status: str = "reference",
    **spec: Any,
) -> RunRecord:
    """Build the record of one made-up run; keywords that are not named here go into its spec."""
    spec = SPEC | {"hyper": HYPER.get(spec.get("variant", "sam"), {"rho": 0.05})} | spec
    gradients = (1.0 if spec["variant"] == "sgd" else 2.0) if gradients is None else gradients
    right = round(accuracy * count)
    seconds = 0.5 * spec["epochs"] * gradients
    steps = 11 * spec["epochs"]
    metrics = {
        "split": "test" if spec["split"] == "full" else "validation",
        "accuracy": right / count,
        "loss": 2.0 * (1 - right / count),
        "ece": 0.01,
        "count": count,
        "correct": pack_bits(np.arange(count) < right),
    }
    curve = _curve(spec, accuracy, gradients, seconds)
    return RunRecord.model_validate(
        {
            "run_id": run_id_of(spec),
            "spec": spec,
            "status": status,
            "error": {
                "failed": "DataError: the archive is truncated",
                "diverged": "the loss is nan at step 7",
            }.get(status),
            "declared_gradients": gradients,
            "variant_source": hashlib.sha256(spec["variant"].encode()).hexdigest(),
            "variant_status": variant_status,
            "dataset_fingerprint": official_fingerprints().get(spec["dataset"])
            or hashlib.sha256(spec["dataset"].encode()).hexdigest(),
            "classes": 10,
            "parameters": 77_850,
            "curve": curve if status == "completed" else curve[:1],
            "metrics": metrics if status == "completed" else None,
            "weights": hashlib.sha256(repr(sorted(spec.items(), key=str)).encode()).hexdigest(),
            "counters": {
                "steps": steps,
                "skipped_steps": 0,
                "gradient_evaluations": steps * gradients,
                "forward_evaluations": 0.0,
                "samples": steps * spec["batch_size"],
            },
            "timing": {
                "train_seconds": seconds,
                "evaluation_seconds": 0.1,
                "images_per_second": steps * spec["batch_size"] / seconds,
            },
            "peak_memory": 512 * 2**20,
            "environment": {
                "sambench": "0.1.0",
                "python": "3.11.9",
                "torch": "2.11.0",
                "platform": "Linux",
                "device": "cpu",
                "device_name": device_name,
                "threads": 2,
                "host": host,
                "commit": "0123456789abcdef0123456789abcdef01234567",
                "dirty": False,
            },
        }
    )


def build_trial(method: str, number: int, stage: str = "screen", seed: int = 1000, **changes: Any) -> Trial:
    """Build one trial of a made-up search; keywords that are not named here replace its fields."""
    hyper = {"rho": 0.05} if method == "sam" else {}
    spec = {**SPEC, "variant": method, "hyper": hyper, "split": "search", "seed": seed, "subset": 100 + number}
    fields = {
        "suite": "s", "track": "G", "method": method, "variant": method, "search": "halton", "stage": stage,
        "trial": number, "seed": seed, "run_id": run_id_of(spec), "status": "completed", "error": None,
        "accuracy": 0.9 + 0.01 * number, "loss": 0.3, "lr": 0.1, "weight_decay": 5e-4,
        "hyper": canonical_json(hyper), "epochs": 4, "gradient_evaluations": 80.0,
        "train_seconds": 1.5, "chosen": False, "edges": "",
        "variant_source": hashlib.sha256(method.encode()).hexdigest(), "dataset_fingerprint": "b" * 64,
        "spec": canonical_json(spec),
    }  # fmt: skip
    return Trial.model_validate(fields | changes)


def read_manifests(root: Path) -> list[SuiteManifest]:
    """The manifests of a store, in the order of their names."""
    return [read_manifest(path) for path in manifest_files(root)]


def build_measurement(
    record: RunRecord,
    epoch: int | None = None,
    value: float | None = 1.5,
    measure: str = "sam_gap",
    series: dict[str, list[float | None]] | None = None,
    label: str = "",
    **settings: Any,
) -> Measurement:
    """Build a measurement of a run: the SAM gap at rho 0.1 if nothing else is said; with a label, of these settings."""
    settings = settings if label else {"rho": 0.1, **settings}
    return Measurement(
        measurement_id=measurement_id(record.run_id, epoch, measure, 1, settings),
        run_id=record.run_id,
        epoch=epoch,
        measure=measure,
        version=1,
        settings=settings,
        label=label or measure + ("[rho=0.2]" if settings["rho"] == 0.2 else ""),
        weights=record.weights,
        values={"gap": value},
        series={"all": (1.0, None)} if series is None else series,
        seconds=0.1,
        source="2" * 64,
        environment=record.environment,
    )
