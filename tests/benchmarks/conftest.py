"""Small runs for the harness's tests."""

import pytest

from sambench.benchmarks.spec import make_spec

TINY = {"dataset": "digits", "model": "wrn10_1", "subset": 96, "batch_size": 32, "epochs": 2, "split": "holdout"}


@pytest.fixture(scope="session")
def tiny_spec():
    """Make the spec of a run of six steps; keyword arguments replace fields."""

    def make(**fields):
        return make_spec({**TINY, **fields})

    return make


@pytest.fixture(scope="session")
def essence():
    """Reduce a record to what two runs of one spec must share to the bit: all but times, memory and machine."""

    def reduce(record):
        content = record.model_dump()
        del content["timing"], content["peak_memory"], content["environment"]
        for point in content["curve"]:
            del point["seconds"]
        return content

    return reduce
