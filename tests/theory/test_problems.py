"""Every constant of every problem is checked against something that does not know how it was derived."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, minimize_scalar
from torch.autograd.functional import hessian

from sambench.benchmarks.theory.problems import (
    LinearModel,
    Problem,
    libsvm,
    list_problems,
    make_problem,
    matrices,
    nonconvex,
    published_importance,
)
from sambench.errors import ConfigError, DataError
from tests.theory.conftest import build, points_near

QUADRATIC = ["least-squares", "ridge", "symmetric", "quadratics", "diabetes", "published-importance"]
ROUNDING = 1 + 1e-9


def autograd(problem: Problem, x: torch.Tensor, index=None, weight=None) -> torch.Tensor:
    x = x.clone().requires_grad_()
    losses = problem.losses(x, index)
    total = losses.mean() if weight is None else (weight * losses).sum()
    return torch.autograd.grad(total, x)[0]


def some_components(problem: Problem, count: int) -> list[int]:
    return np.random.default_rng(0).permutation(problem.n)[:count].tolist()


def test_the_closed_gradient_is_that_of_the_losses(problem):
    rng = np.random.default_rng(0)
    x = points_near(problem, 5, seed=1)
    index = torch.from_numpy(rng.integers(problem.n, size=(5, 3)))
    weight = torch.from_numpy(rng.standard_normal((5, 3)))
    one_by_one = [autograd(problem, *row) for row in zip(x, index, weight, strict=True)]
    torch.testing.assert_close(problem.gradient(x, index, weight), torch.stack(one_by_one), rtol=1e-11, atol=1e-11)
    full = torch.stack([autograd(problem, row) for row in x])
    torch.testing.assert_close(problem.gradient(x), full, rtol=1e-11, atol=1e-11)
    mean = problem.component_gradients(x[0]).mean(0)
    torch.testing.assert_close(mean, full[0], rtol=1e-11, atol=1e-11)


def test_the_gradient_agrees_with_finite_differences(problem):
    x, step = points_near(problem, 1, seed=2)[0], 1e-6
    direction = torch.from_numpy(np.random.default_rng(3).standard_normal(problem.d))
    direction /= direction.norm()
    slope = float(problem.value(x + step * direction) - problem.value(x - step * direction)) / (2 * step)
    assert slope == pytest.approx(float(problem.gradient(x[None])[0] @ direction), rel=1e-5, abs=1e-7)


def test_losses_of_picked_components_and_of_many_points_agree(problem):
    x = points_near(problem, 4, seed=4)
    index = torch.from_numpy(np.random.default_rng(5).integers(problem.n, size=(4, 3)))
    torch.testing.assert_close(problem.losses(x, index), problem.losses(x).gather(1, index))
    torch.testing.assert_close(problem.value(x), torch.stack([problem.value(row) for row in x]))


def test_no_pair_of_points_violates_the_smoothness_constants(problem):
    x, y = points_near(problem, 400, seed=6), points_near(problem, 400, seed=7)
    short = points_near(problem, 400, seed=8)
    # Close pairs see the curvature, distant ones its average.
    y[:200] = x[:200] + 1e-3 * (short[:200] - x[:200])
    distance = (x - y).norm(dim=-1)
    change = problem.gradient(x) - problem.gradient(y)
    assert (change.norm(dim=-1) <= problem.L * distance * ROUNDING + 1e-9).all()
    one = torch.ones(400, 1, dtype=torch.float64)
    for i in some_components(problem, 6):
        index = torch.full((400, 1), i)
        change = problem.gradient(x, index, one) - problem.gradient(y, index, one)
        assert (change.norm(dim=-1) <= problem.L_i[i] * distance * ROUNDING + 1e-9).all()
    assert problem.L <= problem.L_avg * ROUNDING <= problem.L_max * ROUNDING**2


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
        # Beside the minimum both sides vanish, and rounding is all that is left of their ratio.
        if inside and gap > 1e-9:
            lowest = min(lowest, float(objective.detach().exp()))
    assert lowest >= problem.mu / ROUNDING


@pytest.mark.parametrize("name", QUADRATIC)
def test_constants_of_quadratics_are_the_ends_of_their_spectra(name):
    problem = build(name)
    x = problem.x0
    spectrum = torch.linalg.eigvalsh(hessian(problem.value, x))
    assert pytest.approx(float(spectrum[-1]), rel=1e-9) == problem.L
    assert problem.mu == pytest.approx(float(spectrum[spectrum > 1e-10].min()), rel=1e-7)
    component = torch.linalg.eigvalsh(hessian(lambda x: problem.losses(x)[0], x))
    assert float(problem.L_i[0]) == pytest.approx(float(component[-1]), rel=1e-9)


def test_the_minimum_is_attained_and_nothing_lies_below(problem):
    assert float(problem.gradient(problem.minimizer[None]).norm()) < 1e-12
    assert float(problem.value(problem.minimizer)) == pytest.approx(problem.minimum, abs=1e-14)
    assert abs(float(problem.gap(problem.minimizer))) < 1e-14
    assert (problem.minimizer - problem.x0).norm() < problem.radius
    x = points_near(problem, 2000, seed=12)
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


@pytest.mark.parametrize(("rows", "columns"), [(5, 5), (12, 5), (5, 12), (40, 3), (2, 2)])
@pytest.mark.parametrize("condition", [1.0, 10.0, 1000.0])
def test_the_condition_number_is_the_requested_one_for_any_shape(rows, columns, condition):
    matrix = matrices.with_condition(rows, columns, condition, np.random.default_rng(0))
    assert matrix.shape == (rows, columns)
    assert np.linalg.cond(matrix) == pytest.approx(condition, rel=1e-9)


@pytest.mark.parametrize("make", [matrices.with_spectrum, matrices.reflected])
def test_the_spectrum_is_the_prescribed_one(make):
    eigenvalues = np.array([0.1, 0.5, 2.0, 7.0])
    matrix = make(eigenvalues, np.random.default_rng(1))
    np.testing.assert_allclose(np.linalg.eigvalsh(matrix), eigenvalues, rtol=1e-12)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-14)
    assert np.abs(matrix - np.diag(np.diag(matrix))).max() > 0.01


@pytest.mark.parametrize("imbalance", [1.0, 3.0, 10.0])
def test_quadratics_have_the_requested_imbalance(imbalance):
    problem = make_problem("quadratics", imbalance=imbalance)
    assert problem.L_max / problem.L_avg == pytest.approx(imbalance, rel=1e-12)


def test_published_constants_are_the_printed_ones():
    """The numbers in the output cells of the authors' notebook, and what their code gives for f*."""
    problem = build("published-importance")
    assert (round(problem.mu, 6), round(problem.L, 6)) == (0.04, 1.03)
    assert (round(problem.L_avg, 4), round(problem.L_max, 4)) == (3.3016, 8.4140)
    assert problem.minimum == pytest.approx(0.32984175800823945, abs=1e-9)
    assert float(problem.value(problem.x0)) == pytest.approx(3.0883690403870374, abs=1e-11)
    problem = build("published-decreasing")
    assert (round(problem.mu, 6), round(problem.L, 6)) == (0.031, 0.13)
    assert (round(problem.L_avg, 3), round(problem.L_max, 3)) == (2.209, 3.117)
    problem = build("published-deterministic")
    assert (round(problem.mu, 9), round(problem.L, 9)) == (0.1, 10.0)


