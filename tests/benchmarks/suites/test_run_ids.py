"""Run ids are promises: those of the shipped suites and of the committed records never change."""

import hashlib
import json
from pathlib import Path

import pytest
from synthetic import read_manifests

import sambench
from sambench.benchmarks.resolve import make_spec
from sambench.benchmarks.spec import RunSpec
from sambench.benchmarks.suites.files import list_suites
from sambench.benchmarks.suites.suite import load_suite
from sambench.results.records.store import Store

PROMISED = json.loads(Path(__file__).with_name("run_ids.json").read_text())
"""Suite -> number of runs, and sha256 over their ids in the suite's order, one a line."""
EVIDENCE = Path(sambench.__file__).parent / "results"


def test_every_shipped_suite_is_listed():
    assert sorted(PROMISED) == list_suites()


@pytest.mark.parametrize("name", PROMISED)
def test_the_runs_of_a_suite_keep_their_ids(name):
    ids = load_suite(name).run_ids
    assert {"runs": len(ids), "sha256": hashlib.sha256("\n".join(ids).encode()).hexdigest()} == PROMISED[name]


def test_committed_records_have_the_ids_of_their_specs_and_resolve_to_themselves():
    records = list(Store(EVIDENCE).records())
    assert len(records) >= 552
    for record in records:
        spec = RunSpec.model_validate(record.spec)
        assert spec.run_id == record.run_id
        assert make_spec(spec.model_dump()).run_id == record.run_id


def test_what_the_committed_manifests_promised_is_there():
    store = Store(EVIDENCE)
    promised = [run for manifest in read_manifests(EVIDENCE) for run in manifest.runs]
    assert len(promised) > 300
    assert not [run for run in promised if not store.has(run)]
