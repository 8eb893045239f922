"""The ledger: every row is validated by its hash, and unequal budgets are refused."""

from pathlib import Path
from statistics import fmean

import pandas as pd
import pytest
from pydantic import ValidationError

import sambench
from sambench.errors import ConfigError, StateError
from sambench.results.records.record import canonical_json, run_id_of
from sambench.results.records.trials import (
    COLUMNS,
    Trial,
    check_budgets,
    choose,
    ledger_hash,
    read_ledger,
    write_ledger,
)


def trial(method="sam", number=0, *, stage="screen", seed=1000, split="search", **changes):
    spec = {"variant": method, "split": split, "seed": seed, "lr": 0.1 / (number + 1), "hyper": {"rho": 0.05}}
    fields = {
        "suite": "s",
        "track": "G",
        "method": method,
        "variant": method,
        "search": "halton",
        "stage": stage,
        "trial": number,
        "seed": seed,
        "run_id": run_id_of(spec),
        "status": "completed",
        "error": None,
        "accuracy": 0.9,
        "loss": 0.3,
        "lr": spec["lr"],
        "weight_decay": 5e-4,
        "hyper": '{"rho":0.05}',
        "epochs": 4,
        "gradient_evaluations": 80.0,
        "train_seconds": 1.5,
        "chosen": False,
        "edges": "",
        "variant_source": "a" * 64,
        "dataset_fingerprint": "b" * 64,
        "spec": canonical_json(spec),
    }
    return Trial.model_validate(fields | changes)


def test_a_ledger_is_read_as_it_was_written_and_its_hash_is_that_of_the_file(tmp_path):
    trials = [trial(), trial(number=1, status="failed", error="boom", accuracy=None, loss=None)]
    path = tmp_path / "ledgers" / "s.parquet"
    digest = write_ledger(trials, path)
    assert read_ledger(path) == trials
    assert digest == ledger_hash(path) == write_ledger(trials, tmp_path / "again.parquet")
    table = pd.read_parquet(path)
    assert list(table.columns) == list(COLUMNS)
    assert table["accuracy"].isna().tolist() == [False, True]


def test_the_documentation_explains_every_column():
    text = (Path(sambench.__file__).parent / "docs" / "protocol.md").read_text()
    assert "".join(f"| `{name}` | {meaning} |\n" for name, meaning in COLUMNS.items()) in text


@pytest.mark.parametrize(
    ("changes", "message"), [({"run_id": "0" * 64}, "not the hash"), ({"split": "full"}, "held-out")]
)
def test_a_row_that_contradicts_its_spec_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        trial(**changes)


def test_a_damaged_ledger_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "s.parquet"
    with pytest.raises(StateError, match=r"s\.parquet"):
        read_ledger(path)
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(StateError, match=r"s\.parquet"):
        read_ledger(path)
    write_ledger([trial().model_copy(update={"run_id": "0" * 64})], path)
    with pytest.raises(StateError, match="not the hash"):
        read_ledger(path)


def test_equal_budgets_pass_and_failures_count_as_spent():
    equal = [trial(method, number) for method in ("sgd", "sam") for number in range(3)]
    check_budgets([*equal, trial("sgd", 3, track="E"), trial("sam", 3, track="E", status="failed", accuracy=None)])


@pytest.mark.parametrize(
    "more",
    [
        trial("sam", 3),
        trial("sam", 0, stage="confirm", seed=1001),
        trial("gsam", 0),
        trial("sam", 3, search="optuna"),
    ],
)
def test_unequal_budgets_are_refused(more):
    trials = [trial(method, number) for method in ("sgd", "sam") for number in range(3)]
    with pytest.raises(ConfigError, match="unequal budgets") as caught:
        check_budgets([*trials, more])
    assert more.method in str(caught.value)
    assert "3 halton screen at seed 1000" in str(caught.value)


def test_ties_go_to_the_lower_loss_and_then_to_the_first():
    same = [trial("sgd", number, accuracy=0.5, loss=loss) for number, loss in enumerate((2.0, 1.0, 1.0))]
    assert choose(same) == 1


def test_equal_numbers_of_correct_answers_over_the_seeds_are_a_tie_in_any_order():
    """138 + 137 + 138 = 141 + 138 + 134 of 143 each, and the means of the floats differ in their last bit."""
    seeds, right = (1000, 1001, 1002), ((138, 137, 138), (141, 138, 134))
    trials = [
        trial("usam", number, seed=seed, accuracy=count / 143, loss=0.1 + 0.01 * number)
        for number, counts in enumerate(right)
        for seed, count in zip(seeds, counts, strict=True)
    ]
    means = [fmean(t.accuracy for t in trials if t.trial == number) for number in (0, 1)]
    assert means[0] < means[1]
    assert choose(trials) == 0
    assert choose(trials[::-1]) == 0


def test_only_settings_tried_at_all_seeds_are_chosen():
    tried = [trial("sam", 0), trial("sam", 1), trial("sam", 0, stage="confirm", seed=1001)]
    assert choose(tried) == 0
    with pytest.raises(StateError, match="no trial of 'sam' came to an end"):
        choose([trial("sam", 0, status="failed", accuracy=None)])
