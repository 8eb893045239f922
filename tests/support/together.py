"""Two processes that train together, forked from a server that has imported torch: a pair costs no start-up."""

import os
import pickle
import traceback

import torch

from sambench.benchmarks.meeting import find_seat, meet

SIZE = 2


def start(context, work, folder, *arguments):
    """Start a pair of processes that meet in a folder and call ``work(team, folder, *arguments)``."""
    ours, theirs = zip(*(context.Pipe(duplex=False) for _ in range(SIZE)), strict=True)
    pair = [context.Process(target=_be, args=(rank, work, folder, theirs[rank], arguments)) for rank in range(SIZE)]
    for process, end in zip(pair, theirs, strict=True):
        process.start()
        end.close()
    return pair, ours


def run(context, work, folder, *arguments):
    """Let a pair work to its end, and return what each process returned or the text of what it raised."""
    pair, pipes = start(context, work, folder, *arguments)
    answers = []
    for process, pipe in zip(pair, pipes, strict=True):
        try:
            answers.append(pickle.loads(pipe.recv_bytes()))
        except EOFError:
            process.join()
            answers.append(f"ended with {process.exitcode}")
    for process in pair:
        process.join()
    return answers


def _be(rank, work, folder, pipe, arguments):
    torch.set_num_threads(1)
    os.environ.update(SLURM_PROCID=str(rank), SLURM_STEP_NUM_TASKS=str(SIZE), SLURM_JOB_ID=str(os.getppid()))
    try:
        with meet(find_seat(), folder / "meeting") as team:
            pipe.send_bytes(pickle.dumps(work(team, folder, *arguments)))
    except BaseException as error:
        traceback.print_exc()
        pipe.send_bytes(pickle.dumps(f"{type(error).__name__}: {error}"))
