"""Rows compared by name: the pairs, their sentences, and what cannot be compared."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import sambench as sb
from sambench.errors import ConfigError, StateError
from sambench.results.leaderboard import comparison as texts
from sambench.results.records.manifest import SuiteManifest, Track, write_manifest
from sambench.results.records.record import RunRecord
from sambench.results.records.store import Store
from sambench.results.statistics.pairs import compare_by_seed

Make = Callable[..., RunRecord]
NOISE = (0.0, 0.02, -0.01, 0.013, -0.02)


@pytest.fixture
def store(tmp_path: Path, make_record: Make) -> Store:
    """Five seeds each, which share their luck: sam is 2 points better than sgd, usam like sam."""
    store = Store(tmp_path)
    runs = []
    for seed, luck in enumerate(NOISE):
        for name, level in (("sgd", 0.93 + luck / 30), ("sam", 0.95), ("usam", 0.95 + luck / 20)):
            hyper = {} if name == "sgd" else {"rho": 0.1}
            runs.append(make_record(variant=name, hyper=hyper, seed=seed, accuracy=level + luck, count=2000))
    runs += [make_record(variant="sgd", lr=0.5, seed=seed, accuracy=0.5, count=2000) for seed in range(5)]
    runs += [make_record(variant="asam", seed=seed, accuracy=0.9) for seed in range(2)]
    runs += [make_record(variant="gsam", model="mlp", seed=seed, accuracy=0.9) for seed in range(3)]
    for record in runs:
        store.write(record)
    track = Track(name="E", budget=4, runs=tuple(record.run_id for record in runs if record.spec["model"] != "mlp"))
    fields = {"title": "One", "description": "It shows little.", "command": "sambench launch one"}
    write_manifest(store, SuiteManifest(name="one", seeds=(0, 1, 2, 3, 4), tracks=(track,), **fields))
    return store


def test_a_difference_is_taken_within_the_seed_and_said_in_a_sentence(store: Store) -> None:
    (pair,) = sb.compare("sam", "sgd", results=store.root)
    assert (pair.title, pair.suite, pair.second.label) == ("digits, wrn10_1, track E", "one", "sgd (lr=0.1)")
    accuracies = [dict(zip(row.seeds, row.accuracies, strict=True)) for row in (pair.first, pair.second)]
    assert pair.difference == compare_by_seed(*accuracies, resolution=1 / 2000)
    assert pair.difference is not None
    assert pair.difference.within_seed
    assert str(pair).startswith("sam has 2.00 points less error than sgd (lr=0.1) (95 % interval 1.9")
    (other,) = sb.compare("sgd", "sam", results=store.root)
    assert str(other).startswith("sgd (lr=0.1) has 2.00 points more error than sam (95 % interval 1.9")


def test_the_test_examples_are_compared_too(store: Store) -> None:
    (pair,) = sb.compare("sam", "sgd", results=store.root)
    assert pair.examples is not None
    assert pair.difference is not None
    assert pair.examples.estimate == pytest.approx(pair.difference.estimate)
    assert pair.examples.high - pair.examples.low > pair.difference.high - pair.difference.low
    assert pair.on_examples.startswith("On other test examples, too: 95 % interval -2.")
    assert "McNemar's test tells 5 of 5 pairs of runs apart" in pair.on_examples
    assert pair.on_examples in texts.text([pair])
    (found,) = json.loads(texts.as_json([pair]))
    assert found["examples"]["mcnemar_apart"] == len(found["examples"]["mcnemar_p"]) == 5


def test_a_run_that_diverged_has_no_examples_to_compare(tmp_path: Path, make_record: Make) -> None:
    store = Store(tmp_path)
    for seed in range(4):
        store.write(make_record(variant="sgd", seed=seed))
        store.write(make_record(variant="sam", seed=seed, status="completed" if seed else "diverged"))
    (pair,) = sb.compare("sam", "sgd", results=store.root)
    assert pair.examples is None
    assert pair.on_examples == ""


def test_what_is_not_told_apart_says_what_would_have_been(store: Store) -> None:
    (pair,) = sb.compare("sam", "usam", results=store.root)
    assert str(pair).startswith("These runs do not tell sam and usam apart (95 % interval -0.")
    assert pair.difference is not None
    assert str(pair).endswith(f"would have shown a difference of {100 * pair.difference.detectable:.2f}.")


def test_a_pair_of_two_runs_has_no_interval(store: Store) -> None:
    (pair,) = sb.compare("sam", "asam", results=store.root)
    assert pair.difference is None
    assert str(pair) == "A difference takes 3 runs of each row, and asam has 2."
    assert all(write([pair]) for write in (texts.text, texts.markdown, texts.latex, texts.as_json))


def test_any_number_of_rows_a_label_and_a_suite(store: Store) -> None:
    pairs = sb.compare("sgd (lr=0.5)", "sam", "usam", "one", results=store.root)
    assert [(pair.first.label, pair.second.label) for pair in pairs] == [
        ("sgd (lr=0.5)", "sam"),
        ("sgd (lr=0.5)", "usam"),
        ("sam", "usam"),
    ]


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        (("sma", "sgd"), ConfigError, r"unknown row or suite 'sma'; did you mean 'sam'"),
        (("sam", "sgd", "onne"), ConfigError, r"unknown row or suite 'onne'; did you mean 'one'"),
        (("sam", "one"), ConfigError, r"two rows or more, got sam"),
        (("sam", "gsam"), StateError, r"no table has two of these rows: sam is in digits, .*; gsam is in digits, mlp"),
    ],
)
def test_names_that_cannot_be_compared(store: Store, names, error, message) -> None:
    with pytest.raises(error, match=message):
        sb.compare(*names, results=store.root)


def test_an_empty_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="no finished run"):
        sb.compare("sam", "sgd", results=tmp_path / "none")


def test_texts_say_the_same_numbers(store: Store) -> None:
    pairs = sb.compare("sam", "sgd", "usam", results=store.root)
    found = json.loads(texts.as_json(pairs))
    assert [one["sentence"] for one in found] == [str(pair) for pair in pairs]
    numbers = "{estimate:+.2f} [{low:+.2f}, {high:+.2f}]"
    for one in found:
        interval = numbers.format(**one["difference"]).replace("-", "−")
        assert f" {interval} |" in texts.markdown(pairs)
        assert interval.replace("−", "$-$") in texts.latex(pairs)
        assert one["sentence"] in texts.text(pairs)
    assert r"sgd (lr=0.1)" in texts.latex(pairs)


def test_latex_is_escaped() -> None:
    assert texts.latex_text(r"a_b & 5% #$\~^{}") == (
        r"a\_b \& 5\% \#\$\textbackslash{}\textasciitilde{}\textasciicircum{}\{\}"
    )
