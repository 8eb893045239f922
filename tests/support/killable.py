"""A run that its parent may kill at any moment, also in the middle of a checkpoint write."""

import signal

import torch

from sambench import atomic as files
from sambench.benchmarks.training.run import run_spec
from sambench.results.records.store import Store


def work(spec, folder, pipe, half_write):
    """Make a run and report every step; with ``half_write``, write half of the first checkpoint, say so, and wait."""
    torch.set_num_threads(1)
    write = files._write_all

    def half(descriptor, data):
        if bytes(data[:19]) == b"sambench checkpoint":
            write(descriptor, data[: len(data) // 2])
            pipe.send("half")
            signal.pause()
        write(descriptor, data)

    if half_write:
        files._write_all = half

    def watch(run):
        return lambda state: pipe.send("step")

    run_spec(spec, Store(folder), checkpoint_seconds=0, watch=watch)
    pipe.send("done")
