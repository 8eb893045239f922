"""The device to train on."""

import pytest
import torch

from sambench.benchmarks.device import pick_device
from sambench.errors import ConfigError


def test_a_device_without_float64_is_never_taken_by_itself_and_refused_by_name(monkeypatch):
    zeros = torch.zeros

    def like_mps(*shape, device, dtype):
        if device.type == "mps":
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return zeros(*shape, device=device, dtype=dtype)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", like_mps)
    assert pick_device("auto").type == "cpu"
    with pytest.raises(ConfigError, match="device 'mps' cannot be used: Cannot convert a MPS Tensor to float64"):
        pick_device("mps")


@pytest.mark.parametrize("name", ["meta", "cuda:99", "toaster"])
def test_a_device_that_is_not_there_is_refused(name):
    with pytest.raises(ConfigError, match=f"device '{name}' cannot be used: .*; valid here: auto, cpu"):
        pick_device(name)
