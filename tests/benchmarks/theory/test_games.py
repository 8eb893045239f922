"""Games and composite problems: constants by brute force, one step by enumeration, closed forms, other solvers."""

from functools import cache

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear, minimize

from sambench.benchmarks.theory.experiments.games import METHODS, guaranteed
from sambench.benchmarks.theory.games import extragradient, hamiltonian, sgda
from sambench.benchmarks.theory.games.affine import AffineGame, Draw, Draws, Method, play
from sambench.benchmarks.theory.games.bilinear import bilinear
from sambench.benchmarks.theory.games.composite import box, lasso
from sambench.benchmarks.theory.games.past_extragradient import PAST
from sambench.benchmarks.theory.games.quadratic import quadratic
from sambench.benchmarks.theory.sampling import make_sampling

GAMES = {"bilinear": cache(bilinear), "quadratic": cache(quadratic)}
SAMPLINGS = ["uniform", "importance", "any-p", "nice", "partition", "full"]
RNG = np.random.default_rng(0)


@pytest.fixture(params=GAMES)
def game(request) -> AffineGame:
    return GAMES[request.param]()


def points(game, count=40):
    return game.solution + RNG.standard_normal((count, len(game.z0))) * 10 ** RNG.uniform(-2, 1, (count, 1))


def test_the_solution_is_a_zero_and_the_constants_hold_at_random_points(game):
    np.testing.assert_allclose(game.matrix @ game.solution + game.offsets.mean(0), 0, atol=1e-12)
    away = points(game, 2_000) - game.solution
    field, squared = away @ game.matrix.T, np.square(away).sum(-1)
    assert ((field * away).sum(-1) >= (game.mu - 1e-12) * squared).all()
    assert (np.linalg.norm(field, axis=1) <= game.L * np.sqrt(squared) * (1 + 1e-12)).all()
    assert (np.linalg.norm(field, axis=1) >= game.kappa * np.sqrt(squared) * (1 - 1e-12)).all()


def test_bilinear_and_quadratic_games_have_the_constants_that_they_were_asked_for():
    one = bilinear()
    assert (one.mu, one.kappa, one.L) == pytest.approx((0.0, 1.0, 2.0), abs=1e-9)
    np.testing.assert_allclose(one.solution, 0, atol=1e-12)
    two = quadratic(coupling=0.0)
    assert float(two.L_i.max() / two.L_i.mean()) == pytest.approx(3.0)
    assert two.mu >= 0.25 * 0.7, "every component has a quarter of its scale"


@pytest.mark.parametrize("name", SAMPLINGS)
def test_constants_of_a_sampling_are_those_of_the_enumeration(game, name):
    sampling = make_sampling(name, game)
    draws = Draws.of(game, sampling)
    np.testing.assert_allclose(np.tensordot(draws.probability, draws.matrix, 1), game.matrix, atol=1e-12)
    square = np.einsum("k,kij,kil->jl", draws.probability, draws.matrix, draws.matrix)
    delta = extragradient.variation(game, sampling)
    ell = sgda.cocoercivity(game, sampling) if game.mu > 1e-12 else np.inf
    smooth, _ = hamiltonian.pair_constants(game, sampling)
    worst = np.zeros(2)
    for u in points(game, 300) - game.solution:
        second = u @ square @ u
        assert second - np.square(game.matrix @ u).sum() <= delta * (u @ u) * (1 + 1e-9) + 1e-12
        worst = np.maximum(worst, [second / (ell * (u @ game.matrix @ u)) if np.isfinite(ell) else 0.0, 0.0])
    assert worst[0] <= 1 + 1e-9
    assert smooth > 0


def step_by_enumeration(label, game, draws, z, gamma):
    """E||z+ - z*||^2 over every draw, or every pair of draws."""
    total = 0.0
    operators = [(p, Draw(m[None], c[None])) for p, m, c in zip(*draws, strict=True)]
    pairs = [((p, g), (p, g)) for p, g in operators]
    if label in ("extragradient, independent", "Hamiltonian"):
        pairs = [(one, other) for one in operators for other in operators]
    for (p, first), (q, second) in pairs:
        made = iter([first, second])
        advance = METHODS[label].start(lambda made=made: next(made), gamma)
        probability = p if first is second and len(pairs) == len(operators) else p * q
        total += probability * np.square(advance(z[None])[0] - game.solution).sum()
    return total


@pytest.mark.parametrize("label", [label for label in METHODS if label != "past extragradient"])
@pytest.mark.parametrize("name", ["uniform", "importance", "partition", "full"])
def test_the_guarantee_of_one_step_holds_by_enumeration(game, name, label):
    sampling = make_sampling(name, game)
    draws, method = Draws.of(game, sampling), METHODS[label]
    for share in (1.0, 0.3):
        gamma = share * method.step_size(game, sampling)
        (factor,), (noise,) = method.guarantee(game, sampling, gamma)
        if np.isfinite(factor):
            for z in points(game, 8):
                start = np.square(z - game.solution).sum()
                assert step_by_enumeration(label, game, draws, z, gamma) <= (factor * start + noise) * (1 + 1e-9)
    assert np.isfinite(factor) or game.mu < 1e-12


