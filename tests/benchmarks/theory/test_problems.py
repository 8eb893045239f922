"""Values and gradients of every problem against autograd and finite differences; matrices, files and refusals."""

import numpy as np
import pytest
import torch

from sambench.benchmarks.theory.problems import LinearModel, list_problems, make_problem, matrices
from sambench.errors import ConfigError
from tests.benchmarks.theory.conftest import autograd, points_near


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
