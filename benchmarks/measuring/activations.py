"""What flows through a network: the outputs of its ReLUs and of its residual blocks."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_RELUS = {F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_}


class _Recorder(TorchFunctionMode):
    """Notes the results of ReLUs, as functions or as layers."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: list[Tensor] = []
        self.inside = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        outermost = func in _RELUS and not self.inside  # F.relu calls torch.relu
        self.inside |= outermost
        try:
            result = func(*args, **(kwargs or {}))
        finally:
            self.inside &= not outermost
        if outermost:
            self.outputs.append(result.detach().clone())
        return result


@contextmanager
def relu_outputs() -> Iterator[list[Tensor]]:
    """Inside the block, collect what every ReLU returns, in the order of the calls."""
    with _Recorder() as recorder:
        yield recorder.outputs


def blocks_of(network: nn.Module) -> dict[str, nn.Module]:
    """Return the residual blocks of a network by name, and last the layer that makes the logits.

    Residual blocks are the members of its sequences at any depth outside of other blocks that have parameters and
    parts of their own. The input of the last linear layer are the features that the classifier sees.
    """
    blocks: dict[str, nn.Module] = {}

    def visit(prefix: str, module: nn.Module) -> None:
        for name, child in module.named_children():
            path = f"{prefix}.{name}" if prefix else name
            if isinstance(module, nn.Sequential) and any(child.children()) and not isinstance(child, nn.Sequential):
                if any(True for _ in child.parameters()):
                    blocks[path] = child
            else:
                visit(path, child)

    visit("", network)
    return blocks


def last_linear(network: nn.Module) -> nn.Module | None:
    """Return the last linear layer of a network, in the order of its definition."""
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    return layers[-1] if layers else None
