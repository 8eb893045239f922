"""The ledger of a tuning: every trial of every method, failed ones too, in one Parquet file."""

import hashlib
import io
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ...atomic import atomic_write_bytes, make_folder
from ...errors import ConfigError, StateError, explain
from .record import run_id_of

FOLDER = "ledgers"
"""Folder of the ledgers, beside the records of a store."""


class Trial(BaseModel):
    """One training of a search, measured on the held-out part of the training set, never on the test set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    suite: str = Field(description="the suite that was tuned")
    track: Literal["E", "G", "T"] = Field(description="the budget that the trial was trained at")
    method: str = Field(description="name of the suite's entry: its variant, and what the entry fixes")
    variant: str = Field(description="the registered variant")
    search: str = Field(description="how settings were proposed: halton or optuna")
    stage: Literal["screen", "confirm"] = Field(description="screen: every trial, one seed; confirm: finalists, more")
    trial: int = Field(ge=0, description="number of the setting; 0 is the default setting")
    seed: int = Field(ge=0, description="seed of the trial; no final run has it")
    run_id: str = Field(pattern="^[0-9a-f]{64}$", description="sha256 of the spec")
    status: Literal["completed", "diverged", "failed"] = Field(description="how it ended")
    error: str | None = Field(description="what ended a trial that did not complete")
    accuracy: float | None = Field(ge=0, le=1, description="share of correct answers on held-out training images")
    loss: float | None = Field(description="mean negative log-likelihood on the same, in nats")
    lr: float = Field(description="peak learning rate")
    weight_decay: float = Field(description="weight decay, applied to every parameter")
    hyper: str = Field(description="hyper-parameters of variant, sampler and base, as JSON")
    epochs: int = Field(gt=0, description="epochs that the track allows the trial")
    gradient_evaluations: float = Field(ge=0, description="forward and backward passes over one batch, as counted")
    train_seconds: float = Field(ge=0, description="training time, evaluation excluded")
    chosen: bool = Field(description="whether the final runs use this setting")
    edges: str = Field(description="of a chosen setting: hyper-parameters at the edge of their range, with commas")
    variant_source: str = Field(description="sha256 of the variant's source file")
    dataset_fingerprint: str = Field(description="sha256 of the decoded data set")
    spec: str = Field(description="the whole spec as canonical JSON; run_id is its hash")

    @model_validator(mode="after")
    def _hash_matches(self) -> "Trial":
        if run_id_of(spec := json.loads(self.spec)) != self.run_id:
            raise ValueError(f"run_id {self.run_id[:12]} is not the hash of the spec")
        if spec.get("split") != "search":
            raise ValueError(f"split is {spec.get('split')!r}: a trial is measured on held-out training images only")
        return self

    @property
    def score(self) -> tuple[float, float]:
        """The order of settings, larger is better: accuracy, then less loss."""
        if self.accuracy is None or self.loss is None:
            return 0.0, -math.inf
        return self.accuracy, -self.loss


COLUMNS: dict[str, str] = {name: field.description or name for name, field in Trial.model_fields.items()}
"""Columns of a ledger, in their order."""

_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def write_ledger(trials: Iterable[Trial], path: str | Path) -> str:
    """Write trials to one Parquet file, whole or not at all, and return the sha256 of the file."""
    rows = [trial.model_dump() for trial in trials]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=_schema()), buffer, compression="zstd")
    make_folder(Path(path).parent)
    atomic_write_bytes(path, buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def read_ledger(path: str | Path) -> list[Trial]:
    """Read a ledger and check every row.

    Raises:
        StateError: the file is missing or damaged, or a row is not a valid trial.
    """
    try:
        rows = pq.read_table(path).to_pylist()
        return [Trial.model_validate(row) for row in rows]
    except (OSError, pa.ArrowException) as error:
        raise StateError(f"cannot read the ledger {path}: {error}") from error
    except ValidationError as error:
        raise StateError(f"the ledger {path} is damaged: {explain(error, 'a row')[0]}") from error


def ledger_hash(path: str | Path) -> str:
    """Return the sha256 of a ledger's file."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise StateError(f"cannot read the ledger {path}: {error.strerror}") from error


def choose(trials: Sequence[Trial]) -> int:
    """Return the number of the setting that is best on average over the seeds, among those tried at all seeds.

    Of equal accuracies the one with less loss is better, then the one tried first.

    Args:
        trials: all trials of one method on one track.

    Raises:
        StateError: no trial completed.
    """
    if all(trial.accuracy is None for trial in trials):
        raise StateError(f"no trial of {trials[0].method!r} came to an end; widen its ranges or train for longer")
    by_number: dict[int, list[Trial]] = {}
    for trial in trials:
        by_number.setdefault(trial.trial, []).append(trial)
    most = max(map(len, by_number.values()))
    candidates = {number: some for number, some in by_number.items() if len(some) == most}
    return min(candidates, key=lambda number: (*(-value for value in _mean_score(candidates[number])), number))


def _mean_score(trials: Sequence[Trial]) -> tuple[float, float]:
    """Average the scores over seeds; rounded, because equal sums of shares may differ by the order of summation."""
    accuracy, loss = (fmean(trial.score[part] for trial in trials) for part in (0, 1))
    return round(accuracy, 12), loss


def check_budgets(trials: Sequence[Trial]) -> None:
    """Make sure that every method of a suite and track had the same trials: search, stage and seeds.

    A trial that diverged or failed counts as spent.

    Raises:
        ConfigError: budgets are unequal; the message lists them.
    """
    spent: dict[tuple[str, str], dict[str, Counter]] = defaultdict(lambda: defaultdict(Counter))
    for trial in trials:
        spent[trial.suite, trial.track][trial.method][trial.search, trial.stage, trial.seed] += 1
    for (suite, track), methods in sorted(spent.items()):
        budgets = {method: sorted(count.items()) for method, count in sorted(methods.items())}
        if len({repr(budget) for budget in budgets.values()}) > 1:
            listed = "; ".join(f"{method}: {_budget(methods[method])}" for method in budgets)
            raise ConfigError(
                f"the tuning of {suite!r}, track {track}, has unequal budgets, so its methods cannot be compared: "
                f"{listed}. Tune all methods of a suite in one go, under one [tuning] table"
            )


def _budget(count: Counter) -> str:
    return ", ".join(
        f"{number} {search} {stage} at seed {seed}" for (search, stage, seed), number in sorted(count.items())
    )


def _schema() -> pa.Schema:
    fields = []
    for name, field in Trial.model_fields.items():
        kinds = [kind for kind in get_args(field.annotation) if kind in _TYPES]
        kind: Any = field.annotation if field.annotation in _TYPES else kinds[0] if kinds else str
        fields.append(pa.field(name, _TYPES[kind]))
    return pa.schema(fields)
