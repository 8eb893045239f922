"""Edges: constant columns, one component, ill-conditioned rows, perturbed points beyond the ball, schedules of lam."""

import numpy as np
import pytest
import torch

from sambench.benchmarks.theory.any_method import run_method
from sambench.benchmarks.theory.experiments import guarantee, neighbourhood, nonconvex, rate
from sambench.benchmarks.theory.methods import make_method
from sambench.benchmarks.theory.problems import LinearModel, make_problem
from sambench.benchmarks.theory.problems.real import standardize
from sambench.benchmarks.theory.programs import LOOPED
from sambench.benchmarks.theory.sampling import make_sampling
from sambench.benchmarks.theory.sampling.subsets import Nice
from sambench.errors import ConfigError
from tests.benchmarks.theory.conftest import all_gradients, points_near


@pytest.mark.parametrize("n", [4, 37, 59])
@pytest.mark.parametrize("constant", [0.0, 0.1, 0.3, 0.5, 1.1, 1e9])
def test_a_constant_column_is_dropped_whatever_its_mean_is_rounded_to(constant, n):
    varying = np.random.default_rng(n).standard_normal((n, 1)) * max(1.0, constant)
    made = standardize(np.hstack([np.full((n, 1), constant), varying]))
    assert made.shape == (n, 2)
    np.testing.assert_allclose(made[:, 0], (varying - varying.mean())[:, 0] / varying.std(), rtol=1e-9)


@pytest.mark.parametrize("condition", [1e2, 1e5, 1e6])
def test_the_pl_constant_survives_an_ill_conditioned_matrix(condition):
    of = make_problem("least-squares", condition=condition)
    singular = np.linalg.svd(of.features.numpy(), compute_uv=False)
    assert singular[0] / singular[-1] == pytest.approx(condition, rel=1e-6)
    assert of.mu == pytest.approx(singular[-1] ** 2 / of.n, rel=1e-9)


def test_a_rank_that_is_not_full_is_no_small_constant():
    rows = np.random.default_rng(0).standard_normal((6, 2)) @ np.random.default_rng(1).standard_normal((2, 5))
    of = LinearModel("low rank", rows, np.zeros(6))
    assert of.mu == pytest.approx(np.linalg.svd(rows, compute_uv=False)[1] ** 2 / 6, rel=1e-9)


def test_a_component_without_features_is_constant():
    of = LinearModel("zero row", np.array([[0.0, 0.0], [1.0, 2.0]]), np.array([1.0, -1.0]), "logistic", 0.5)
    assert of.component_minima[0] == pytest.approx(np.log(2))
    assert np.isfinite(of.interpolation_gap)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_all_components_at_once_are_the_full_gradient(n):
    of = LinearModel("few", np.random.default_rng(n).standard_normal((n, 3)), np.ones(n), regularization=0.1)
    nice, full = Nice("nice", n, n), make_sampling("full", of)
    gradients = all_gradients(of, points_near(of, 3, 0))
    torch.testing.assert_close(nice.second_moment(gradients), full.second_moment(gradients))
    assert nice.residual(of) == full.residual(of)


@pytest.mark.parametrize("make", [lambda: make_problem("quadratics", n=1), lambda: make_problem("quadratics", d=1)])
def test_problems_that_cannot_be_are_refused(make):
    with pytest.raises(ConfigError, match=">= 2"):
        make()
    with pytest.raises(ConfigError, match="d >= 2"):
        make_problem("symmetric", d=1)


@pytest.mark.parametrize("program", ["", LOOPED])
def test_no_bound_is_drawn_where_perturbed_points_leave_the_ball(program):
    of = make_problem("deep-linear")
    drawn = make_sampling("full", of)
    for rho, covered in ((1e-3, True), (5.0, False)):
        method = make_method(of, drawn, "sam", "0.00001", 10, rho=rho)
        data = run_method(of, drawn, method, steps=10, trials=1, seed=0, program=program)
        assert data["bound"].notna().all() == covered


def test_a_guarantee_of_a_constant_lam_is_not_drawn_for_one_that_changes():
    data = nonconvex.measure(True, lam=[0.5, "1/t"])
    assert data.groupby("method")["bound"].apply(lambda b: b.isna().all()).to_dict() == {
        "λ = 0.5": False,
        "λ = 1/t": True,
    }
    data = neighbourhood.measure(True, lam=[0.0, "1/t"], trials=1)
    bounds = {name: part["bound"].isna().all() for name, part in data.groupby("method")}
    assert bounds == {"λ = 0": False, "λ = 1/t": True}
    assert "or λ changes" in neighbourhood.findings(data)[-1]


def test_no_speed_is_guaranteed_by_steps_that_decrease_or_do_not_contract():
    small = {"quick": True, "problem": make_problem("ridge"), "sampling": "uniform", "lam": [0.5], "trials": 1}
    assert guarantee.measure(**small, steps=400)["factor"].between(0, 1, inclusive="neither").all()
    assert guarantee.measure(**small, step_size="theorem-3.5", steps=4000)["factor"].isna().all()
    assert guarantee.measure(**small, rho=3.0, steps=400)["factor"].isna().all()


def test_a_theorem_is_named_by_its_own_steps_alone():
    small = {"quick": True, "problem": make_problem("ridge"), "sampling": "uniform", "lam": [0.0, 1.0], "steps": 3000}
    own, other = (
        " ".join(rate.findings(rate.measure(**small, trials=2, step_size=name)))
        for name in ("theorem-3.5", "sgd-decreasing")
    )
    assert "1/(2t+1)" not in other
    assert "theorem's" not in other
    assert "inside it at every recorded step" in own
