"""A process group of two, forked from a server that has imported torch: a pair costs no start-up."""

import multiprocessing
import os
import pickle
import secrets
import traceback
from functools import cache

import torch

from sambench.benchmarks.distributed.rendezvous import read_environment, rendezvous

SIZE = 2
PRELOADED = ["sambench.benchmarks.training.run", "torch.fx.experimental.symbolic_shapes"]
"""What a run imports, and what torch does in its first backward pass."""
STEP = "step"
"""What a process may send before its answer."""


@cache
def server():
    """The server that pairs are forked from."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


class Pair:
    """Two processes that meet in a folder and each call ``work(process_group, folder, *arguments)``."""

    def __init__(self, work, folder, *arguments):
        ours, theirs = zip(*(server().Pipe() for _ in range(SIZE)), strict=True)
        self.pipes, job = ours, secrets.token_hex(8)
        self.processes = [
            server().Process(target=_be, args=(rank, job, theirs[rank], work, folder, arguments))
            for rank in range(SIZE)
        ]
        for process, end in zip(self.processes, theirs, strict=True):
            process.start()
            end.close()

    def answers(self):
        """Wait for both; return what each returned, or what it raised in words, or how it ended without a word."""
        told = []
        for process, pipe in zip(self.processes, self.pipes, strict=True):
            try:
                while (message := pickle.loads(pipe.recv_bytes())) == STEP:
                    pass
                told.append(message)
            except EOFError:
                process.join()
                told.append(process.exitcode)
        for process in self.processes:
            process.join()
        return told


def together(work, folder, *arguments):
    """Let a pair work to its end, and return its answers."""
    return Pair(work, folder, *arguments).answers()


def _be(rank, job, pipe, work, folder, arguments):
    torch.set_num_threads(1)
    os.environ.update(SLURM_PROCID=str(rank), SLURM_STEP_NUM_TASKS=str(SIZE), SLURM_JOB_ID=job)
    process_group = None
    try:
        with rendezvous(read_environment(), folder / "rendezvous") as process_group:
            process_group.pipe = pipe
            answer = work(process_group, folder, *arguments)
    except BaseException as error:
        traceback.print_exc()
        answer = f"{type(error).__name__}: {error}"
    pipe.send_bytes(pickle.dumps(answer))
