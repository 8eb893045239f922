"""Solves all trials and all methods of one experiment at once.

Iterates form one array, (trials, methods, d). Memory does not depend on the number of steps: samples and step sizes
are made block by block, and only the iterates at the recorded steps are kept. Two programs that agree advance a block:

- any problem and sampling: a tensor program, one batched gradient for all trials and methods at a time;
- a linear model and one component a step, the case of the paper's figures: compiled code
  (:mod:`.numba_kernel` explains why), each thread for some of the trials and methods.
"""

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import ConfigError
from ...variants import TINY
from .methods import SAM_FAMILY, Method, Stream, sample_stream
from .problems import LinearModel, Problem
from .sampling import Floats, Full, Sampling

BLOCK = 16_384
"""Largest number of steps whose samples and step sizes are in memory at once."""
CORES = os.cpu_count() or 1
BLOCK_SAMPLES = 2_000_000
"""Largest number of components drawn for one block, over all trials."""


class Block(NamedTuple):
    """Some consecutive steps of a run.

    Args:
        t: numbers of the steps, (steps,).
        marks: the iterates are recorded after so many steps of the block, int64 (marks,), increasing.
        recorded: receives the iterates at the marks, (marks, trials, methods, d).
        reach: receives the largest distance from the start of a perturbed point, (trials, methods).
    """

    t: Floats
    marks: NDArray[np.int64]
    recorded: Tensor
    reach: Tensor


Advance = Callable[[Tensor, list[Stream], Block], None]
"""Function that advances all iterates over a block, in place."""


@dataclass(frozen=True)
class Trajectories:
    """The result of :func:`solve`.

    Args:
        steps: the R recorded steps, (R,).
        gap: f - f* at these steps, (methods, trials, R).
        slope: ||grad f|| at these steps, (methods, trials, R).
        x: the last iterates, (methods, trials, d).
        farthest: largest distance from the start at these steps, (methods, trials); where the problem's constants hold
            on a ball, of all points at which a gradient was taken, too.
    """

    steps: NDArray[np.int64]
    gap: Floats
    slope: Floats
    x: Floats
    farthest: Floats


def has_compiled_path(problem: Problem, sampling: Sampling) -> bool:
    """Tell whether compiled code exists for this case: a linear model and one component a step."""
    return isinstance(problem, LinearModel) and sampling.width == 1


