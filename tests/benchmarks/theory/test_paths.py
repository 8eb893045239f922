"""One experiment, three programs: the registered step rules, the tensor program and the compiled code agree."""

import tracemalloc

import numpy as np
import pytest
import torch

from sambench.benchmarks.theory import batched_solver as batched
from sambench.benchmarks.theory.batched_solver import solve
from sambench.benchmarks.theory.methods import Method, record_grid
from sambench.benchmarks.theory.reference_solver import solve_with_variant
from sambench.benchmarks.theory.sampling import make_sampling
from sambench.benchmarks.theory.step_sizes import STEP_SIZES, Constants, fixed, lam_values
from sambench.errors import ConfigError
from sambench.variants import list_variants
from tests.benchmarks.theory.conftest import build

STEPS = 60
PLAIN = [("sgd", None), ("sam", None), ("usam", None)]
UNIFIED = [("unified_sam", lam) for lam in (0.3, "1/t", "1-1/t")]
IMPORTANT = [("is_sam", None), ("is_usam", None), ("is_unified_sam", 0.5)]


def constants(problem, sampling_name, horizon=STEPS):
    # The biased sampling has no constants of its own: take those of the one that it imitates.
    name = "importance" if sampling_name == "importance-unweighted" else sampling_name
    return Constants.of(problem, make_sampling(name, problem), horizon)


def methods_for(problem, sampling_name, rules, step=None):
    c = constants(problem, sampling_name)
    # Larger steps than any theorem allows, so that the iterates move and a wrong term would show; few enough that SAM
    # does not reach the minimizer, around which a constant rho makes it bounce chaotically (rounding grows to 1e-2).
    step = step or fixed(0.03 / c.L, 0.3 / c.L)
    return [Method(variant, step, c, lam) for variant, lam in rules]


def assert_paths_agree(problem, sampling_name, methods, compiled=(None,)):
    sampling, record = make_sampling(sampling_name, problem), record_grid(STEPS, 10)
    runs = [solve(problem, sampling, methods, record=record, trials=2, seed=5, compiled=flag) for flag in compiled]
    assert (np.abs(runs[0].x - problem.x0.numpy()).max(-1) > 1e-3).all()
    for run in runs:
        np.testing.assert_allclose(run.x, runs[0].x, rtol=0, atol=1e-10)
    for m, method in enumerate(methods):
        looped = solve_with_variant(problem, sampling, method, record=record, trial=1, seed=5)
        for run in runs:
            np.testing.assert_allclose(run.x[m, 1], looped.x[0, 0], rtol=0, atol=1e-10)
            np.testing.assert_allclose(run.gap[m, 1], looped.gap[0, 0], rtol=1e-9, atol=1e-10)
            assert run.farthest[m, 1] == pytest.approx(looped.farthest[0, 0])


@pytest.mark.parametrize("name", ["least-squares", "ridge", "logistic", "symmetric"])
def test_linear_models_give_the_iterates_of_the_registered_rules(name):
    problem = build(name)
    assert_paths_agree(problem, "uniform", methods_for(problem, "uniform", PLAIN + UNIFIED), compiled=(True, False))


@pytest.mark.parametrize("sampling", ["importance", "importance-unweighted"])
@pytest.mark.parametrize("name", ["symmetric", "logistic"])
def test_importance_sampled_forms_give_the_iterates_of_the_registered_rules(name, sampling):
    problem = build(name)
    assert_paths_agree(problem, sampling, methods_for(problem, sampling, IMPORTANT), compiled=(True, False))


@pytest.mark.parametrize(
    ("name", "sampling"),
    [
        ("ridge", "nice"),
        ("ridge", "full"),
        ("logistic", "partition"),
        ("quadratics", "uniform"),
        ("quadratics", "nice"),
        ("sines", "any-p"),
        ("two-layer", "uniform"),
        ("two-layer", "full"),
        ("deep-linear", "partition"),
        ("diabetes", "nice"),
    ],
)
def test_other_problems_and_samplings_give_the_iterates_of_the_registered_rules(name, sampling):
    problem = build(name)
    rules = [("sgd", None), ("sam", None), ("unified_sam", "1/t")]
    assert_paths_agree(problem, sampling, methods_for(problem, sampling, rules))


