"""The reference solver: runs a registered step rule, unchanged, on a theory problem, step by step."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...variants import create, get_info
from .batched_solver import Trajectories
from .methods import Method, Stream, sample_stream
from .problems import Problem
from .sampling import Sampling


def solve_with_variant(
    problem: Problem,
    sampling: Sampling,
    method: Method,
    *,
    record: NDArray[np.int64],
    trial: int = 0,
    seed: int = 0,
    streams: Callable[[int], Stream] | None = None,
) -> Trajectories:
    """Run a registered variant through its ``step(closure)``; the problem gives the closure.

    Learning rate and, where the variant has them, ``rho`` and ``lam`` are set in its parameter groups at every step; a
    scheduled ``lam`` follows the variant's own step counter.

    Args:
        problem: the finite sum to minimize.
        sampling: distribution of the components of a step.
        method: any registered variant with its step sizes.
        record: increasing steps at which f is recorded; the last is the length of the run.
        trial, seed, streams: the trial and its sample stream, as in
            :func:`~sambench.benchmarks.theory.batched_solver.solve`.

    Returns:
        Trajectories of one method and one trial.

    Raises:
        ConfigError: an unknown variant, or one that is not defined with this sampling.
    """
    method.check_sampling(sampling)
    stream = streams(trial) if streams else sample_stream(sampling, seed, trial)
    gamma, rho, lam = method.schedule(np.arange(record[-1], dtype=np.float64))
    declared = get_info(method.variant).hyper
    hyper: dict[str, Any] = dict(method.hyper)
    if method.lam is not None:
        hyper["lam"] = method.lam
    x = problem.x0.clone().requires_grad_()
    optimizer = create(method.variant, [x], base="sgd", lr=1.0, momentum=0.0, weight_decay=0.0, **hyper)
    (group,) = optimizer.param_groups
    gap, slope, farthest, done = [], [], 0.0, 0
    for target in record:
        index, factor = map(np.array, stream(int(target) - done))
        for component, weight in zip(torch.from_numpy(index), torch.from_numpy(factor), strict=True):

            def closure(component=component, weight=weight):
                x.grad = None
                loss = (weight * problem.losses(x, component)).sum()
                loss.backward()
                return loss

            group["lr"] = float(gamma[done])
            if "rho" in declared and "rho" not in method.hyper:
                group["rho"] = float(rho[done])
            if method.lam is not None and not isinstance(method.lam, str):
                group["lam"] = float(lam[done])
            optimizer.step(closure)
            done += 1
        here = x.detach()
        gap.append(float(problem.gap(here)))
        slope.append(float(problem.gradient(here[None]).norm()))
        farthest = max(farthest, float((here - problem.x0).norm()))
    return Trajectories(
        np.asarray(record),
        np.array(gap)[None, None],
        np.array(slope)[None, None],
        x.detach().numpy()[None, None],
        np.full((1, 1), farthest),
    )
