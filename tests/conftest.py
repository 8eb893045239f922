"""What all tests share: one thread, no traces outside temporary folders."""

import pytest
import torch

from sambench.benchmarks.resolve import make_spec
from sambench.datasets.samplers import SAMPLERS
from sambench.variants.averages import AVERAGES
from sambench.variants.hooks import HOOKS
from sambench.variants.registry import VARIANTS

REGISTRIES = (VARIANTS, HOOKS, AVERAGES, SAMPLERS)
TINY = {"dataset": "digits", "model": "wrn10_1", "subset": 96, "batch_size": 32, "epochs": 2, "split": "holdout"}


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Small tensors run fastest on one thread, and results do not depend on the machine's cores."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """Keep decoded data sets of tests away from the user's, and results where a test says."""
    monkeypatch.delenv("SAMBENCH_RESULTS", raising=False)
    monkeypatch.setenv("SAMBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def _own_registry():
    """Take out again what a test registers: plugins of one test are no variants of the next."""
    for kind in REGISTRIES:
        kind.discover()
    before = [(kind, dict(kind.members)) for kind in REGISTRIES]
    yield
    for kind, members in before:
        kind.members = members


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


@pytest.fixture(scope="session")
def tiny_spec():
    """Make the spec of a run of six steps; keyword arguments replace fields."""

    def make(**fields):
        return make_spec({**TINY, **fields})

    return make
