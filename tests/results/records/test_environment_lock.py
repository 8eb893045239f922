"""The lock file of the committed evidence: what the records say they were made with."""

import re
import tomllib
from pathlib import Path

import pytest

import sambench
from sambench.errors import StateError
from sambench.results.records.environment_lock import LOCK, lock_text, locked
from sambench.results.records.store import Store

ROOT = Path(sambench.__file__).parent


def test_the_committed_lock_file_is_that_of_the_records():
    text = (ROOT / "results" / LOCK).read_text()
    python, named = locked(Store(ROOT / "results").records())
    assert f"Python {python}:" in text
    pinned = dict(line.split("==") for line in text.splitlines() if "==" in line)
    assert named.items() <= pinned.items()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {re.match(r"[\w-]+", line)[0].lower() for line in project["dependencies"]} <= pinned.keys()


def test_a_lock_file_is_made_only_where_the_versions_are_those_of_the_records(make_record):
    record = make_record()
    with pytest.raises(StateError, match=r"torch .* \(2.11.0 in the records\)"):
        lock_text([record])
