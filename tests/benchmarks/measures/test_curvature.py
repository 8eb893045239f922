"""Products, eigenvalues, traces and spectra against a dense matrix, on networks of a few hundred float64 parameters."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import brentq
from torch import nn
from torch.func import functional_call

from sambench.benchmarks.measuring import objective as module
from sambench.benchmarks.measuring.ball import rise_in_ball
from sambench.benchmarks.measuring.curvature import (
    density,
    gaussian,
    hutch_plus_plus,
    hutchinson,
    lanczos,
    top_eigenpairs,
)
from sambench.benchmarks.measuring.objective import Objective
from sambench.benchmarks.measuring.registry import MEASURES, ask
from sambench.benchmarks.models.preact_resnet import PreActivationNet
from sambench.benchmarks.training.state import state_digest
from sambench.errors import ConfigError
from sambench.seeding import generator

MEASURES.discover()


def _network(kind):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "mlp":
            network = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3)).double()
        else:
            network = PreActivationNet(2, [2, 3], 1, 3, 1, "batch").double()
        network(torch.randn(64, 1, 4, 4, dtype=torch.float64))  # running statistics that are not 0 and 1
        images, labels = torch.randn(40, 1, 4, 4, dtype=torch.float64), torch.randint(0, 3, (40,))
    return network.eval(), images, labels


def _dense(network, images, labels, matrix):
    """Return the whole matrix, by torch's own Hessian or Jacobian of a function written here."""
    named = {name: p.detach() for name, p in network.named_parameters()}
    theta = torch.cat([p.flatten() for p in named.values()])

    def logits(vector):
        at, parts = 0, {}
        for name, p in named.items():
            parts[name], at = vector[at : at + p.numel()].view(p.shape), at + p.numel()
        return functional_call(network, parts, (images,))

    if matrix == "hessian":
        return torch.autograd.functional.hessian(lambda vector: F.cross_entropy(logits(vector), labels), theta)
    jacobian = torch.autograd.functional.jacobian(logits, theta)  # (n, classes, P)
    p = logits(theta).softmax(1).detach()
    inner = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    return torch.einsum("nap,nab,nbq->pq", jacobian, inner, jacobian) / len(labels)


@pytest.fixture(scope="module", params=["mlp", "batchnorm"])
def case(request):
    network, images, labels = _network(request.param)
    objective = Objective(network, images, labels, dtype=torch.float64)
    return objective, {kind: _dense(network, images, labels, kind) for kind in ("hessian", "gauss_newton")}


@pytest.mark.parametrize("matrix", ["hessian", "gauss_newton"])
def test_products_and_the_largest_eigenvalues_are_those_of_the_dense_matrix(matrix, case):
    objective, dense = case
    assert 100 < len(objective.theta) < 1000
    product = getattr(objective, matrix)
    v = gaussian(objective.theta, generator("v", 0))
    torch.testing.assert_close(product(v), dense[matrix] @ v, rtol=1e-8, atol=1e-10)
    start = gaussian(objective.theta, generator("start", 0))
    values, vectors, products = top_eigenpairs(product, start, 5, tolerance=0, iterations=1000)
    exact = torch.linalg.eigvalsh(dense[matrix]).flip(0)[:5].numpy()
    np.testing.assert_allclose(values, exact, rtol=1e-8)
    for value, vector in zip(values, vectors, strict=True):
        torch.testing.assert_close(dense[matrix] @ vector, value * vector, rtol=1e-6, atol=1e-8)
    assert products < len(objective.theta)


@pytest.mark.parametrize("matrix", ["hessian", "gauss_newton"])
@pytest.mark.parametrize("estimate", [hutchinson, hutch_plus_plus])
def test_a_trace_is_within_its_own_standard_error(matrix, estimate, case):
    """Of many estimates, errors in units of their standard errors have about the spread that these promise."""
    objective, dense = case
    exact = float(dense[matrix].trace())
    found = [estimate(lambda v: dense[matrix] @ v, objective.theta, 60, generator("t", seed)) for seed in range(100)]
    errors = np.array([(one.value - exact) / one.standard_error for one in found])
    assert abs(errors.mean()) < 4 / math.sqrt(len(errors))
    assert 0.8 < errors.std() < 1.4
    (one,) = {estimate(getattr(objective, matrix), objective.theta, 60, generator("t", 3))}
    assert math.isclose(one.value, found[3].value, rel_tol=1e-8)


