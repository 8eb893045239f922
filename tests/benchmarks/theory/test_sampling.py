"""Unbiasedness by enumeration, second moments against enumeration, and the Expected Residual condition everywhere."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from sambench.benchmarks.theory.problems import make_problem
from sambench.benchmarks.theory.sampling import (
    SAMPLINGS,
    Full,
    Nice,
    Partition,
    SingleElement,
    Unweighted,
    make_sampling,
)
from sambench.errors import ConfigError
from tests.benchmarks.theory.conftest import all_gradients, points_near

UNBIASED = [name for name in SAMPLINGS.names() if name != "importance-unweighted"]
POINTS = 2500
SMALL = [
    SingleElement("uniform", np.ones(6)),
    SingleElement("any", [0.1, 0.3, 0.05, 0.2, 0.15, 0.2]),
    Nice("nice", 6, 1),
    Nice("nice", 6, 3),
    Nice("nice", 6, 6),
    Full("full", 6),
    Partition("partition", [[0, 3], [1], [2, 4, 5]], [0.2, 0.5, 0.3]),
]
IDS = [f"{s.name}-{s.width}" for s in SMALL]


@pytest.mark.parametrize("sampling", SMALL, ids=IDS)
def test_unbiased_by_enumeration(sampling):
    outcomes = list(sampling.support())
    assert sum(p for p, _ in outcomes) == pytest.approx(1)
    np.testing.assert_allclose(sum(p * v for p, v in outcomes), np.ones(6), rtol=1e-12)


@pytest.mark.parametrize("sampling", SMALL, ids=IDS)
def test_second_moment_and_variance_are_those_of_the_enumeration(sampling):
    gradients = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 6, 4)))
    outcomes = [(p, torch.from_numpy(v)) for p, v in sampling.support()]
    moment = sum(p * (v[:, None] * gradients).mean(1).square().sum(-1) for p, v in outcomes)
    torch.testing.assert_close(sampling.second_moment(gradients), moment)
    torch.testing.assert_close(
        sampling.variance(gradients), moment - gradients.mean(1).square().sum(-1), atol=1e-12, rtol=1e-9
    )


@pytest.mark.parametrize("sampling", SMALL, ids=IDS)
def test_draws_follow_the_enumerated_distribution(sampling):
    draws = 4000
    index, factor = sampling.draw(np.random.default_rng(1), draws)
    assert index.shape == factor.shape == (draws, sampling.width)
    v = np.zeros((draws, 6))
    np.add.at(v, (np.arange(draws)[:, None], index), 6 * factor)
    outcomes = list(sampling.support())
    drawn = [int(np.isclose(v, outcome).all(1).sum()) for _, outcome in outcomes]
    assert sum(drawn) == draws, "only enumerated outcomes occur"
    if len(outcomes) > 1:
        assert chisquare(drawn, [p * draws for p, _ in outcomes]).pvalue > 1e-3


@pytest.mark.parametrize("sampling", SMALL, ids=IDS)
def test_a_stream_does_not_depend_on_how_it_is_cut(sampling):
    whole, _ = sampling.draw(np.random.default_rng(2), 50)
    rng = np.random.default_rng(2)
    parts = np.concatenate([sampling.draw(rng, k)[0] for k in (1, 30, 19)])
    np.testing.assert_array_equal(parts, whole)


@pytest.mark.parametrize("name", UNBIASED)
def test_every_registered_sampling_is_unbiased_on_every_problem_by_enumeration(problem, name):
    sampling = make_sampling(name, problem)
    if sampling.name == "nice" and problem.n > 30:  # more than 27,405 subsets: a smaller problem covers them
        sampling = Nice("nice", 30, sampling.width)
    total, mean = 0.0, np.zeros(sampling.n)
    for probability, v in sampling.support():
        total += probability
        mean += probability * v
    assert total == pytest.approx(1)
    np.testing.assert_allclose(mean, 1, rtol=1e-10)


def test_the_expected_residual_inequality_holds_at_thousands_of_points(problem):
    samplings = [make_sampling(name, problem) for name in UNBIASED]
    checked = 0
    for x in points_near(problem, POINTS, seed=20).split(max(1, 250_000 // (problem.n * problem.d))):
        gradients, gap = all_gradients(problem, x), problem.gap(x)
        squared = gradients.mean(1).square().sum(-1)
        for sampling in samplings:
            a, b, c = sampling.residual(problem)
            excess = sampling.second_moment(gradients) - (2 * a * gap + b * squared + c) * (1 + 1e-9)
            assert float(excess.max()) <= 1e-10, sampling.name
        checked += len(x)
    assert checked == POINTS


@pytest.mark.parametrize("name", UNBIASED)
def test_every_realization_has_the_stated_lipschitz_constant(problem, name):
    sampling = make_sampling(name, problem)
    x, y = points_near(problem, 60, seed=21), points_near(problem, 60, seed=22)
    index, factor = map(np.array, sampling.draw(np.random.default_rng(3), 60))
    index, factor = torch.from_numpy(index), torch.from_numpy(factor)
    change = problem.gradient(x, index, factor) - problem.gradient(y, index, factor)
    bound = sampling.smoothness(problem) * (x - y).norm(dim=-1)
    assert (change.norm(dim=-1) <= bound * (1 + 1e-9) + 1e-10).all()


def test_importance_sampling_trades_the_largest_constant_for_the_mean():
    problem = make_problem("symmetric")
    assert pytest.approx(problem.L_max) == make_sampling("uniform", problem).residual(problem).A
    assert pytest.approx(problem.L_avg) == make_sampling("importance", problem).residual(problem).A


def test_published_importance_sampling_is_biased_and_has_no_constants():
    problem = make_problem("symmetric")
    sampling = make_sampling("importance-unweighted", problem)
    mean = sum(p * v for p, v in sampling.support())
    np.testing.assert_allclose(mean, problem.L_i.numpy() / problem.L_avg)
    assert not sampling.unbiased
    with pytest.raises(ConfigError, match="biased"):
        sampling.residual(problem)
    gradients = all_gradients(problem, problem.x0[None])
    weights = [(p, torch.from_numpy(v)) for p, v in sampling.support()]
    mean_gradient = sum(p * (v[:, None] * gradients[0]).mean(0) for p, v in weights)
    spread = sum(p * ((v[:, None] * gradients[0]).mean(0) - mean_gradient).square().sum() for p, v in weights)
    torch.testing.assert_close(sampling.variance(gradients)[0], spread)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SingleElement("p", [0.5, 0.0]), "probability > 0"),
        (lambda: Unweighted("p", [1.0, -1.0]), "probability > 0"),
        (lambda: Nice("nice", 5, 6), "tau=6"),
        (lambda: Partition("blocks", [[0, 1], [1, 2]]), "exactly once"),
        (lambda: Partition("blocks", [[0], [1]], [1.0]), "one probability"),
        (lambda: make_sampling("unifrom", make_problem("ridge")), "did you mean 'uniform'"),
    ],
)
def test_impossible_samplings_are_refused_with_the_reason(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
