"""The importance figure against a plain NumPy loop of the same work, both in one run.

    pytest benchmarks/speed/test_theory_speed.py --benchmark-only -s

The figure is 300,000 steps, 5 trials, 2 samplings and 3 values of lambda: nine million steps. The loop costs the same
for every step, so it is timed over 20,000 of each line of one trial and scaled; that over 2,000 gives the same time a
step is printed beside it. The compiled path and everything around it run in full. Nothing here asserts on a clock.

What ten times the trials cost is measured twice: for the figure (data, Parquet, PNG and SVG), where all but the steps
is shared by the trials, and for the steps alone. Those grow in proportion: every trial reads rows of its own and does
its own arithmetic, and five trials keep both cores busy already. The roofline that is printed says how far they are
from what the cores can do: 7d operations a step (two inner products, one update) against a matrix product.
"""

import resource
import time
from pathlib import Path

import numpy as np
import pytest

from sambench.benchmarks.theory.batched_solver import solve
from sambench.benchmarks.theory.experiments import importance
from sambench.benchmarks.theory.figures import save, styled
from sambench.benchmarks.theory.methods import Method, record_grid, sample_stream
from sambench.benchmarks.theory.problems import LinearModel, published_importance
from sambench.benchmarks.theory.sampling import Sampling, make_sampling
from sambench.benchmarks.theory.step_sizes import Constants

STEPS, TRIALS, LAMBDAS, SAMPLINGS = 300_000, 5, (0.0, 0.5, 1.0), ("uniform", "importance")
WORK = STEPS * TRIALS * len(LAMBDAS) * len(SAMPLINGS)
LOOP_STEPS = 20_000
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


def peak_memory() -> float:
    """Return the most memory that this process has held so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.benchmark(group="theory: importance figure")
def test_memory(benchmark, capsys):
    """What the process has held at most must not move when a run becomes ten times as long; first, so that it shows."""
    figure()
    before = peak_memory()
    benchmark.pedantic(figure, args=(10 * STEPS,), rounds=1)
    after = peak_memory()
    benchmark.extra_info.update(peak_mib=before, peak_mib_ten_times_the_steps=after)
    with capsys.disabled():
        print(f"\npeak memory: {before:.0f} MiB at {STEPS:,} steps, {after:.0f} MiB at {10 * STEPS:,}")
    assert after - before < 16


@pytest.mark.benchmark(group="theory: importance figure")
def test_numpy_loop(benchmark):
    benchmark.extra_info["steps"] = LOOP_STEPS * len(LAMBDAS) * len(SAMPLINGS)
    benchmark.pedantic(numpy_loop, args=(LOOP_STEPS,), rounds=2)


@pytest.mark.benchmark(group="theory: importance figure")
def test_compiled(benchmark):
    benchmark.extra_info["steps"] = WORK
    benchmark.pedantic(figure, rounds=3)


def experiment(folder: Path, trials: int) -> None:
    """Everything that ``sambench theory run importance`` does, with any number of trials."""
    data = importance.measure(False, trials=trials)
    data.to_parquet(folder / "importance.parquet", index=False)
    with styled():
        save(importance.draw(data), folder / "importance")


def operations_per_second(size: int = 1500) -> float:
    """What a matrix product reaches on all cores."""
    a = np.ones((size, size))
    a @ a
    return 2 * size**3 / min(clock(lambda: a @ a) for _ in range(3))


@pytest.mark.benchmark(group="theory: importance figure")
def test_ratios(benchmark, tmp_path: Path, capsys):
    """Time all sides in turns; print the medians for the whole figure, their ratios, and the roofline."""
    shorts, loops, fasts, tens, wholes, whole_tens = times = [[] for _ in range(6)]
    resolved_tracks = len(LAMBDAS) * len(SAMPLINGS)

    def one_round() -> None:
        shorts.append(clock(lambda: numpy_loop(LOOP_STEPS // 10)) / (LOOP_STEPS // 10 * resolved_tracks))
        loops.append(clock(lambda: numpy_loop(LOOP_STEPS)) / (LOOP_STEPS * resolved_tracks))
        fasts.append(clock(figure))
        tens.append(clock(lambda: figure(trials=10 * TRIALS)))
        wholes.append(clock(lambda: experiment(tmp_path, TRIALS)))
        whole_tens.append(clock(lambda: experiment(tmp_path, 10 * TRIALS)))

    experiment(tmp_path, TRIALS)  # fonts are found once
    benchmark.pedantic(one_round, rounds=3)
    short, loop, fast, ten, whole, whole_ten = map(np.median, times)
    tensor = clock(lambda: figure(TENSOR_STEPS, compiled=False)) * STEPS / TENSOR_STEPS
    tensor_ten = clock(lambda: figure(TENSOR_STEPS, trials=10 * TRIALS, compiled=False)) * STEPS / TENSOR_STEPS
    info = {
        "loop_s": loop * WORK,
        "loop_us_per_step": loop * 1e6,
        "loop_us_per_step_tenth": short * 1e6,
        "compiled_s": fast,
        "loop_over_compiled": loop * WORK / fast,
        "ten_times_the_trials": ten / fast,
        "whole_experiment_s": whole,
        "whole_experiment_ten_times": whole_ten / whole,
        "gflop_per_s": 7e-9 * published_importance()[0].d * WORK / fast,
        "gflop_per_s_matrix_product": operations_per_second() / 1e9,
        "tensor_s": tensor,
        "tensor_ten_times": tensor_ten / tensor,
    }
    benchmark.extra_info.update(info)
    with capsys.disabled():
        print("\n" + "\n".join(f"{key:28s}{value:12.4g}" for key, value in info.items()))
