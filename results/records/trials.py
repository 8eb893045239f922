"""The ledger of a tuning: every trial of every method, failed ones too, in one Parquet file."""

import io
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, ValidationError, model_validator

from ...atomic import atomic_write_bytes, make_folder
from ...errors import ConfigError, StateError, explain
from ...plain_text import printable
from ...reading import read_bytes
from .fields import Amount, Digest, Frozen, Name, Number, Share, Text, Whole, spec_problems
from .store import Damaged, DamagedError

FOLDER = "ledgers"
"""Folder of the ledgers, beside the records of a store."""
TRIALS = "tuning"
"""Folder of the trials' records and checkpoints, beside the final ones: their ledger is what is kept."""


class Trial(Frozen):
    """One training of a search, measured on the held-out part of the training set, never on the test set."""

    suite: Name = Field(description="the suite that was tuned")
    track: Literal["E", "G", "T"] = Field(description="the budget that the trial was trained at")
    method: Name = Field(description="name of the suite's entry: its variant, and what the entry fixes")
    variant: Name = Field(description="the registered variant")
    search: Name = Field(description="how settings were proposed: halton or optuna")
    stage: Literal["screen", "confirm"] = Field(description="screen: every trial, one seed; confirm: finalists, more")
    trial: Whole = Field(description="number of the setting; 0 is the default setting")
    seed: Whole = Field(description="seed of the trial; no final run has it")
    run_id: Digest = Field(description="sha256 of the spec")
    status: Literal["completed", "diverged", "failed"] = Field(description="how it ended")
    error: Text | None = Field(description="what ended a trial that did not complete")
    accuracy: Share | None = Field(description="share of correct answers on held-out training images")
    loss: Number | None = Field(description="mean negative log-likelihood on the same, in nats")
    lr: Number = Field(description="peak learning rate")
    weight_decay: Number = Field(description="weight decay, applied to every parameter")
    hyper: Text = Field(description="hyper-parameters of variant, sampler and base, as JSON")
    epochs: Whole = Field(gt=0, description="epochs that the track allows the trial")
    gradient_evaluations: Amount = Field(description="forward and backward passes over one batch, as counted")
    train_seconds: Amount = Field(description="training time, evaluation excluded")
    chosen: bool = Field(description="whether the final runs use this setting")
    edges: Text = Field(description="of a chosen setting: hyper-parameters at the edge of their range, with commas")
    variant_source: Digest = Field(description="sha256 of the variant's source file")
    dataset_fingerprint: Digest | Literal[""] = Field(description="sha256 of the decoded data set")
    spec: Text = Field(description="the whole spec as canonical JSON; run_id is its hash")

    @model_validator(mode="after")
    def _hash_matches(self) -> "Trial":
        if not isinstance(spec := _json(self.spec), dict) or sha256(self.spec.encode()).hexdigest() != self.run_id:
            raise ValueError(f"run_id {self.run_id[:12]} is not the hash of the spec")
        if problems := spec_problems(spec):
            raise ValueError("; ".join(problems))
        if not isinstance(_json(self.hyper), dict):
            raise ValueError("hyper is not a table of hyper-parameters")
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

MOST_TRIALS = 1_000_000
_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it nests too deep") from None


def write_ledger(trials: Iterable[Trial], path: str | Path) -> str:
    """Write trials to one Parquet file, whole or not at all, and return the sha256 of the file."""
    rows = [trial.model_dump() for trial in trials]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), buffer, compression="zstd")
    make_folder(Path(path).parent)
    atomic_write_bytes(path, buffer.getvalue())
    return sha256(buffer.getvalue()).hexdigest()


def read_ledger(path: str | Path) -> list[Trial]:
    """Read a ledger and check every row.

    Raises:
        DamagedError: the file is missing or damaged, or a row is not a valid trial.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(read_bytes(path)))
        there, due = (dict(zip(of.names, of.types, strict=True)) for of in (file.schema_arrow, _SCHEMA))
        if wrong := sorted(name for name in there.keys() | due if there.get(name) != due.get(name)):
            raise ValueError(f"column {wrong[0]!r} is of type {there.get(wrong[0])}, not {due.get(wrong[0])}")
        if (rows := file.metadata.num_rows) > MOST_TRIALS:
            raise ValueError(f"it has {rows} rows, and {MOST_TRIALS} are the most")
        return [Trial.model_validate(row, strict=True) for row in file.read().to_pylist()]
    except ValidationError as error:
        problem = explain(error, "a row")[0]
    except (OSError, ValueError, MemoryError, pa.ArrowException) as error:
        problem = str(error)
    raise DamagedError(Damaged(Path(path), problem, "ledger", "Restore it, or tune its suite again"))


def ledger_hash(path: str | Path) -> str:
    """Return the sha256 of a ledger's file."""
    try:
        return sha256(read_bytes(path)).hexdigest()
    except OSError as error:
        raise StateError(f"the ledger {printable(str(path))} cannot be used: {error.strerror}") from error


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


def _column(kind: Any) -> pa.DataType:
    """Return the type of the column of a field: of the first part of its annotation that has one, else text."""
    return _TYPES.get(kind) or next(
        (found for part in get_args(kind) if (found := _column(part)) != pa.string()), pa.string()
    )


_SCHEMA = pa.schema([(name, _column(field.annotation)) for name, field in Trial.model_fields.items()])
