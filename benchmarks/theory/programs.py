"""Three programs that run a method: the fastest that knows its rule serves; and the bound that it is held to."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from ...variants import get_info, list_variants
from .batched_solver import Trajectories, has_compiled_path, solve
from .bounds import curve, recursion
from .methods import SAM_FAMILY, Method
from .problems import Problem
from .reference_solver import solve_with_variant
from .sampling import Floats, Sampling

COMPILED, TENSOR, LOOPED = "compiled code", "the tensor program", "the registered step rule, step by step"
LONGEST = {COMPILED: 2_000_000, TENSOR: 20_000, LOOPED: 2_000}
"""Steps that each makes in some seconds: what a run is cut to where its length is free."""


def program_of(problem: Problem, sampling: Sampling, variant: str, hyper: object = None) -> str:
    """Return which program runs a variant with its further hyper-parameters: the fastest that knows its rule.

    Raises:
        ConfigError: the variant needs more than a plain closure.
    """
    info = get_info(variant)
    if info.needs:
        plain = ", ".join(one.name for one in list_variants() if not one.needs)
        raise ConfigError(
            f"variant {variant!r} needs {', '.join(info.needs)}, which no theory problem has; valid: {plain}"
        )
    if variant.removeprefix("is_") not in SAM_FAMILY or hyper:
        return LOOPED
    return COMPILED if has_compiled_path(problem, sampling) else TENSOR


def run_methods(
    problem: Problem,
    sampling: Sampling,
    methods: Sequence[Method],
    *,
    record: NDArray[np.int64],
    trials: int,
    seed: int,
    program: str = "",
) -> Trajectories:
    """Run methods of one variant for every trial; all programs draw the same samples and give the same iterates.

    Args:
        problem, sampling, methods, record, trials, seed: as in :func:`.batched_solver.solve`.
        program: the program to use, instead of the fastest that knows the rule.
    """
    program = program or program_of(problem, sampling, methods[0].variant, methods[0].hyper)
    if program != LOOPED:
        return solve(problem, sampling, methods, record=record, trials=trials, seed=seed, compiled=program == COMPILED)
    runs = [
        [solve_with_variant(problem, sampling, one, record=record, trial=k, seed=seed) for k in range(trials)]
        for one in methods
    ]
    arrays = {
        name: np.concatenate([np.concatenate([getattr(run, name) for run in line], axis=1) for line in runs])
        for name in ("gap", "slope", "x", "farthest")
    }
    return replace(runs[0][0], **arrays)


def bound(problem: Problem, sampling: Sampling, method: Method, record: NDArray[np.int64]) -> Floats:
    """Return the guarantee on E f - f* at the recorded steps, (R,); NaN where the theorem does not cover the run."""
    nothing = np.full(len(record), np.nan)
    if method.family not in SAM_FAMILY or method.hyper or not sampling.unbiased:
        return nothing
    step = recursion(problem, sampling, *method.schedule(np.arange(record[-1], dtype=np.float64)))
    values = curve(float(problem.gap(problem.x0)), step)[record]
    return nothing if np.isnan(values).any() else values