def test_hutch_plus_plus_is_exact_for_a_matrix_of_low_rank():
    factor = torch.randn(300, 5, dtype=torch.float64, generator=generator("factor", 0))
    found = hutch_plus_plus(lambda v: factor @ (factor.T @ v), factor[:, 0], 30, generator("t", 0))
    assert math.isclose(found.value, float((factor * factor).sum()), rel_tol=1e-9)
    assert found.standard_error < 1e-9


@pytest.mark.parametrize("matrix", ["hessian", "gauss_newton"])
def test_a_spectrum_integrates_to_one_and_its_mean_is_the_trace_by_the_size(matrix, case):
    objective, dense = case
    size, exact = len(objective.theta), dense[matrix]
    nodes, weights = map(np.concatenate, zip(*_quadratures(exact, objective.theta, 50), strict=True))
    weights = weights / 50
    grid, smooth = density(nodes, weights, 0.01, 4000)
    assert math.isclose(np.trapezoid(smooth, grid), 1, rel_tol=1e-5)
    assert math.isclose(weights.sum(), 1, rel_tol=1e-9)
    spread = math.sqrt(2 * float((exact**2).sum())) / size / math.sqrt(50)
    assert abs(nodes @ weights - float(exact.trace()) / size) < 4 * spread
    whole, once = lanczos(getattr(objective, matrix), gaussian(objective.theta, generator("s", 0)), 60)
    assert math.isclose(whole.max(), float(torch.linalg.eigvalsh(exact).max()), rel_tol=1e-8)
    assert math.isclose(once.sum(), 1, rel_tol=1e-9)


@pytest.mark.parametrize("kind", ["mlp", "batchnorm"])
def test_no_eigenvalue_of_a_positive_matrix_counts_as_negative(kind):
    """Four samples of three classes leave most eigenvalues 0, and their nodes lie on both sides of it by rounding."""
    network, images, labels = _network(kind)

    class Given:
        def objective(self, **sample):
            return Objective(network.float(), images[:4], labels[:4])

    request = ask("spectrum", {"matrix": "gauss_newton"})
    found = request.measure.function(Given(), **request.settings)
    assert found["smallest"] < 0
    assert found["negative"] == 0


def _quadratures(dense, like, draws):
    return [lanczos(lambda v: dense @ v, gaussian(like, generator("s", seed)), 30) for seed in range(draws)]


def test_what_takes_too_many_iterations_is_told(case):
    objective, dense = case
    start = gaussian(objective.theta, generator("start", 0))
    with pytest.raises(ConfigError, match=r"iterations=1: \d of 5 eigenvalues"):
        top_eigenpairs(lambda v: dense["hessian"] @ v, start, 5, tolerance=0, iterations=1)


def test_a_loss_in_chunks_is_that_of_the_whole_sample_and_leaves_the_network(monkeypatch):
    monkeypatch.setattr(module, "LARGEST_CHUNK", 25)
    network, _, _ = _network("batchnorm")
    before = state_digest(network.state_dict())
    with torch.random.fork_rng():
        images, labels = torch.randn(60, 1, 4, 4, dtype=torch.float64), torch.randint(0, 3, (60,))
    objective = Objective(network, images, labels, dtype=torch.float64)
    loss = F.cross_entropy(network(images), labels)
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(network.parameters()))])
    value, found = objective.gradient(objective.theta)
    torch.testing.assert_close(found, gradient)
    assert math.isclose(float(value), loss.item(), rel_tol=1e-12)
    assert math.isclose(float(objective.loss(objective.theta)), loss.item(), rel_tol=1e-12)
    objective.loss(objective.theta * 2)
    assert state_digest(network.state_dict()) == before
    assert all(p.grad is None for p in network.parameters())


