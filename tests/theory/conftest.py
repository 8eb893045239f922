"""Problems are built once a session: their construction is exact but not free."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from sambench.benchmarks.theory.problems import Problem, list_problems, make_problem

build = cache(make_problem)


@pytest.fixture(params=list_problems())
def problem(request) -> Problem:
    return build(request.param)


def points_near(problem: Problem, count: int, seed: int, scales=(0.01, 0.3, 1.0, 5.0)) -> torch.Tensor:
    """Points around the start and the minimizer at several scales, inside the ball where the constants hold."""
    rng = np.random.default_rng(seed)
    centers = torch.stack([problem.x0, problem.minimizer])[rng.integers(2, size=count)]
    direction = torch.from_numpy(rng.standard_normal((count, problem.d)))
    direction /= direction.norm(dim=-1, keepdim=True)
    size = max(1.0, float((problem.x0 - problem.minimizer).norm()))
    scale = torch.from_numpy(rng.choice(scales, count) * rng.random(count) ** (1 / 2) * size)
    x = centers + direction * scale[:, None]
    away = x - problem.x0
    shrink = (problem.radius / away.norm(dim=-1, keepdim=True)).clamp(max=1.0)
    return problem.x0 + away * shrink


@pytest.fixture(scope="session")
def published_runs() -> dict:
    """What the authors' code gives over its first epochs, from running it; see the file's ``source`` entry."""
    return json.loads((Path(__file__).parent / "published_runs.json").read_text())
