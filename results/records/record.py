"""The record of one run: its spec, its cost and its results, in one JSON file, validated on writing and reading."""

import base64
import hashlib
import json
import marshal
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from .fields import Amount, Digest, Frozen, Name, Number, Share, Text, Whole, spec_problems

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)


def canonical_json(value: Any) -> str:
    """Serialize a value to its canonical JSON text: sorted keys, no spaces, shortest round-trip floats."""
    return _ENCODER.encode(value)


def run_id_of(spec: dict[str, Any]) -> str:
    """Identify a run: the sha256 (64 hex digits) of the canonical JSON of its fully resolved spec.

    Thousands of runs differ in nothing but their seed, so the text around the seed is cached.
    """
    if type(seed := spec.get("seed")) is not int:
        return hashlib.sha256(canonical_json(spec).encode()).hexdigest()
    rest = spec.copy()
    del rest["seed"]
    before, after = _around_the_seed(frozen(rest))
    return hashlib.sha256(f"{before}{seed}{after}".encode()).hexdigest()


def frozen(value: Any) -> bytes:
    """Return bytes that are equal only for equal values of equal types, dicts in the same order: cheaper than JSON."""
    return marshal.dumps(value, 2)  # version 2 writes values without references


@lru_cache(maxsize=4096)
def _around_the_seed(rest: bytes) -> tuple[str, str]:
    """Return the canonical JSON of a spec without its seed, as the texts before and after the seed's value."""
    spec = marshal.loads(rest)
    before = canonical_json({key: value for key, value in spec.items() if key < "seed"})[:-1]
    after = canonical_json({key: value for key, value in spec.items() if key > "seed"})[1:]
    return f'{before}{"," * (len(before) > 1)}"seed":', f"{',' * (len(after) > 1)}{after}"


def pack_bits(correct: np.ndarray) -> str:
    """Pack a boolean vector (n,) into base64 text, 8 examples a byte, first example in the highest bit."""
    return base64.b64encode(np.packbits(np.asarray(correct, dtype=bool)).tobytes()).decode()


def unpack_bits(text: str, count: int) -> np.ndarray:
    """Unpack base64 text of :func:`pack_bits` into a boolean vector (count,)."""
    bits = np.unpackbits(np.frombuffer(base64.b64decode(text), dtype=np.uint8))
    return bits[:count].astype(bool)


class CurvePoint(Frozen):
    """The state of a run at the end of an epoch. Losses are mean cross-entropy in nats, accuracies shares."""

    epoch: Whole = Field(description="epochs completed")
    step: Whole = Field(description="optimizer steps completed")
    gradient_evaluations: Amount = Field(description="forward+backward passes over one full batch, so far")
    seconds: Amount = Field(description="training time so far, evaluation excluded")
    lr: Number = Field(description="learning rate of the last step")
    train_loss: Number | None = Field(description="mean over the epoch's steps, at the unperturbed weights")
    validation_loss: Number | None = None
    validation_accuracy: Share | None = None
    train_accuracy_clean: Share | None = Field(
        None,
        description="with label noise, random labels, moved pixels or --init adversarial: share of training samples "
        "with their true label that are predicted as it",
    )
    train_accuracy_corrupted: Share | None = Field(
        None,
        description="with label noise or random labels: share of training samples with a wrong label that are "
        "predicted as it",
    )
    sam_gap: Number | None = Field(
        None, description="mean rise of the loss from the first to the last pass of a step, over steps that have both"
    )
    gradient_norm: Number | None = Field(None, description="mean norm of the first gradient of these steps")
    perturbed_gradient_norm: Number | None = Field(None, description="mean norm of the last gradient of these steps")


class Metrics(Frozen):
    """The final measurement, at the last epoch, on the split that the protocol reports."""

    split: Literal["test", "validation"]
    accuracy: Share
    loss: Number = Field(description="mean negative log-likelihood in nats")
    ece: Share = Field(description="expected calibration error, 15 equal-width bins")
    count: Whole = Field(gt=0, description="number of examples")
    correct: str = Field(description="one bit an example, packed by pack_bits")

    @model_validator(mode="after")
    def _bits_match(self) -> "Metrics":
        bits = base64.b64decode(self.correct)
        right = int.from_bytes(bits).bit_count()
        if len(bits) != (self.count + 7) // 8:
            raise ValueError(f"the bitset has {len(bits)} bytes, {self.count} examples need {(self.count + 7) // 8}")
        if right != round(self.accuracy * self.count):
            raise ValueError(f"the bitset has {right} correct of {self.count}, accuracy says {self.accuracy}")
        return self


class Evaluated(Frozen):
    """The average of weights that was measured instead of the last weights."""

    average: Name = Field(description="name of the weight average")
    models: Whole = Field(description="weights that it averages; 0: none yet, so that the last ones were measured")
    statistics: Literal["averaged", "recomputed"] = Field(description="origin of BatchNorm's running statistics")
    passes: Whole = Field(description="forward passes that recomputing them took, part of forward_evaluations")


