"""The reference solver: runs a registered step rule, unchanged, on a problem or any function, step by step."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ...variants import create, get_info
from .batched_solver import Trajectories
from .methods import Method, Stream, sample_stream
from .problems import Problem
from .sampling import Floats, Sampling


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
                nonlocal farthest
                if math.isfinite(problem.radius):
                    farthest = max(farthest, float((x.detach() - problem.x0).norm()))
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


def follow(
    variant: str,
    loss: Callable[[Tensor, int], Tensor],
    start: ArrayLike,
    steps: int,
    *,
    lr: ArrayLike,
    rho: ArrayLike | None = None,
) -> Floats:
    """Run a registered variant on a function and return every iterate.

    Args:
        variant: any registered variant that takes a plain closure.
        loss: function from x (d,) and the number of the step to a scalar; a step may have a sample of its own.
        start: first iterate, (d,).
        steps: length of the run.
        lr, rho: learning rate and radius, constant or one for each step, (steps,).

    Returns:
        The iterates, (steps + 1, d); once one is not finite, all later ones are not a number.

    Example:
        >>> follow("sgd", lambda x, t: x.square().sum() / 2, [1.0], 2, lr=0.5).ravel().tolist()
        [1.0, 0.5, 0.25]
    """
    x = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = create(variant, [x], base="sgd", lr=1.0, momentum=0.0, weight_decay=0.0)
    schedules = {"lr": lr} if rho is None else {"lr": lr, "rho": rho}
    values = {name: np.broadcast_to(np.asarray(each, np.float64), (steps,)) for name, each in schedules.items()}
    path = np.full((steps + 1, len(x)), np.nan)
    path[0] = x.detach().numpy()
    for t in range(steps):

        def closure(t=t):
            x.grad = None
            value = loss(x, t)
            value.backward()
            return value

        optimizer.param_groups[0].update({name: float(each[t]) for name, each in values.items()})
        optimizer.step(closure)
        path[t + 1] = x.detach().numpy()
        if not np.isfinite(path[t + 1]).all():
            path[t + 1] = np.nan
            break
    return path