@pytest.mark.parametrize("step", STEP_SIZES.names())
def test_every_step_size_gives_the_same_on_both_paths(step):
    problem = build("ridge")
    methods = methods_for(problem, "importance", [("unified_sam", 0.3), ("sgd", None)], step)
    sampling, record = make_sampling("importance", problem), record_grid(100, 5)
    batched = solve(problem, sampling, methods, record=record)
    for m, method in enumerate(methods):
        looped = solve_with_variant(problem, sampling, method, record=record)
        np.testing.assert_allclose(batched.x[m, 0], looped.x[0, 0], rtol=0, atol=1e-10)


def test_compiled_code_and_tensor_program_agree_over_many_steps():
    problem = build("published-importance")
    c = constants(problem, "importance", 3000)
    methods = [Method("unified_sam", "theorem-3.5", c, lam) for lam in (0.0, 0.5, 1.0)]
    sampling, record = make_sampling("importance", problem), record_grid(3000, 5)
    pair = [solve(problem, sampling, methods, record=record, trials=2, compiled=flag) for flag in (True, False)]
    np.testing.assert_allclose(pair[0].x, pair[1].x, rtol=0, atol=1e-10)


def test_every_plain_variant_of_the_registry_descends_on_a_theory_problem():
    problem = build("ridge")
    sampling = make_sampling("full", problem)
    c = Constants.of(problem, sampling, 40)
    tried, refused = [], []
    for info in list_variants():
        if not info.needs and info.sampler == "uniform":
            lam = 0.5 if "lam" in info.hyper and info.name == "unified_sam" else None
            method = Method(info.name, fixed(0.5 / problem.L, 0.05), c, lam)
            try:
                result = solve_with_variant(problem, sampling, method, record=record_grid(40, 4))
            except ConfigError:
                refused.append(info.name)
                continue
            assert result.gap[0, 0, -1] < 0.5 * result.gap[0, 0, 0], info.name
            tried.append(info.name)
    assert {"sgd", "sam", "usam", "unified_sam"} <= set(tried)
    assert refused == ["msam"]  # its perturbation is the base's momentum, and the theory has none


def test_trials_differ_methods_share_samples_and_seeds_repeat():
    problem = build("ridge")
    sampling = make_sampling("uniform", problem)
    methods = methods_for(problem, "uniform", [("usam", None), ("unified_sam", 0.0), ("sam", None)])
    first = solve(problem, sampling, methods, record=record_grid(50, 5), trials=3, seed=1)
    again = solve(problem, sampling, methods, record=record_grid(50, 5), trials=3, seed=1)
    np.testing.assert_array_equal(first.x, again.x)
    np.testing.assert_array_equal(first.x[0], first.x[1])
    assert np.abs(first.x[0, 0] - first.x[0, 1]).max() > 1e-3
    more = solve(problem, sampling, methods, record=record_grid(50, 5), trials=5, seed=1)
    np.testing.assert_allclose(more.x[:, :3], first.x, rtol=0, atol=1e-12)
    other = solve(problem, sampling, methods, record=record_grid(50, 5), trials=3, seed=2)
    assert np.abs(other.x - first.x).max() > 1e-3


@pytest.mark.parametrize("compiled", [True, False])
def test_the_recorded_steps_do_not_change_the_run(compiled):
    problem = build("ridge")
    sampling = make_sampling("uniform", problem)
    methods = methods_for(problem, "uniform", [("sam", None)])
    grids = [record_grid(60, count, log) for count, log in ((3, True), (30, False))]
    runs = [solve(problem, sampling, methods, record=grid, compiled=compiled) for grid in grids]
    np.testing.assert_array_equal(runs[0].x, runs[1].x)