class Quadratic:
    """L(x) = x^T H x / 2 + g^T x at a point."""

    def __init__(self, eigenvalues, theta=None, gradient=None):
        self.size = len(eigenvalues)
        basis = torch.linalg.qr(torch.randn(self.size, self.size, dtype=torch.float64, generator=generator("q", 0))).Q
        self.matrix = basis @ torch.diag(torch.as_tensor(eigenvalues, dtype=torch.float64)) @ basis.T
        self.theta = torch.zeros(self.size, dtype=torch.float64) if theta is None else theta
        self.linear = torch.zeros_like(self.theta) if gradient is None else gradient

    def loss(self, theta):
        return theta @ self.matrix @ theta / 2 + self.linear @ theta

    def gradient(self, theta):
        return self.loss(theta), self.matrix @ theta + self.linear


@pytest.mark.parametrize("rho", [0.01, 1.0])
def test_the_worst_case_in_l2_at_the_minimum_of_a_quadratic_is_its_closed_form(rho):
    quadratic = Quadratic([10.0, 7.0, 4.0, *torch.linspace(0, 3, 97).tolist()])
    found = rise_in_ball(quadratic, None, "l2", rho, 40, generator("a", 0))
    exact = rho**2 * 10 / 2
    assert 0.99 * exact <= found <= exact * (1 + 1e-12)


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("eigenvalues", [(5.0, 1.0, 0.1, 0.0), (-1.0, -2.0, -3.0, -4.0), (4.0, -9.0, 0.5, -0.5)])
def test_a_worst_case_is_not_negative_nor_below_a_thousand_points_of_the_ball(norm, scaled, eigenvalues):
    random = generator("p", 0)
    at = torch.randn(4 * 12, dtype=torch.float64, generator=random)
    quadratic = Quadratic(list(eigenvalues) * 12, theta=at, gradient=0.1 * torch.ones_like(at))
    scale = at.abs() if scaled else None
    found = rise_in_ball(quadratic, scale, norm, 0.5, 20, generator("a", 0))
    points = torch.randn(1000, len(at), dtype=torch.float64, generator=random)
    if norm == "linf":
        points = 0.5 * (torch.rand(1000, len(at), dtype=torch.float64, generator=random) * 2 - 1)
    else:
        points = 0.5 * points / points.norm(dim=1, keepdim=True)
    moved = at + (points if scale is None else scale * points)
    best = max(float(quadratic.loss(point) - quadratic.loss(at)) for point in moved)
    assert found >= max(0, best)


@pytest.mark.parametrize("rho", [0.1, 1.0, 10.0])
def test_the_worst_case_in_l2_anywhere_on_a_quadratic_is_within_a_percent_of_its_optimum(rho):
    """The optimum d solves (mu - H) d = g with ||d|| = rho and mu above all eigenvalues: one equation for mu."""
    random = generator("p", 1)
    eigenvalues = torch.linspace(-5, 5, 60, dtype=torch.float64)
    quadratic = Quadratic(eigenvalues.tolist(), theta=torch.randn(60, dtype=torch.float64, generator=random))
    gradient = quadratic.gradient(quadratic.theta)[1]
    values, vectors = torch.linalg.eigh(quadratic.matrix)
    along = vectors.T @ gradient

    def excess(mu):
        return float((along / (mu - values)).norm()) - rho

    mu = brentq(excess, float(values.max()) + 1e-9, float(values.max()) + 1e4)
    d = vectors @ (along / (mu - values))
    optimum = float(quadratic.loss(quadratic.theta + d) - quadratic.loss(quadratic.theta))
    found = rise_in_ball(quadratic, None, "l2", rho, 20, generator("a", 0))
    assert 0.99 * optimum <= found <= optimum * (1 + 1e-9)


def test_a_worst_case_in_linf_of_a_diagonal_quadratic_is_its_closed_form():
    class Diagonal(Quadratic):
        def __init__(self):
            super().__init__([1.0] * 20)
            self.matrix = torch.diag(torch.arange(1, 21, dtype=torch.float64))

    found = rise_in_ball(Diagonal(), None, "linf", 0.1, 20, generator("a", 0))
    assert math.isclose(found, 0.1**2 * sum(range(1, 21)) / 2, rel_tol=1e-12)
