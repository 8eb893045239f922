"""Synthetic records for all tests of results."""

from collections.abc import Callable

import pytest
from synthetic import build_record

from sambench.results.records.record import RunRecord


@pytest.fixture
def make_record() -> Callable[..., RunRecord]:
    return build_record
