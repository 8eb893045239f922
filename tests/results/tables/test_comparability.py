"""Which runs may be compared."""

import hashlib
import json
from collections.abc import Callable

import pytest

from sambench.results.records.record import RunRecord, run_id_of
from sambench.results.tables.comparability import METHOD, REPETITION, key_of, method_of, protocol, workload_of, write

Make = Callable[..., RunRecord]
VARIATIONS = {"variant": "asam", "base": "adamw", "sampler": "importance", "average": "ema", "hook": "saf"} | {
    "hyper": {"rho": 0.1},
    "lr": 0.2,
    "momentum": 0.8,
    "nesterov": True,
    "weight_decay": 1e-3,
    "epochs": 8,
    "batch_schedule": "doubling",
    "batch_growth": 2.0,
    "rho_schedule": "linear",
}


def test_every_spec_key_is_in_exactly_one_part(make_record: Make) -> None:
    """Two runs with equal workload, method, seed and measurement are the same run."""
    record = make_record(a_key_of_the_future=3)
    shared, method = workload_of(record), method_of(record)
    for key in record.spec:
        in_method = key in method or (key == "hyper" and "hyper.rho" in method)
        in_workload = key in shared or (key == "warmup_epochs" and "warmup" in shared)
        assert in_method + in_workload + (key in REPETITION) == 1, key


@pytest.mark.parametrize("seed", [0, 7, -1, 2**70, True, 1.0, "1", None, [1]])
@pytest.mark.parametrize(
    "rest",
    [
        {},
        {"lr": 0.1},
        {"variant": "sam"},
        {
            "variant": "sam",
            "lr": -0.0,
            "hyper": {"z": 1, "a": 1.0, "b": [True, "ü", None]},
            "seee": 1e-7,
            "seedy": 1e16,
        },
    ],
)
def test_the_id_is_the_hash_of_the_canonical_json(seed: object, rest: dict[str, object]) -> None:
    for spec in (rest, {"seed": seed, **rest}, {**rest, "seed": seed}, dict(reversed([*rest.items(), ("seed", seed)]))):
        text = json.dumps(spec, sort_keys=True, separators=(",", ":"))
        assert run_id_of(spec) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("key", METHOD)
def test_what_belongs_to_the_method_does_not_change_the_workload(make_record: Make, key: str) -> None:
    one, other = make_record(), make_record(**{key: VARIATIONS[key]})
    assert key_of(workload_of(one)) == key_of(workload_of(other))
    assert key_of(method_of(one)) != key_of(method_of(other))


@pytest.mark.parametrize("key", REPETITION)
def test_repetitions_share_method_and_workload(make_record: Make, key: str) -> None:
    one, other = make_record(), make_record(**{key: 5})
    assert run_id_of(one.spec) != run_id_of(other.spec)
    assert key_of(workload_of(one)) == key_of(workload_of(other))
    assert key_of(method_of(one)) == key_of(method_of(other))


def test_a_stretched_warm_up_stays_on_the_workload(make_record: Make) -> None:
    for epochs in range(5, 60):
        stretched = make_record(epochs=epochs, warmup_epochs=0.5 * epochs / 5)
        assert key_of(workload_of(stretched)) == key_of(workload_of(make_record(epochs=5, warmup_epochs=0.5)))


def test_protocol_leaves_out_what_changes_nothing(make_record: Make) -> None:
    line = protocol(workload_of(make_record(noise=0.4, schedule="multistep", milestones=[0.5, 0.75])))
    assert "noise=0.4 noise_kind=symmetric" in line
    assert "gamma=0.1 milestones=0.5,0.75" in line
    quiet = protocol(workload_of(make_record()))
    for key in ("noise", "milestones", "gamma", "label_smoothing", "imbalance", "subset", "clip", "dataset", "data"):
        assert f"{key}=" not in quiet


@pytest.mark.parametrize(
    ("value", "text"), [(1e-5, "1e-5"), (0.001, "1e-3"), (0.05, "0.05"), (12.0, "12"), (1e6, "1e6"), (0.0, "0")]
)
def test_numbers_are_short_and_exact(value: float, text: str) -> None:
    assert write(value) == text
    assert float(text) == value
