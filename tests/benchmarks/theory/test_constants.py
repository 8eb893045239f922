"""Every constant of every problem is checked by an independent computation.

========================  ==============================================================================================
constant                  tests
========================  ==============================================================================================
mu                        4,000 points; an adversary; spectra of quadratics; the limit at infinity of logistic models;
                          an independent minimization for the sines
L, L_i, L_max, L_avg      400 pairs for f and 60 for every f_i; Hessians at several points; attained where the formula
                          says that it is
f*, x*, f_i^inf, sigma*   stationarity; 2,000 points; a minimizer of every kind from several starts; autograd
========================  ==============================================================================================
"""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, minimize_scalar
from torch.autograd.functional import hessian

from sambench.benchmarks.theory.problems import Problem, nonconvex
from tests.benchmarks.theory.conftest import all_gradients, autograd, build, points_near

QUADRATIC = [
    "least-squares",
    "ridge",
    "symmetric",
    "quadratics",
    "diabetes",
    "published-importance",
    "published-decreasing",
    "published-deterministic",
]
LOGISTIC = ["logistic", "published-logistic", "breast-cancer"]
ROUNDING = 1 + 1e-9


def some_components(problem: Problem, count: int) -> list[int]:
    return np.random.default_rng(0).permutation(problem.n)[:count].tolist()


def test_no_pair_of_points_violates_the_smoothness_constants(problem):
    x, y = points_near(problem, 400, seed=6), points_near(problem, 400, seed=7)
    short = points_near(problem, 400, seed=8)
    # Close pairs see the curvature, distant ones its average.
    y[:200] = x[:200] + 1e-3 * (short[:200] - x[:200])
    distance = (x - y).norm(dim=-1)
    change = problem.gradient(x) - problem.gradient(y)
    assert (change.norm(dim=-1) <= problem.L * distance * ROUNDING + 1e-9).all()
    some = slice(170, 230)  # close and distant pairs, for every component
    change = all_gradients(problem, x[some]) - all_gradients(problem, y[some])
    assert (change.norm(dim=-1) <= problem.L_i * distance[some, None] * ROUNDING + 1e-9).all()
    assert (problem.L_max, problem.L_avg) == pytest.approx((max(problem.L_i.tolist()), np.mean(problem.L_i.numpy())))
    assert problem.L <= problem.L_avg * ROUNDING <= problem.L_max * ROUNDING**2


def test_no_hessian_is_larger_than_the_smoothness_constants(problem):
    def norm(function, x):
        return float(torch.linalg.eigvalsh(hessian(function, x)).abs().max())

    largest = int(problem.L_i.argmax())
    for x in points_near(problem, 3, seed=9):
        assert norm(problem.value, x) <= problem.L * ROUNDING
        for i in (largest, *some_components(problem, 2)):
            assert norm(lambda x, i=i: problem.losses(x)[i], x) <= problem.L_i[i] * ROUNDING


@pytest.mark.parametrize("name", [*QUADRATIC, *LOGISTIC, "sines"])
def test_the_smoothness_constants_are_attained(name):
    """At the origin, where the logistic link and the sines bend most; the networks' are bounds on a ball."""
    problem = build(name)
    origin = torch.zeros(problem.d, dtype=torch.float64)
    assert float(torch.linalg.eigvalsh(hessian(problem.value, origin))[-1]) == pytest.approx(problem.L, rel=1e-9)
    for i in (int(problem.L_i.argmax()), *some_components(problem, 3)):
        spectrum = torch.linalg.eigvalsh(hessian(lambda x, i=i: problem.losses(x)[i], origin))
        assert float(spectrum[-1]) == pytest.approx(float(problem.L_i[i]), rel=1e-9)


def test_no_point_violates_the_pl_inequality(problem):
    x = points_near(problem, 4000, seed=10)
    squared, gap = problem.gradient(x).square().sum(-1), problem.gap(x)
    assert (squared * ROUNDING + 1e-12 >= 2 * problem.mu * gap).all()
    assert problem.mu <= problem.L