@pytest.mark.parametrize("compiled", [True, False])
def test_memory_does_not_grow_with_the_number_of_steps(compiled, monkeypatch):
    monkeypatch.setattr(batched, "BLOCK", 200)  # short blocks, so that a short run shows the effect
    problem = build("ridge")
    sampling = make_sampling("uniform", problem)
    methods = methods_for(problem, "uniform", [("sam", None), ("usam", None)])

    def peak(steps: int) -> int:
        tracemalloc.start()
        solve(problem, sampling, methods, record=np.array([0, steps]), compiled=compiled)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak(10)  # compile first
    assert any(peak(4_000) < 1.2 * peak(400) for _ in range(3))  # other threads of the process allocate, too


@pytest.mark.parametrize(
    ("lam", "expected"),
    [(0.25, [0.25, 0.25, 0.25]), ("1/t", [1, 1 / 2, 1 / 3]), ("1-1/t", [0, 1 / 2, 2 / 3])],
)
def test_lam_schedules_count_steps_from_one(lam, expected):
    np.testing.assert_allclose(lam_values(lam, np.arange(3.0)), expected)


def test_impossible_runs_are_refused_with_the_reason():
    ridge, sines = build("ridge"), build("sines")
    uniform = make_sampling("uniform", ridge)
    c = constants(ridge, "uniform")
    record = np.array([0, 1])
    for method, message in [
        (Method("asam", fixed(0.1, 0.1), c), "does not know variant 'asam'"),
        (Method("is_sam", fixed(0.1, 0.1), c), "defined by importance sampling"),
        (Method("unified_sam", fixed(0.1, 0.1), c), "only 'unified_sam' takes"),
        (Method("sam", fixed(0.1, 0.1), c, 0.5), "only 'unified_sam' takes"),
        (Method("unified_sam", fixed(0.1, 0.1), c, 1.5), r"lam=1.5"),
        (Method("unified_sam", fixed(0.1, 0.1), c, "2/t"), "lam='2/t'"),
        (Method("sam", "theorem-3.3", c), "did you mean 'theorem-3"),
    ]:
        with pytest.raises(ConfigError, match=message):
            solve(ridge, uniform, [method], record=record)
    with pytest.raises(ConfigError, match="no compiled path"):
        solve(
            sines,
            make_sampling("uniform", sines),
            [Method("sam", fixed(0.1, 0.1), c)],
            record=record,
            compiled=True,
        )


def test_tensors_are_double_precision_throughout():
    problem = build("two-layer")
    method = methods_for(problem, "uniform", [("sam", None)])
    result = solve(problem, make_sampling("uniform", problem), method, record=record_grid(5, 2))
    assert result.x.dtype == np.float64
    assert problem.gradient(problem.x0[None]).dtype == torch.float64


def test_the_recorded_slope_is_the_norm_of_the_gradient():
    problem = build("sines")
    sampling, record = make_sampling("uniform", problem), np.array([0, 7])
    (method,) = methods_for(problem, "uniform", [("sam", None)])
    result = solve(problem, sampling, [method], record=record, trials=2)
    norms = problem.gradient(torch.from_numpy(result.x[0])).norm(dim=-1)
    np.testing.assert_allclose(result.slope[0, :, 1], norms, rtol=1e-12)
    looped = solve_with_variant(problem, sampling, method, record=record, trial=1)
    np.testing.assert_allclose(result.slope[0, 1], looped.slope[0, 0], rtol=1e-9)


def test_a_new_step_size_is_one_function():
    @STEP_SIZES.named("harmonic")
    def harmonic(c, t, lam):
        """One over t."""
        return 0.1 / (c.L * (t + 1)), np.full_like(t, 0.1 / c.L)

    assert STEP_SIZES.summaries()["harmonic"] == "One over t."
    problem = build("ridge")
    methods = methods_for(problem, "uniform", [("unified_sam", 0.3), ("sam", None)], "harmonic")
    assert_paths_agree(problem, "uniform", methods)
    with pytest.raises(ConfigError, match="already registered"):
        STEP_SIZES.named("harmonic")(harmonic)
