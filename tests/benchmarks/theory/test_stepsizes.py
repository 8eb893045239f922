"""Step sizes against printed numbers and closed forms; the guarantee against enumeration, one step at a time."""

import numpy as np
import pytest
import torch

from sambench.benchmarks.theory.bounds import Recursion, curve, recursion, stationarity
from sambench.benchmarks.theory.problems import list_problems
from sambench.benchmarks.theory.sampling import make_sampling
from sambench.benchmarks.theory.step_sizes import STEP_SIZES, Constants, fixed
from sambench.errors import ConfigError
from sambench.variants import TINY
from tests.benchmarks.theory.conftest import build, points_near

ONE = np.zeros(1)
UNBIASED = ["uniform", "importance", "any-p", "nice", "partition", "full"]
PRINTED_RHO = {0.0: 0.0125, 0.1: 0.01543209876543232, 0.2: 0.01953125, 0.3: 0.025, 0.5: 0.025, 1.0: 0.025}


@pytest.mark.parametrize(("lam", "rho"), PRINTED_RHO.items())
def test_theorem_3_2_gives_the_numbers_that_the_authors_notebook_prints(lam, rho):
    c = Constants.of(build("published-deterministic"), make_sampling("full", build("published-deterministic")), 10_000)
    gamma, own = STEP_SIZES.get("theorem-3.2")(c, ONE, np.full(1, lam))
    assert (float(gamma[0]), float(own[0])) == pytest.approx((0.0125, rho), rel=1e-9)


def test_closed_forms_at_one_set_of_constants():
    c = Constants(mu=0.5, L=2.0, A=3.0, B=0.5, C=0.1, horizon=16)
    t = np.array([0.0, 1.0, 100.0])
    lam = np.full(3, 0.5)

    def of(name):
        return STEP_SIZES.get(name)(c, t, lam)

    growth = 3.25
    gamma, rho = of("theorem-3.2")
    assert gamma.tolist() == pytest.approx([0.5 / (16 * growth)] * 3)
    assert rho.tolist() == pytest.approx([0.5 / (16 * growth * 0.25)] * 3)
    gamma, rho = of("theorem-3.5")
    assert gamma[2] == pytest.approx(0.5 / (16 * growth))
    assert rho[2] == pytest.approx(1 / 201)
    width = 0.5 + 2 * growth * 0.25
    gamma, rho = of("theorem-3.2-older")
    assert rho[0] == pytest.approx(0.5 / (4 * width))
    assert gamma[0] == pytest.approx(0.25 / (4 * growth * (2 * (2 * rho[0] * 0.5) ** 2 + 1)))
    gamma, rho = of("af-nonconvex")
    assert (gamma[0], rho[0]) == pytest.approx((1 / 8, 1 / 4))
    gamma, rho = of("af-pl")
    assert gamma.tolist() == pytest.approx([0.25, 0.25, 804 / (1.5 * 101**2)])
    assert rho.tolist() == pytest.approx(np.sqrt(gamma / 2).tolist())
    assert of("sgd-half")[0].tolist() == [0.25] * 3
    assert of("sgd-constant")[0].tolist() == pytest.approx([0.5 / (2 * 4.5)] * 3)
    assert of("sgd-decreasing")[0].tolist() == pytest.approx([0.25, 0.25, 201 / (101**2 * 0.5)])


def test_sam_has_no_second_limit_on_rho():
    c = Constants(mu=1e-3, L=2.0, A=3.0, B=0.0, C=0.0, horizon=1)
    assert STEP_SIZES.get("theorem-3.2")(c, ONE, np.ones(1))[1][0] == 1 / 8


@pytest.mark.parametrize("name", STEP_SIZES.names())
def test_every_step_size_is_positive_finite_and_shaped_like_t(name):
    problem = build("ridge")
    for sampling in UNBIASED:
        c = Constants.of(problem, make_sampling(sampling, problem), 1000)
        for lam in (0.0, 0.4, 1.0):
            t = np.arange(50.0)
            gamma, rho = STEP_SIZES.get(name)(c, t, np.full(50, lam))
            assert gamma.shape == rho.shape == (50,)
            assert np.isfinite(gamma).all()
            assert (gamma > 0).all()
            assert (rho == 0).all() if name.startswith("sgd") else (rho > 0).all()


@pytest.mark.parametrize("name", list_problems())
@pytest.mark.parametrize("sampling", UNBIASED)
def test_theorem_3_2_meets_its_own_guarantee(name, sampling):
    """Its steps satisfy the condition, and contract at least by 1 - gamma mu / 2."""
    problem = build(name)
    s = make_sampling(sampling, problem)
    for lam in (0.0, 0.1, 0.5, 0.9, 1.0):
        values = np.full(1, lam)
        gamma, rho = STEP_SIZES.get("theorem-3.2")(Constants.of(problem, s, 1), ONE, values)
        factor, noise = recursion(problem, s, gamma, rho, values)
        assert factor[0] <= 1 - gamma[0] * problem.mu / 2
        assert noise[0] >= 0