def test_an_adversary_does_not_violate_the_pl_inequality(problem):
    """Descend on log(||grad f||^2 / (f - f*)) from the worst of many points: a search for violations, not a sample."""
    x = points_near(problem, 500, seed=11)
    ratio = problem.gradient(x).square().sum(-1) / (2 * problem.gap(x))
    worst = x[ratio.argmin()].clone().requires_grad_()
    optimizer = torch.optim.Adam([worst], lr=1e-2)
    lowest = float(ratio.min())
    for _ in range(60):
        optimizer.zero_grad()
        gap = problem.gap(worst)
        objective = problem.gradient(worst[None]).square().sum().log() - (2 * gap).log()
        objective.backward()
        optimizer.step()
        inside = (worst - problem.x0).norm() <= problem.radius
        # Near the minimum both sides vanish, and their ratio is rounding only.
        if inside and gap > 1e-9:
            lowest = min(lowest, float(objective.detach().exp()))
    assert lowest >= problem.mu / ROUNDING


@pytest.mark.parametrize("name", QUADRATIC)
def test_the_pl_constant_of_quadratics_is_the_smallest_eigenvalue_that_is_not_zero(name):
    problem = build(name)
    spectrum = torch.linalg.eigvalsh(hessian(problem.value, problem.x0))
    assert problem.mu == pytest.approx(float(spectrum[spectrum > 1e-10].min()), rel=1e-7)


@pytest.mark.parametrize("name", LOGISTIC)
def test_no_larger_pl_constant_holds_for_logistic_models(name):
    problem = build(name)
    far = 1e6 * torch.from_numpy(np.random.default_rng(13).standard_normal((20, problem.d)))
    ratio = problem.gradient(far).square().sum(-1) / (2 * problem.gap(far))
    assert float(ratio.min()) == pytest.approx(problem.mu, rel=1e-2)


def test_the_minimum_is_attained_and_no_value_is_lower(problem):
    assert float(problem.gradient(problem.minimizer[None]).norm()) < 1e-12
    assert float(problem.value(problem.minimizer)) == pytest.approx(problem.minimum, abs=1e-14)
    assert abs(float(problem.gap(problem.minimizer))) < 1e-14
    assert (problem.minimizer - problem.x0).norm() < problem.radius
    x = points_near(problem, 2000, seed=12)
    assert (problem.losses(x) >= problem.component_minima - 1e-12).all()
    assert (problem.value(x) >= problem.minimum - 1e-12).all()
    torch.testing.assert_close(problem.gap(x), problem.value(x) - problem.minimum, rtol=1e-9, atol=1e-12)


def test_the_component_minima_are_reached_and_not_passed(problem):
    def loss(x, i):
        x, index = torch.from_numpy(x), torch.tensor([i])
        return float(problem.losses(x, index)), autograd(problem, x, index, torch.ones(1)).numpy()

    options = {"ftol": 1e-15, "gtol": 1e-10}
    for i in some_components(problem, 4):
        starts = [problem.minimizer, *points_near(problem, 2, seed=14)]
        lowest = min(
            minimize(loss, start.numpy(), args=(i,), jac=True, method="L-BFGS-B", options=options).fun
            for start in starts
        )
        assert lowest >= float(problem.component_minima[i]) - 1e-9
        assert lowest == pytest.approx(float(problem.component_minima[i]), abs=1e-6)
    assert problem.interpolation_gap >= -1e-14


def test_sigma_star_is_the_spread_of_the_gradients_at_the_minimizer(problem):
    gradients = torch.stack(
        [autograd(problem, problem.minimizer, torch.tensor([i]), torch.ones(1)) for i in range(problem.n)]
    )
    assert problem.sigma_star == pytest.approx(float(gradients.square().sum(-1).mean().sqrt()), rel=1e-9, abs=1e-11)
    interpolates = problem.interpolation_gap < 1e-12
    assert (problem.sigma_star < 1e-10) == interpolates


def test_the_sine_bowl_has_the_pl_constant_of_an_independent_minimization():
    def ratio(u):
        return (2 * u + 3 * np.sin(2 * u)) ** 2 / (2 * (u**2 + 3 * np.sin(u) ** 2))

    found = min(
        float(minimize_scalar(ratio, bounds=(low, low + 0.5), method="bounded", options={"xatol": 1e-12}).fun)
        for low in np.arange(0.01, 12, 0.5)
    )
    assert nonconvex.sine_pl_constant() == pytest.approx(found, rel=1e-8)
    problem = build("sines")
    line = torch.linspace(-4, 4, 801, dtype=torch.float64)
    curvature = np.gradient(
        problem.value(torch.stack([line] + [torch.zeros(801, dtype=torch.float64)] * 3, -1)),
        0.01,
        edge_order=2,
    )
    assert np.gradient(curvature, 0.01).min() < -3, "not convex"