def test_published_construction_depends_on_its_seed():
    assert published_importance(1).problem.L_max != build("published-importance").L_max


def test_a_libsvm_file_becomes_a_problem(tmp_path):
    rng = np.random.default_rng(0)
    rows = [" ".join(f"{j + 1}:{v:.6f}" for j, v in enumerate(row)) for row in rng.standard_normal((12, 3))]
    labelled, measured = tmp_path / "two", tmp_path / "many"
    labelled.write_text("".join(f"{2 if i % 3 else 1} {row}\n" for i, row in enumerate(rows)))
    measured.write_text("".join(f"{0.5 * i} {row}\n" for i, row in enumerate(rows)))
    model = libsvm(labelled)
    assert (model.link, model.n, model.d, model.mu) == ("logistic", 12, 4, 1 / 12)
    assert libsvm(measured, regularization=0.5).regularization == 0.5
    assert libsvm(measured).link == "square"
    with pytest.raises(DataError, match="does not exist"):
        libsvm(tmp_path / "absent")
    (tmp_path / "broken").write_text("not a number\n")
    with pytest.raises(DataError, match="LIBSVM format"):
        libsvm(tmp_path / "broken")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_problem("rigde"), "did you mean 'ridge'"),
        (lambda: make_problem("quadratics", n=5, imbalance=5.0), "imbalance=5.0"),
        (lambda: LinearModel("l", np.eye(2), np.ones(2), "logistic"), "needs regularization > 0"),
        (lambda: LinearModel("l", np.eye(2), np.array([0.0, 1.0]), "logistic", 0.1), r"\+1 or -1"),
        (lambda: matrices.with_condition(4, 1, 10.0, np.random.default_rng(0)), "4 x 1"),
        (lambda: make_problem("two-layer", n=9, inputs=4), "9 samples and 4 inputs"),
    ],
)
def test_impossible_problems_are_refused_with_the_reason(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_every_problem_is_listed_with_a_line():
    listed = list_problems()
    assert {"least-squares", "ridge", "logistic", "symmetric", "quadratics", "sines"} <= set(listed)
    assert all(line.endswith(".") for line in listed.values())
