"""What all tests share: one thread, no traces outside temporary folders."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Small tensors run fastest on one thread, and results do not depend on the machine's cores."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """Keep decoded data sets of tests away from the user's."""
    monkeypatch.setenv("SAMBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
