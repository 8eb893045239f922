"""The importance figure against a plain NumPy loop of the same work, both in one run.

    pytest benchmarks/speed/test_theory_speed.py --benchmark-only -s

The figure is 300,000 steps, 5 trials, 2 samplings and 3 values of lambda: nine million steps. The loop costs the same
for every step, so it is timed on a part of them and scaled; the compiled path and everything around it run in full.
Nothing here asserts on a clock.
"""

import time
from pathlib import Path

import numpy as np
import pytest

from sambench.benchmarks.theory.batched import solve
from sambench.benchmarks.theory.experiments import run_experiment
from sambench.benchmarks.theory.methods import Method, record_grid, sample_stream
from sambench.benchmarks.theory.problems import LinearModel, published_importance
from sambench.benchmarks.theory.sampling import Sampling, make_sampling
from sambench.benchmarks.theory.stepsizes import Constants

STEPS, TRIALS, LAMBDAS, SAMPLINGS = 300_000, 5, (0.0, 0.5, 1.0), ("uniform", "importance")
WORK = STEPS * TRIALS * len(LAMBDAS) * len(SAMPLINGS)
LOOP_STEPS = 2_000
TENSOR_STEPS = 300


def methods_for(problem: LinearModel, sampling: Sampling) -> list[Method]:
    c = Constants.of(problem, sampling, STEPS)
    return [Method("unified_sam", "theorem-3.2", c, lam, f"{lam:g}") for lam in LAMBDAS]


def figure(steps: int = STEPS, trials: int = TRIALS, compiled: bool | None = None) -> list[np.ndarray]:
    """Solve what the importance figure shows; return the last iterates for each sampling, (methods, trials, d)."""
    problem, _ = published_importance()
    ends = []
    for name in SAMPLINGS:
        sampling = make_sampling(name, problem)
        record = record_grid(steps, 60, log=False)
        methods = methods_for(problem, sampling)
        ends.append(solve(problem, sampling, methods, record=record, trials=trials, compiled=compiled).x)
    return ends


def numpy_loop(steps: int) -> list[np.ndarray]:
    """One trial of the same, one step after another, as one would write it first."""
    problem, _ = published_importance()
    a, y, r = problem.features.numpy(), problem.targets.numpy(), problem.regularization
    ends = []
    for name in SAMPLINGS:
        sampling = make_sampling(name, problem)
        index, factor = sample_stream(sampling, 0, 0)(steps)
        for method in methods_for(problem, sampling):
            gamma, rho, lam = (float(v[0]) for v in method.schedule(np.zeros(1)))
            x = problem.x0.numpy().copy()
            for batch, weight in zip(index, factor, strict=True):
                rows, targets = a[batch], y[batch]
                g = rows.T @ (weight * (rows @ x - targets)) + weight.sum() * r * x
                ahead = x + rho * (1 - lam + lam / (np.linalg.norm(g) + 1e-12)) * g
                x = x - gamma * (rows.T @ (weight * (rows @ ahead - targets)) + weight.sum() * r * ahead)
            ends.append(x)
    return ends


def clock(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@pytest.fixture(scope="module", autouse=True)
def warm():
    figure(steps=10, trials=2)  # compile outside the clock


def test_the_loop_and_the_compiled_path_do_the_same_work():
    loop = numpy_loop(200)
    fast = np.concatenate([ends[:, 0] for ends in figure(steps=200, trials=1)])
    np.testing.assert_allclose(fast, loop, rtol=0, atol=1e-10)


@pytest.mark.benchmark(group="theory: importance figure")
def test_numpy_loop(benchmark):
    benchmark.extra_info["steps"] = LOOP_STEPS * len(LAMBDAS) * len(SAMPLINGS)
    benchmark.pedantic(numpy_loop, args=(LOOP_STEPS,), rounds=2)


@pytest.mark.benchmark(group="theory: importance figure")
def test_compiled(benchmark):
    benchmark.extra_info["steps"] = WORK
    benchmark.pedantic(figure, rounds=3)


@pytest.mark.benchmark(group="theory: importance figure")
def test_ratios(benchmark, tmp_path: Path):
    """Time both sides alternately; print seconds for the whole figure, their ratio, the price of tenfold trials."""
    loops, fasts, tens = [], [], []
    for _ in range(3):
        loops.append(clock(lambda: numpy_loop(LOOP_STEPS)) * STEPS * TRIALS / LOOP_STEPS)
        fasts.append(clock(figure))
        tens.append(clock(lambda: figure(trials=10 * TRIALS)))
    loop, fast, ten = map(np.median, (loops, fasts, tens))
    tensor = clock(lambda: figure(TENSOR_STEPS, compiled=False)) * STEPS / TENSOR_STEPS
    tensor_ten = clock(lambda: figure(TENSOR_STEPS, trials=10 * TRIALS, compiled=False)) * STEPS / TENSOR_STEPS
    whole = benchmark.pedantic(clock, args=(lambda: run_experiment("importance", tmp_path),), rounds=1)
    info = {
        "loop_s": loop,
        "loop_us_per_step": loop / WORK * 1e6,
        "compiled_s": fast,
        "loop_over_compiled": loop / fast,
        "ten_times_the_trials": ten / fast,
        "whole_experiment_s": whole,
        "whole_experiment_ten_times": (whole - fast + ten) / whole,
        "tensor_s": tensor,
        "tensor_ten_times": tensor_ten / tensor,
    }
    benchmark.extra_info.update(info)
    print("\n" + "\n".join(f"{key:28s}{value:12.4g}" for key, value in info.items()))
