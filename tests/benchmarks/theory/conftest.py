"""Theory problems, built once a session, since their exact construction takes time."""

from functools import cache

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


def autograd(problem: Problem, x: torch.Tensor, index=None, weight=None) -> torch.Tensor:
    """The gradient of the mean loss at x (d,), or of a weighted sum of some components, without the closed form."""
    x = x.clone().requires_grad_()
    losses = problem.losses(x, index)
    total = losses.mean() if weight is None else (weight * losses).sum()
    return torch.autograd.grad(total, x)[0]


def all_gradients(problem: Problem, x: torch.Tensor) -> torch.Tensor:
    """Gradients of all components at points (m, d), as (m, n, d)."""
    m, n = len(x), problem.n
    repeated = x[:, None].expand(m, n, problem.d).reshape(m * n, -1)
    index = torch.arange(n).repeat(m)[:, None]
    return problem.gradient(repeated, index, torch.ones(m * n, 1, dtype=torch.float64)).unflatten(0, (m, n))
