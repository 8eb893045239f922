"""A CUDA graph without a GPU: every operation of a step is noted with the memory it works on, and made again there."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Tape(TorchDispatchMode):
    """One recording. Numbers and branches are those of the step that was recorded, as in a CUDA graph."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[Any, Any, Any, list[Tensor]]] = []

    def start(self) -> None:
        self.__enter__()

    def stop(self) -> None:
        self.__exit__(None, None, None)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        found = func(*args, **kwargs)
        tensors = [t for t in tree_leaves(found) if isinstance(t, Tensor)]
        aliases = [r.alias_info for r in func._schema.returns]
        if "_record_function" in str(func) or any(a is not None and not a.is_write for a in aliases):
            self.held = [*getattr(self, "held", []), *tensors]  # views show the same memory again
            return found
        fresh = [] if any(a is not None for a in aliases) else tensors
        self.made.append((func, args, kwargs, fresh))
        return found

    @torch.no_grad()
    def replay(self) -> None:
        for func, args, kwargs, fresh in self.made:
            again = func(*args, **kwargs)
            if not fresh or "empty" in func.overloadpacket.__name__:
                continue
            for there, new in zip(fresh, (t for t in tree_leaves(again) if isinstance(t, Tensor)), strict=True):
                there.copy_(new)


class TapeRecorder:
    """Records on the CPU."""

    def __init__(self, device: torch.device):
        self.device = device

    @contextmanager
    def aside(self) -> Iterator[None]:
        yield

    def recordings(self, generator: torch.Generator) -> Callable[[], Tape]:
        return Tape
