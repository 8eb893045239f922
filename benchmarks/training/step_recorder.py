"""What records operations on a device: CUDA graphs, and whatever else is entered in :data:`RECORDERS`."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any, Protocol

import torch


class Recording(Protocol):
    """Operations of a part of a step."""

    def start(self) -> None:
        """Record what is asked of the device from here on."""
        ...

    def stop(self) -> None:
        """End the recording; what is in it has been carried out."""
        ...

    def replay(self) -> None:
        """Carry it out again."""
        ...


class Recorder(Protocol):
    """Makes recordings on a device."""

    def aside(self) -> AbstractContextManager[Any]:
        """Where a step is made before one is recorded."""
        ...

    def recordings(self, generator: torch.Generator) -> Callable[[], Recording]:
        """Return what makes the recordings of one step, which may draw from this generator."""
        ...


@cache
def _beside(present: torch.cuda.Stream) -> torch.cuda.Stream:
    """Return the stream that records what a stream replays.

    There is one for each, for all runs on it: a recording has the workspace in it that cuBLAS has for the stream that
    recorded, and torch, which has 32 streams of a GPU, would soon give one out a second time, to a run beside.
    """
    return torch.cuda.Stream(present.device)


class CudaRecorder:
    """CUDA graphs, recorded on a stream beside the present one."""

    def __init__(self, device: torch.device):
        self.stream = _beside(torch.cuda.current_stream(device))

    @contextmanager
    def aside(self) -> Iterator[None]:
        present = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(present)
        with torch.cuda.stream(self.stream):
            yield
        present.wait_stream(self.stream)

    def recordings(self, generator: torch.Generator) -> Callable[[], Recording]:
        pool = torch.cuda.graph_pool_handle()
        return lambda: _CudaGraph(self.stream, pool, generator)


class _CudaGraph:
    def __init__(self, stream: torch.cuda.Stream, pool: Any, generator: torch.Generator):
        self.graph = torch.cuda.CUDAGraph()
        self.graph.register_generator_state(generator)
        self.context = torch.cuda.graph(self.graph, pool=pool, stream=stream, capture_error_mode="thread_local")
        self.replay = self.graph.replay

    def start(self) -> None:
        self.outside = torch.cuda.current_stream()
        self.context.__enter__()

    def stop(self) -> None:
        try:
            self.context.__exit__(None, None, None)
        finally:
            torch.cuda.set_stream(self.outside)  # where the recording has failed, nobody else does
        self.graph.replay()


RECORDERS: dict[str, Callable[[torch.device], Recorder]] = {"cuda": CudaRecorder}
"""Kind of device -> what records on it."""
