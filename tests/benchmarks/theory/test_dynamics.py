"""The experiments on SAM's dynamics: closed forms hold on the committed data, and verdicts follow made data."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sambench.benchmarks.theory.batched_solver import solve
from sambench.benchmarks.theory.experiments import (
    bouncing,
    diagonal_nets,
    drift,
    floors,
    increasing_batch,
    last_iterate,
    minibatch,
    read_data,
    stability,
    which_sharpness,
)
from sambench.benchmarks.theory.experiments.base import EXPERIMENTS
from sambench.benchmarks.theory.landscapes import OneVariable, huber, opposed, parabola, waves
from sambench.benchmarks.theory.methods import Method
from sambench.benchmarks.theory.problems import make_problem
from sambench.benchmarks.theory.reference_solver import follow, solve_with_variant
from sambench.benchmarks.theory.sampling import Nice, make_sampling
from sambench.benchmarks.theory.step_sizes import Constants, fixed
from sambench.benchmarks.theory.verdicts import fitted_power
from tests.benchmarks.theory.conftest import autograd

DATA = Path(__file__).parents[3] / "docs" / "figures" / "theory"
MODULES = {
    "bouncing": bouncing,
    "stability": stability,
    "drift": drift,
    "which-sharpness": which_sharpness,
    "floors": floors,
    "last-iterate": last_iterate,
    "diagonal-nets": diagonal_nets,
    "increasing-batch": increasing_batch,
    "minibatch": minibatch,
}


def where(data, **columns):
    mask = np.ones(len(data), bool)
    for name, value in columns.items():
        mask &= (data[name] == value).to_numpy()
    return mask


def changed(data, column, value, **columns):
    """A copy in which a column of some rows is another: a function of it, or a number."""
    out, mask = data.copy(), where(data, **columns)
    out.loc[mask, column] = value(out.loc[mask, column]) if callable(value) else value
    return out


# One row each: the experiment, a change of its data, the sentence of the committed data and that of the changed.
CASES = [
    ("bouncing", lambda d: d, "ends in the 2-cycle of amplitude", None),
    ("bouncing", lambda d: changed(d, "closed", lambda v: 1.1 * v, part="cycle"), None, "does not end in the 2-cycle"),
    ("bouncing", lambda d: d[(d["part"] == "ravine") | (d["step"] < 5)], None, "Undecided: the amplitude"),
    (
        "bouncing",
        lambda d: changed(d, "value", lambda v: np.linspace(1, 0, len(v)), case="usam"),
        "SAM drifts",
        "not alone",
    ),
    ("bouncing", lambda d: d[(d["part"] == "cycle") | (d["step"] < 5)], None, "too short for a drift"),
    ("bouncing", lambda d: changed(d, "closed", 0.5, case="sam"), "It follows", "It does not follow"),
    (
        "stability",
        lambda d: changed(d, "value", lambda v: v * 1.01, part="edge", variant="usam"),
        "boundary is",
        "is off",
    ),
    (
        "stability",
        lambda d: changed(d, "value", lambda v: v * 0.9, part="edge", variant="sam"),
        "SAM's is ηλ = 2",
        "off ηλ = 2",
    ),
    ("stability", lambda d: changed(d, "value", 2.0, part="edge", variant="usam"), "at every ρ > 0", "at 0 of"),
    ("stability", lambda d: d[(d["part"] == "path") | (d["x"] == 0)], None, "no ρ > 0 was tried"),
    ("stability", lambda d: changed(d, "value", 0.5, part="path"), "USAM diverges", "USAM does not diverge"),
    ("drift", lambda d: changed(d, "y", 2.0, variant="sam"), "SAM is still moving", "SAM has stopped too"),
    ("drift", lambda d: changed(d, "closed", 1.0, variant="usam"), "USAM stops at", "USAM does not stop below"),
    ("drift", lambda d: changed(d, "y", lambda v: np.linspace(5, 3, len(v)), variant="usam"), None, "USAM still moves"),
    (
        "drift",
        lambda d: changed(d, "y", lambda v: np.linspace(1, 0.99, len(v)), variant="sam"),
        None,
        "too short to tell",
    ),
    (
        "which-sharpness",
        lambda d: changed(d, "theta", 0.5, batch="full batch"),
        "should rest at 1.000",
        "and not at 1.000",
    ),
    (
        "which-sharpness",
        lambda d: changed(d, "theta", 0.9, batch="single samples"),
        "from the least trace",
        "where the trace",
    ),
    ("which-sharpness", lambda d: changed(d, "theta", -1.0, batch="full batch", start=-1.0), None, "has not settled"),
    ("which-sharpness", lambda d: changed(d, "theta", 0.0, variant="sgd"), "SGD stays", "SGD does not stay"),
    ("floors", lambda d: changed(d, "value", 1.0, setting="deterministic"), "has no floor on convex", "more slowly"),
    (
        "floors",
        lambda d: changed(d, "value", lambda v: v * np.exp(np.arange(len(v)) % 2 * 3), sweep="T"),
        None,
        "leave open",
    ),
    (
        "floors",
        lambda d: changed(d, "closed", 9.0, setting="stochastic", kind="convex"),
        "Everywhere else",
        "Not at the floor",
    ),
    (
        "floors",
        lambda d: changed(d, "value", lambda v: 1 / np.arange(1, len(v) + 1), setting="stochastic"),
        None,
        "Not at the floor",
    ),
    (
        "last-iterate",
        lambda d: changed(d, "value", 1.0, method="both fall"),
        "goes to a minimum on all",
        "does not go to",
    ),
    (
        "last-iterate",
        lambda d: d.assign(
            value=np.where(where(d, method="both fall"), 1 / (1 + d["step"] / d["step"].max()), d["value"])
        ),
        None,
        "still falls",
    ),
    ("last-iterate", lambda d: changed(d, "value", 1.0, method="both fall", step=10_000), None, "does not go to"),
    (
        "last-iterate",
        lambda d: d.assign(value=np.where(where(d, method="η falls") & (d["floor"] > 0), d["floor"], d["value"])),
        "do not end at",
        "do not remove",
    ),
    ("last-iterate", lambda d: changed(d, "closed", 1.0, case="parabola"), "gap follows", "does not follow"),
    ("diagonal-nets", lambda d: changed(d, "scale", lambda v: 2 * v), "uv ends where", "does not describe"),
    ("diagonal-nets", lambda d: changed(d, "loss", 1.0), None, "not every run has fitted"),
    ("diagonal-nets", lambda d: changed(d, "away", lambda v: [1.0, 2, 3, 4] * 2), None, "does with neither"),
    (
        "diagonal-nets",
        lambda d: changed(d, "away", lambda v: [4.0, 3, 2, 1], batch="full batch"),
        "samples end closer",
        "samples do not end closer",
    ),
    ("diagonal-nets", lambda d: changed(d, "away", 1.0), None, "too close to tell"),
    ("diagonal-nets", lambda d: changed(d, "away", lambda v: [4.0, 3, 2, 1] * 2), "Against what", "in both settings"),
    ("diagonal-nets", lambda d: changed(d, "norm", lambda v: [4.0, 3, 2, 1] * 2), "falls with neither", "with both"),
    (
        "increasing-batch",
        lambda d: changed(d, "gap", lambda v: 9 * v, schedule="step halves"),
        "do not tell the gaps",
        "different gaps",
    ),
    (
        "increasing-batch",
        lambda d: changed(d, "gap", 1e-6, schedule="both constant"),
        "times as large",
        "gap is smaller",
    ),
    (
        "increasing-batch",
        lambda d: d.assign(gap=d["gap"] * (1 + 100 * (d["trial"] == 0))),
        None,
        "the trials are too few",
    ),
    ("increasing-batch", lambda d: changed(d, "bound", 1e-9), "in 3 of 3 schedules", "in 0 of 3 schedules"),
    ("increasing-batch", lambda d: changed(d, "gap", 1.0), None, "too close to the others"),
    (
        "minibatch",
        lambda d: changed(d, "reached", lambda v: np.arange(1.0, len(v) + 1), kind="nice"),
        "beside the τ*",
        "not beside the τ*",
    ),
    ("minibatch", lambda d: changed(d, "reached", 1.0), None, "within 5 % of each other"),
    ("minibatch", lambda d: changed(d, "distance", 2.0), "below ε in 18 of 18", "below ε in 0 of 18"),
    ("minibatch", lambda d: changed(d, "reached", lambda v: 9 * v, kind="importance"), "fewer samples", "more samples"),
]


@pytest.mark.parametrize(("name", "change", "committed", "after"), CASES)
def test_sentences_follow_the_data(name, change, committed, after):
    data, say = read_data(name, DATA), EXPERIMENTS.get(name).findings
    if committed:
        assert committed in " ".join(say(data))
    if after:
        assert after in " ".join(say(change(data)))
        assert after not in " ".join(say(data))


@pytest.mark.parametrize("name", MODULES)
def test_nothing_on_the_page_is_undecided(name):
    assert "Undecided" not in " ".join(EXPERIMENTS.get(name).findings(read_data(name, DATA)))


@pytest.mark.parametrize("eta", [0.5, 1.0, 1.5])
def test_the_two_cycle_is_a_fixed_point_of_two_steps(eta):
    a = bouncing.amplitude(eta / 2, 2.0, 0.1)
    path = follow("sam", lambda x, t: x.square().sum(), [a], 2, lr=eta / 2, rho=0.1)
    np.testing.assert_allclose(path.ravel(), [a, -a, a], rtol=1e-9)


def test_the_last_stable_point_is_where_the_curvature_meets_the_boundary():
    y = drift.last_stable("usam")
    assert drift.ETA * y**2 * (1 + drift.RHO * y**2) == pytest.approx(2)
    assert stability.boundary("usam", drift.RHO * y**2) == pytest.approx(drift.ETA * y**2)


LANDSCAPES = [
    opposed(parabola)[0],
    opposed(huber)[0],
    waves(0.4)[0],
    waves(0.4, 0.2)[0],
]


@pytest.mark.parametrize("problem", LANDSCAPES, ids=lambda one: f"{one.name}-{one.n}")
def test_functions_of_one_variable_have_their_slopes_and_constants(problem: OneVariable):
    x = torch.linspace(-2, 2, 201, dtype=torch.float64)[:, None]
    slopes = torch.stack([autograd(problem, one) for one in x])
    torch.testing.assert_close(problem.gradient(x), slopes)
    steps = (slopes[1:] - slopes[:-1]).abs() / (x[1:] - x[:-1])
    assert float(steps.max()) <= problem.L * (1 + 1e-9)
    if problem.mu:
        assert float(problem.gradient(problem.minimizer[None]).abs()) < 1e-12
        assert (slopes.square().sum(-1) >= 2 * problem.mu * problem.gap(x) - 1e-12).all()


@pytest.mark.parametrize("problem", [LANDSCAPES[0], LANDSCAPES[3]], ids=lambda one: one.name)
def test_their_fast_path_takes_the_steps_of_the_registered_rule(problem: OneVariable):
    sampling, record = make_sampling("uniform", problem), np.array([0, 50])
    method = Method("sam", fixed(0.1, 0.1), Constants(1, 1, 1, 1, 1, 50))
    fast = solve(problem, sampling, [method], record=record)
    np.testing.assert_allclose(fast.x, solve_with_variant(problem, sampling, method, record=record).x, atol=1e-10)


def test_the_resting_point_on_parabolas_has_a_closed_form():
    problem, rests = opposed(parabola, 0.2)
    assert rests == pytest.approx(float(problem.minimizer) * 1.2)


def test_the_entropy_picks_an_interpolator_between_least_squares_and_least_absolute_values():
    X, y, _ = diagonal_nets._problem()
    wide, narrow = (diagonal_nets.chosen(np.full(16, scale), X, y) for scale in (100.0, 1e-2))
    np.testing.assert_allclose(X @ narrow, y, atol=1e-4)
    np.testing.assert_allclose(wide, np.linalg.pinv(X) @ y, atol=1e-3)
    assert np.abs(narrow).sum() < np.abs(wide).sum()


@pytest.mark.parametrize("tau", [1, 3, 32])
def test_the_constants_of_a_minibatch_hold(tau):
    problem = make_problem("quadratics", n=32, imbalance=2.0, condition=4.0, spread=1.5)
    smooth, noise = minibatch.constants(problem, "nice", tau)
    sampling = Nice("nice", 32, tau)
    best = problem.component_gradients(problem.minimizer)
    assert float(sampling.second_moment(best)) == pytest.approx(noise, abs=1e-12)
    for x in problem.minimizer + torch.from_numpy(np.random.default_rng(0).standard_normal((50, 6))):
        moment = float(sampling.second_moment(problem.component_gradients(x) - best))
        assert moment <= 2 * smooth * float(problem.gap(x)) * (1 + 1e-9)


def test_the_best_size_is_where_the_branches_of_the_theory_meet():
    problem = make_problem("quadratics", n=32, imbalance=2.0, condition=4.0, spread=1.5)
    epsilon = 0.01 * float((problem.x0 - problem.minimizer).square().sum())
    best = minibatch.best_size(problem, epsilon)
    smooth, noise = minibatch.constants(problem, "nice", best)
    assert 2 * smooth == pytest.approx(4 * noise / (epsilon * problem.mu))


def test_phases_spend_the_same_samples_and_the_same_progress():
    batch, step = (increasing_batch.Phases(name, 640, 0.2) for name in increasing_batch.SCHEDULES[1:])
    assert batch.batch.sum() == step.batch.sum() == 640 * increasing_batch.PHASES
    assert batch.eta.sum() == pytest.approx(step.eta.sum())
    _, factor = batch.stream(256, 0)(batch.steps)
    assert ((factor > 0).sum(1) == batch.batch).all()
    np.testing.assert_allclose(factor.sum(1), 1)


def test_a_fitted_power_has_an_interval_that_tells():
    x = np.geomspace(1, 100, 8)
    assert fitted_power(x, x**-2).is_near(-2)
    assert fitted_power(x, x**-2).at_most(-2)
    assert fitted_power(x, x**-1).at_most(-2) is False
    noisy = fitted_power(x, np.exp(np.random.default_rng(0).normal(0, 3, 8)))
    assert noisy.is_near(0) is None
