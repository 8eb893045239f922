"""What all tests share: one thread, no traces outside temporary folders."""

import gc
import os
import signal

import pytest
import torch

from sambench.benchmarks.resolve import make_spec
from sambench.registry import REGISTRIES, is_built_in

TINY = {"dataset": "digits", "model": "mlp", "subset": 96, "batch_size": 32, "epochs": 2, "split": "holdout"}


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's job in the background: processes would inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish():
    """Let no later collection of garbage look through the modules and the thousands of tests, which stay to the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Small tensors run fastest on one thread, and results do not depend on the machine's cores."""
    torch.set_num_threads(1)


def torch_state():
    """Everything global in torch that changes the bits of what is computed next."""
    return {
        "threads": torch.get_num_threads(),
        "dtype": torch.get_default_dtype(),
        "grad": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "float32 products": torch.get_float32_matmul_precision(),
    }


@pytest.fixture(autouse=True)
def _torch_as_found():
    """Fail a test after which torch computes otherwise than before: what comes next would depend on the order."""
    before = torch_state()
    yield
    after = torch_state()
    torch.set_num_threads(before["threads"])
    assert after == before


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
    before = {id(kind): dict(kind.members) for kind in REGISTRIES}
    yield
    for kind in REGISTRIES:
        if (members := before.get(id(kind))) is None:  # imported by the test
            members = {name: member for name, member in kind.members.items() if is_built_in(member)}
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


@pytest.fixture
def hostile_file():
    """Put something else where a file of text is expected."""

    def make(path, kind):
        if kind == "directory":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "link to itself":
            path.symlink_to(path.name)
        else:
            path.write_bytes(b"# " + b"x" * 10_000_000)
        return path

    return make