@pytest.mark.parametrize("name", ["uniform", "importance", "full"])
def test_past_extragradient_keeps_to_its_guarantee(name):
    game = GAMES["quadratic"]()
    sampling = make_sampling(name, game)
    gamma, record = PAST.step_size(game, sampling), np.arange(0, 400, 20)
    away = play(game, sampling, PAST, gamma, record, trials=200, seed=1)
    data = guaranteed(away, record, PAST.guarantee(game, sampling, gamma), PAST.head)
    mean = data.groupby("step")[["gap", "bound"]].mean()
    assert (mean["gap"] <= mean["bound"]).all()


def test_deterministic_steps_on_a_rotation_have_their_closed_forms():
    """f = b x y: descent-ascent grows by 1 + (gamma b)^2, extragradient changes by 1 - (gamma b)^2 + (gamma b)^4."""
    b, gamma = 2.0, 0.1
    game = AffineGame("xy", np.array([[[0.0, b], [-b, 0.0]]]), np.zeros((1, 2)), np.array([1.0, 2.0]))
    sampling, record, small = make_sampling("full", game), np.array([0, 1]), (gamma * b) ** 2
    closed = {
        "SGDA": 1 + small,
        "extragradient, same sample": 1 - small + small**2,
        "extragradient, independent": 1 - small + small**2,
        "past extragradient": 1 + small,
        "Hamiltonian": (1 - gamma * b**2) ** 2,
    }
    for label, ratio in closed.items():
        away = play(game, sampling, METHODS[label], gamma, record, trials=1, seed=0)
        assert away[0, 1] / away[0, 0] == pytest.approx(ratio), label


def test_where_no_theorem_holds_there_is_no_guarantee():
    game = GAMES["bilinear"]()
    sampling = make_sampling("uniform", game)
    for label, method in METHODS.items():
        for gamma in (10.0, method.step_size(game, sampling)):
            valid = np.isfinite(method.guarantee(game, sampling, gamma).factor[0])
            assert valid == (gamma < 10 and label in ("extragradient, same sample", "Hamiltonian")), label


def test_all_methods_share_the_samples_of_a_trial_whatever_the_record():
    game = GAMES["quadratic"]()
    sampling = make_sampling("nice", game)
    plain = Method(sgda.start, sgda.step_size, sgda.guarantee)
    whole = play(game, sampling, plain, 0.1, np.array([0, 1500]), trials=2, seed=3)
    parts = play(game, sampling, plain, 0.1, np.array([0, 7, 1100, 1500]), trials=2, seed=3)
    np.testing.assert_array_equal(whole[:, -1], parts[:, -1])


def test_the_lasso_and_the_box_have_the_minimizers_of_other_solvers():
    problem = lasso()
    hessian, pull = problem.hessians.mean(0), problem.pulls.mean(0)

    def split(w):  # x = positive - negative part
        x = w[:10] - w[10:]
        slope = hessian @ x - pull
        return x @ hessian @ x / 2 - pull @ x + 0.02 * w.sum(), np.concatenate((slope, -slope)) + 0.02

    found = minimize(split, np.zeros(20), jac=True, bounds=[(0, None)] * 20, tol=1e-16, options={"ftol": 1e-18}).x
    np.testing.assert_allclose(problem.minimizer, found[:10] - found[10:], atol=1e-6)
    assert 0 < (problem.minimizer == 0).sum() < 10, "some coordinates are exactly zero, some not"
    other = box()
    root = np.linalg.cholesky(other.hessians.mean(0)).T
    found = lsq_linear(root, np.linalg.solve(root.T, other.pulls.mean(0)), bounds=(-0.1, 0.1), tol=1e-14).x
    np.testing.assert_allclose(other.minimizer, found, atol=1e-6)
    assert 0 < (np.abs(other.minimizer) == 0.1).sum() < 10


@pytest.mark.parametrize("name", ["uniform", "importance", "any-p", "partition", "full"])
@pytest.mark.parametrize("make", [lasso, box])
def test_the_guarantee_of_a_proximal_step_holds_by_enumeration(make, name):
    problem = make()
    sampling = make_sampling(name, problem.smooth)
    gamma = problem.step_size(sampling)
    (factor,), (noise,) = problem.guarantee(sampling, gamma)
    for x in problem.minimizer + RNG.standard_normal((20, 10)) * 10 ** RNG.uniform(-2, 1, (20, 1)):
        gradients = problem.smooth.component_gradients(torch.from_numpy(x)).numpy()
        after = sum(
            p * np.square(problem.prox(x - gamma * (v @ gradients) / len(v), gamma) - problem.minimizer).sum()
            for p, v in sampling.support()
        )
        assert after <= factor * np.square(x - problem.minimizer).sum() + noise + 1e-12
    assert np.isnan(problem.guarantee(sampling, 3 * gamma).factor[0])


def test_proximal_sgd_with_every_component_is_the_proximal_gradient_method():
    problem = lasso()
    away = problem.solve(make_sampling("full", problem.smooth), 1 / problem.smooth.L, np.array([0, 500]), 1, 0)
    assert away[0, 1] < 1e-25