@pytest.mark.parametrize("name", list_problems())
@pytest.mark.parametrize("sampling", UNBIASED)
def test_the_older_form_converges_linearly_too(name, sampling):
    """Half the largest rho leaves half of mu for gamma; the derived recursion contracts at these steps as well."""
    problem = build(name)
    s = make_sampling(sampling, problem)
    for lam in (0.0, 0.1, 0.5, 0.9, 1.0):
        values = np.full(1, lam)
        gamma, rho = STEP_SIZES.get("theorem-3.2-older")(Constants.of(problem, s, 1), ONE, values)
        factor, noise = recursion(problem, s, gamma, rho, values)
        assert 0 <= factor[0] < 1
        assert noise[0] >= 0


def expected_gap_after_a_step(problem, sampling, x, gamma, rho, lam):
    """E f(x+) - f* by enumerating the sampling."""
    total = torch.zeros(len(x), dtype=torch.float64)
    index = torch.arange(problem.n).expand(len(x), -1)
    for probability, v in sampling.support():
        weight = torch.from_numpy(v / problem.n).expand(len(x), -1)
        g = problem.gradient(x, index, weight)
        e = rho * (1 - lam + lam / (g.norm(dim=-1, keepdim=True) + TINY)) * g
        total += probability * problem.gap(x - gamma * problem.gradient(x + e, index, weight))
    return total


@pytest.mark.parametrize("sampling", ["uniform", "importance", "any-p", "partition", "full"])
@pytest.mark.parametrize("name", ["least-squares", "ridge", "logistic", "quadratics", "sines"])
def test_the_guarantee_of_one_step_holds_by_enumeration(name, sampling):
    problem = build(name)
    s = make_sampling(sampling, problem)
    x = points_near(problem, 60, seed=30)
    rng = np.random.default_rng(31)
    c = Constants.of(problem, s, 1)
    checked = 0
    for lam in (0.0, 0.3, 0.8, 1.0):
        for _ in range(4):
            gamma, rho = 10 ** rng.uniform(-3, 0, 2) / c.L
            step = recursion(problem, s, *(np.full(1, value) for value in (gamma, rho, lam)))
            if np.isfinite(step.factor[0]):
                after = expected_gap_after_a_step(problem, s, x, gamma, rho, lam)
                bound = step.factor[0] * problem.gap(x) + step.noise[0]
                assert (after <= bound * (1 + 1e-9) + 1e-12).all()
                checked += 1
    assert checked >= 8


def test_the_guarantee_is_refused_where_its_condition_fails():
    problem = build("ridge")
    step = recursion(problem, make_sampling("full", problem), *(np.full(1, v) for v in (10 / problem.L, 0.0, 0.0)))
    assert np.isnan(step.factor[0])


@pytest.mark.parametrize("sampling", UNBIASED)
@pytest.mark.parametrize("lam", [0.0, 0.4, 1.0])
def test_gradients_equal_to_the_guarantee_reduce_the_gap_to_zero(sampling, lam):
    """Written out step by step: delta' = a delta - eta G + N ends at zero after T steps, so no larger G is possible."""
    problem = build("sines")
    s = make_sampling(sampling, problem)
    a, b, c = s.residual(problem)
    gamma, rho, horizon = 0.01 / problem.L, 0.05 / problem.L, 70
    ascent = (2 if lam == 0.4 else 1) * s.smoothness(problem) ** 2 * (gamma / 2 + problem.L * gamma**2) * rho**2
    q = problem.L * gamma**2 + ascent * (1 - lam) ** 2
    arrays = (np.full(1, value) for value in (gamma, rho, lam, horizon))
    least = stationarity(problem, s, *arrays)[0]
    start = delta = float(problem.gap(problem.x0))
    for _ in range(horizon):
        delta = (1 + 2 * q * a) * delta - (gamma / 2 - q * b) * least + q * c + ascent * lam**2
    assert abs(delta) < 1e-9 * start


def test_no_gradient_guarantee_where_the_condition_fails():
    problem = build("sines")
    arrays = (np.full(1, value) for value in (1.0, 0.0, 0.0, 10.0))
    assert np.isnan(stationarity(problem, make_sampling("full", problem), *arrays)[0])


def test_constant_steps_settle_at_the_neighbourhood():
    step = Recursion(np.full(2000, 0.99), np.full(2000, 0.03))
    assert curve(50.0, step)[-1] == pytest.approx(3.0, rel=1e-6)
    assert step.neighbourhood()[0] == pytest.approx(3.0)
    assert Recursion(np.array([1.0]), np.array([1.0])).neighbourhood()[0] == np.inf


def test_names_and_fixed_steps():
    assert [float(v[0]) for v in fixed(0.1, 0.2)(None, ONE, ONE)] == [0.1, 0.2]
    assert all(line for line in STEP_SIZES.summaries().values())
    with pytest.raises(ConfigError, match="did you mean 'af-pl'"):
        STEP_SIZES.get("af-lp")