class Counters(Frozen):
    """What a run cost, counted in the training loop."""

    steps: Whole
    skipped_steps: Whole = Field(description="steps dropped because an fp16 gradient overflowed")
    gradient_evaluations: Amount
    forward_evaluations: Amount = Field(description="forward-only passes over one full batch, scoring included")
    samples: Whole = Field(description="training samples drawn")


class Timing(Frozen):
    """Wall-clock seconds of this run on the environment's device, summed over all its resumptions."""

    train_seconds: Amount
    evaluation_seconds: Amount
    images_per_second: Amount = Field(description="training samples drawn per training second")
    began: Amount | None = Field(
        None, description="Unix time of its first step; absent in records from before it was noted"
    )


class Environment(Frozen):
    """Software and hardware of a run. ``host`` is a hash: it tells machines apart and reveals nothing about them."""

    sambench: Text
    python: Text
    torch: Text
    platform: Text
    device: Text = Field(description="kind: cpu, cuda")
    device_name: Text
    driver: Text | None = Field(None, description="version of the GPU's kernel driver")
    devices: Whole = Field(1, gt=0, description="number of them that trained the run together, one process each")
    threads: Whole = Field(gt=0)
    runs_in_process: Whole | None = Field(
        None, gt=1, description="runs that its process made in turns, at most, and shared the device among; else absent"
    )
    host: Text
    commit: Text | None = None
    dirty: bool | None = None
    source: Text | None = Field(None, description="sha256 of the package's modules, where they lie in no checkout")
    behaviour: Text | None = Field(
        default=None,
        description="hash of a short float64 training of the variant; absent in records from before it was taken",
    )
    arithmetic: Text | None = Field(
        default=None, description="on CUDA: what float32 means and which algorithms may be taken; else absent"
    )
    graph: Text | None = Field(
        default=None, description="with --cuda-graph: whether steps were recorded, and if not, why; else absent"
    )
    compiler: Text | None = Field(
        default=None, description="with --compile: backend that compiled the passes of training; else absent"
    )
    libraries: dict[Text, Text] = Field(default_factory=dict, description="versions of what results may depend on")

    @property
    def machine(self) -> str:
        """What tells machines apart: host and device, for containers share the name of a host, not its processor."""
        return f"{self.host} {self.device_name}"

    plugin_commits: dict[Text, Text] = Field(
        default_factory=dict,
        description="kind of a plug-in (variant, model, ...) -> commit of the checkout that its file is tracked in, "
        "with a + if the file had changes since",
    )


class Initialization(Frozen):
    """What made the weights that a run began with: a run whose cost is counted here alone."""

    run_id: Digest = Field(description="id of that run; one on random labels need not be in the store")
    weights: Digest = Field(description="sha256 over the state that it ended in, and the run began with")
    gradient_evaluations: Amount
    train_error: Share | None = Field(description="share of its labels that it did not fit, where that is measured")


class RunRecord(Frozen):
    """Everything one run produced. ``run_id`` must be the hash of ``spec``: checked on every read."""

    schema_version: Literal[1] = 1
    run_id: Digest
    spec: dict[str, Any]
    status: Literal["completed", "diverged", "failed"]
    error: Text | None = None
    declared_gradients: Amount | None = Field(
        description="gradient evaluations per step that variant and loss hook declare"
    )
    variant_source: Digest = Field(description="sha256 of the variant's source file")
    variant_status: Text
    dataset_fingerprint: Digest
    classes: Whole = Field(gt=1)
    parameters: Whole
    curve: tuple[CurvePoint, ...]
    metrics: Metrics | None
    best_validation_accuracy: Share | None = None
    train_error: Share | None = Field(
        None,
        description="with label noise, random labels, moved pixels or --init adversarial: share of training samples "
        "whose given label is not predicted at the end",
    )
    initialization: Initialization | None = Field(None, description="what it began with, unless weights were drawn")
    evaluated: Evaluated | None = Field(None, description="what was measured, unless the last weights were")
    plugin_sources: dict[Text, Text] = Field(
        default_factory=dict,
        description="sha256 of the source files of loss hook and weight average, where used, and of sampler, model and "
        "data set, where they are plug-ins",
    )
    weights: Digest | None = Field(description="sha256 over the state of the model that was measured")
    counters: Counters
    timing: Timing
    peak_memory: Whole | None = Field(
        None,
        description="peak memory in bytes: on CUDA of the allocator, on the CPU the resident set of the process; "
        "absent for runs that shared a process, and in records from before it was measured",
    )
    environment: Environment

    @model_validator(mode="after")
    def _consistent(self) -> "RunRecord":
        if self.run_id != (expected := run_id_of(self.spec)):
            raise ValueError(f"run_id {self.run_id[:12]} is not the hash of the spec ({expected[:12]})")
        if problems := spec_problems(self.spec):
            raise ValueError("; ".join(problems))
        if (self.metrics is not None) != (self.status == "completed"):
            raise ValueError(f"a run has final metrics exactly when it completed; status is {self.status!r}")
        return self

    @property
    def best_epoch(self) -> int | None:
        """The first epoch with the highest accuracy on held-out images, ``None`` if none was measured."""
        best = self.best_validation_accuracy
        return next((p.epoch for p in self.curve if best is not None and p.validation_accuracy == best), None)
