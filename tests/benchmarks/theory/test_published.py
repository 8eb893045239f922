"""The authors' constants, and the trajectories of their code with its own stream of random numbers.

``published_runs.json`` holds what the authors' code gives: the importance figure in full, the figure of decreasing
steps in part (it costs their code a quarter of an hour, and every iterate in memory). ``published_rule.py`` writes the
same rule in plain NumPy; it gives the authors' numbers to 1e-11, and its record the whole second figure.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from sambench.benchmarks.theory.batched_solver import solve
from sambench.benchmarks.theory.methods import Method, replayed
from sambench.benchmarks.theory.problems import published_decreasing, published_importance
from sambench.benchmarks.theory.sampling import make_sampling
from sambench.benchmarks.theory.step_sizes import Constants
from tests.benchmarks.theory import published_rule
from tests.benchmarks.theory.conftest import build

HERE = Path(__file__).parent
AUTHORS = json.loads((HERE / "published_runs.json").read_text())


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


@pytest.mark.parametrize("case", ["importance", "decreasing"])
def test_trajectories_are_those_of_the_authors_code(case):
    """Replay its random stream: our code gives every mean over trials that the authors' code gives."""
    reference = AUTHORS[case]
    problem, rng = {"importance": published_importance, "decreasing": published_decreasing}[case]()
    steps, trials = reference["epochs"] * problem.n, reference["trials"]
    for run in reference["runs"]:
        biased = case == "importance" and run["second"]
        sampling = make_sampling("importance-unweighted" if biased else "uniform", problem)
        # The biased sampling has no constants of its own: the authors take those of the one that it imitates.
        c = Constants.of(problem, make_sampling("importance", problem) if biased else sampling, steps)
        step = "theorem-3.5" if case == "decreasing" and run["second"] else "theorem-3.2"
        method = Method("unified_sam", step, c, run["lam"])
        gamma, rho, _ = Method("unified_sam", "theorem-3.2", c, run["lam"]).schedule(np.zeros(1))
        assert (float(gamma[0]), float(rho[0])) == pytest.approx((run["gamma"], run["rho"]), rel=1e-12)
        finals = [
            solve(problem, sampling, [method], record=np.array([0, steps]), streams=replayed(rng, sampling))
            for _ in range(trials)
        ]
        relative = [r.gap[0, 0, -1] / r.gap[0, 0, 0] for r in finals]
        assert relative == pytest.approx(run["final"], rel=1e-6)


@pytest.mark.slow
def test_the_rule_in_plain_numpy_gives_the_numbers_of_the_authors_code():
    reference = AUTHORS["decreasing"]
    lines = published_rule.figure(reference["epochs"], reference["trials"], looks=1)
    for line, run in zip(lines, reference["runs"], strict=True):
        assert (line["decreasing"], line["lam"]) == (run["second"], run["lam"])
        np.testing.assert_allclose(np.array(line["gap"])[:, -1], run["final"], rtol=1e-11)


@pytest.mark.slow
def test_the_whole_figure_of_decreasing_steps_is_that_of_the_published_rule():
    """Every line, all trials, ten times along a million steps; their mean and spread too."""
    reference = json.loads(published_rule.RECORD.read_text())
    problem, rng = published_decreasing()
    sampling = make_sampling("uniform", problem)
    record = np.linspace(0, reference["epochs"] * problem.n, 11).astype(np.int64)
    c = Constants.of(problem, sampling, int(record[-1]))
    assert (reference["epochs"], reference["trials"], len(reference["lines"])) == (10_000, 5, 6)
    for line in reference["lines"]:
        rule = "theorem-3.5" if line["decreasing"] else "theorem-3.2"
        method = Method("unified_sam", rule, c, line["lam"])
        gamma, rho, _ = Method("unified_sam", "theorem-3.2", c, line["lam"]).schedule(np.zeros(1))
        assert (float(gamma[0]), float(rho[0])) == pytest.approx((line["gamma"], line["rho"]), rel=1e-12)
        stream = replayed(rng, sampling)
        ours = [solve(problem, sampling, [method], record=record, streams=stream).gap[0, 0] for _ in range(5)]
        relative = np.array(ours)[:, 1:] / ours[0][0]
        np.testing.assert_allclose(relative, line["gap"], rtol=1e-6)
        for statistic in (np.mean, np.std):
            np.testing.assert_allclose(statistic(relative, 0), statistic(line["gap"], 0), rtol=1e-5)