def solve(
    problem: Problem,
    sampling: Sampling,
    methods: Sequence[Method],
    *,
    record: NDArray[np.int64],
    trials: int = 1,
    seed: int = 0,
    streams: Callable[[int], Stream] | None = None,
    compiled: bool | None = None,
) -> Trajectories:
    """Run every method for every trial; methods share the samples of a trial.

    Args:
        problem: the finite sum to minimize.
        sampling: distribution of the components of a step.
        methods: step rules with their step sizes.
        record: increasing steps at which f is recorded; the last is the length of the run.
        trials: number of trials, each with a sample stream of its own.
        seed: seed of the sample streams.
        streams: function from the number of a trial to its sample stream, instead of streams from ``seed``.
        compiled: whether to use compiled code or the tensor program; ``None`` uses compiled code where it exists.

    Raises:
        ConfigError: a method that the batched path does not have, or ``compiled`` where there is no compiled code.
    """
    for method in methods:
        method.check_sampling(sampling)
        if method.family not in SAM_FAMILY:
            raise ConfigError(
                f"the batched path does not know variant {method.variant!r}; it knows {', '.join(SAM_FAMILY)} and "
                "their importance-sampled forms. Any registered variant runs with "
                "sambench.benchmarks.theory.reference_solver"
            )
    compilable = has_compiled_path(problem, sampling)
    if compiled and not compilable:
        raise ConfigError(
            f"problem {problem.name!r} with sampling {sampling.name!r} has no compiled path (it is for linear models "
            "and one component a step); leave compiled=None"
        )
    make = streams or partial(sample_stream, sampling, seed)
    drawn = [make(trial) for trial in range(trials)]
    pool = ThreadPoolExecutor(CORES)
    program: Advance
    if isinstance(problem, LinearModel) and compilable and compiled is not False:
        program = partial(_compiled, problem, methods, pool)
    else:
        program = partial(_tensor, problem, isinstance(sampling, Full), methods)
    reach = torch.zeros(trials, len(methods), dtype=torch.float64)
    x = problem.x0.expand(trials, len(methods), -1).clone()
    recorded = x.repeat(len(record), 1, 1, 1)
    block = max(1, min(BLOCK, BLOCK_SAMPLES // (trials * sampling.width)))
    with pool, torch.no_grad():
        for start in range(0, int(record[-1]), block):
            stop = min(start + block, int(record[-1]))
            low, high = np.searchsorted(record, [start, stop], side="right")
            t = np.arange(start, stop, dtype=np.float64)
            program(x, drawn, Block(t, record[low:high] - start, recorded[low:high], reach))
        # f is evaluated once, at the end: between blocks its thread barriers would cost more than the steps.
        gap = problem.gap(recorded).permute(2, 1, 0)
        slope = problem.gradient(recorded.view(-1, problem.d)).norm(dim=-1).view(gap.shape[::-1]).permute(2, 1, 0)
        farthest = torch.maximum((recorded - problem.x0).norm(dim=-1).amax(0), reach).T
    return Trajectories(np.asarray(record), gap.numpy(), slope.numpy(), x.transpose(0, 1).numpy(), farthest.numpy())


def _schedules(methods: Sequence[Method], t: Floats) -> tuple[Floats, Floats, Floats]:
    """Return gamma, rho and lambda of every method at the steps t, (methods, steps) each."""
    gamma, rho, lam = zip(*(method.schedule(t) for method in methods), strict=True)
    return np.stack(gamma), np.stack(rho), np.stack(lam)


def _compiled(
    problem: LinearModel,
    methods: Sequence[Method],
    pool: ThreadPoolExecutor,
    x: Tensor,
    streams: list[Stream],
    block: Block,
) -> None:
    from .numba_kernel import advance  # half a second, which short runs do without

    model = (
        problem.features.numpy(),
        problem.features.square().sum(-1).numpy(),
        problem.targets.numpy(),
        problem.regularization,
        problem.link == "logistic",
    )
    schedules = _schedules(methods, block.t)
    iterates, recorded = x.numpy(), block.recorded.numpy()
    index = np.empty((len(streams), len(block.t)), dtype=np.int64)
    factor = np.empty(index.shape)

    def draw(trials: range) -> None:
        for trial in trials:
            components, weights = streams[trial](len(block.t))
            index[trial], factor[trial] = components[:, 0], weights[:, 0]

    def run(rows: range) -> None:
        advance(*model, iterates, rows.start, rows.stop, index, factor, *schedules, block.marks, recorded)

    list(pool.map(draw, _shares(len(streams))))
    list(pool.map(run, _shares(len(streams) * len(methods))))


def _shares(count: int) -> list[range]:
    """Divide ``count`` pieces of work among the cores, in contiguous shares whose sizes differ by at most one."""
    cores = min(CORES, count)
    return [range(count * k // cores, count * (k + 1) // cores) for k in range(cores)]


def _tensor(
    problem: Problem, full: bool, methods: Sequence[Method], x: Tensor, streams: list[Stream], block: Block
) -> None:
    gamma, rho, lam = (torch.from_numpy(s.T.copy())[:, None, :, None] for s in _schedules(methods, block.t))
    steps = len(block.t)
    draws = [(None, None)] * steps if full else _draw_all(streams, len(methods), steps)
    recorded = dict(zip(block.marks.tolist(), block.recorded, strict=True))
    flat = x.view(-1, problem.d)
    for step, (index, factor) in enumerate(draws):
        g = problem.gradient(flat, index, factor).view_as(x)
        inverse = 1 / (g.norm(dim=-1, keepdim=True) + TINY)
        ahead = x + rho[step] * (1 - lam[step] + lam[step] * inverse) * g
        if math.isfinite(problem.radius):  # what is known of it holds on a ball, which the perturbed point may leave
            torch.maximum(block.reach, (ahead - problem.x0).norm(dim=-1), out=block.reach)
        x -= gamma[step] * problem.gradient(ahead.view_as(flat), index, factor).view_as(x)
        if step + 1 in recorded:
            recorded[step + 1].copy_(x)


def _draw_all(streams: list[Stream], methods: int, steps: int) -> list[tuple[Tensor, Tensor]]:
    """Return the components and factors of each step for all trials and methods, (trials * methods, width) each."""
    pairs = [stream(steps) for stream in streams]
    index, factor = (
        torch.from_numpy(np.repeat(np.stack([pair[k] for pair in pairs], 1), methods, axis=1)) for k in (0, 1)
    )
    return list(zip(index, factor, strict=True))
