"""Small runs for the harness's tests."""

import pytest

from sambench.benchmarks.resolve import make_spec

TINY = {"dataset": "digits", "model": "wrn10_1", "subset": 96, "batch_size": 32, "epochs": 2, "split": "holdout"}


@pytest.fixture(scope="session")
def tiny_spec():
    """Make the spec of a run of six steps; keyword arguments replace fields."""

    def make(**fields):
        return make_spec({**TINY, **fields})

    return make
