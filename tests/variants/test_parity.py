"""Agreement with other people's implementations, where one can be installed and is sound.

Each test says what its peer needs, and where it departs. 60 steps in float64 on a network without BatchNorm; no peer
shares code with this package. ``pytorch_optimizer`` and ``sam_sps`` sum their norms in float32, whatever the gradients
are: they can agree to 1e-6 only. Its BSAM never restores the weights and its LookSAM evaluates the closure on every
step and projects tensor by tensor: neither can be compared with. Nor can heavyball's SAMWrapper, which ascends by
ball * w^2 * g without a norm: no published rule, and none of ours.
"""

import importlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import timm.optim
import torch

from sambench.variants import create

STEPS = 60
EXACT, SINGLE = 1e-12, 1e-6
SGD = {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4}


def largest_difference(one, two) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(one.weights(), two.weights(), strict=True))


def assert_same(ours, theirs, start, tolerance: float) -> None:
    assert largest_difference(ours, theirs) < tolerance
    assert largest_difference(ours, start) > 0.1, "both stood still"


# -- unifiedsam ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("lam", [0.0, 0.25, 0.5, 1.0, "1/t", "1-1/t"])
def test_unified_sam_is_the_authors_package(new_task, lam, momentum):
    """Its ``step`` takes for granted that the caller has evaluated the first gradient."""
    unifiedsam = importlib.import_module("unifiedsam")
    ours, theirs = new_task(), new_task()
    hyper = SGD | {"momentum": momentum}
    optimizer = ours.optimizer("unified_sam", rho=0.2, lam=lam, **hyper)
    peer = unifiedsam.unifiedSAM(theirs.model.parameters(), torch.optim.SGD, rho=0.2, lambd=lam, **hyper)
    for _ in range(STEPS):
        optimizer.step(ours.closure)
        peer.zero_grad()
        theirs.closure()
        peer.step(theirs.closure)
    assert_same(ours, theirs, new_task(), EXACT)


# -- pytorch_optimizer -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", ["sgd", "adamw"])
def test_sam_is_that_of_pytorch_optimizer(new_task, base):
    """It evaluates only the second gradient itself."""
    peers = importlib.import_module("pytorch_optimizer")
    ours, theirs = new_task(), new_task()
    hyper = SGD if base == "sgd" else {"lr": 0.01, "weight_decay": 0.1}
    kind = torch.optim.SGD if base == "sgd" else torch.optim.AdamW
    optimizer = create("sam", ours.model, base=base, rho=0.3, **hyper)
    peer = peers.SAM(theirs.model.parameters(), kind, rho=0.3, adaptive=False, **hyper)
    for _ in range(STEPS):
        optimizer.step(ours.closure)
        peer.zero_grad()
        theirs.closure()
        peer.step(theirs.closure)
    assert_same(ours, theirs, new_task(), SINGLE)


def test_adaptive_sam_of_pytorch_optimizer_is_asam_on_all_parameters(new_task):
    """It scales every parameter by its size, without a floor: the other published reading of ASAM."""
    peers = importlib.import_module("pytorch_optimizer")
    ours, theirs = new_task(), new_task()
    optimizer = ours.optimizer("asam", rho=0.5, scale_all=True, **SGD)
    peer = peers.SAM(theirs.model.parameters(), torch.optim.SGD, rho=0.5, adaptive=True, **SGD)
    for _ in range(STEPS):
        optimizer.step(ours.closure)
        peer.zero_grad()
        theirs.closure()
        peer.step(theirs.closure)
    assert_same(ours, theirs, new_task(), SINGLE)


def test_friendly_sam_is_that_of_pytorch_optimizer(new_task):
    """It evaluates only the second gradient itself. The batches change: on one batch the direction is rounding."""
    peers = importlib.import_module("pytorch_optimizer")
    ours, theirs = new_task(), new_task()
    batches = [new_task(seed=seed) for seed in range(4)]
    optimizer = ours.optimizer("fsam", rho=0.2, sigma=1.0, lam=0.6, **SGD)
    peer = peers.FriendlySAM(theirs.model.parameters(), torch.optim.SGD, rho=0.2, sigma=1.0, lmbda=0.6, **SGD)
    for t in range(STEPS):
        for task in (ours, theirs):
            task.x, task.y = batches[t % 4].x, batches[t % 4].y
        optimizer.step(ours.closure)
        peer.zero_grad()
        theirs.closure()
        peer.step(theirs.closure)
    assert_same(ours, theirs, new_task(), SINGLE)


@pytest.mark.parametrize("decoupled", [True, False])
def test_wsam_is_that_of_pytorch_optimizer(new_task, decoupled):
    """Its coupled form calls gamma/(1-gamma) alpha and interpolates with it."""
    peers = importlib.import_module("pytorch_optimizer")
    ours, theirs = new_task(), new_task()
    optimizer = ours.optimizer("wsam", rho=0.2, gamma=0.6, decoupled=decoupled, **SGD)
    peer = peers.WSAM(
        theirs.model, theirs.model.parameters(), torch.optim.SGD, rho=0.2, gamma=0.6, decouple=decoupled, **SGD
    )
    for _ in range(STEPS):
        optimizer.step(ours.closure)
        peer.step(theirs.closure)
    assert_same(ours, theirs, new_task(), SINGLE)


@pytest.mark.parametrize("adaptive", [False, True])
def test_gsam_is_that_of_pytorch_optimizer(new_task, adaptive):
    """Its radius comes from a scheduler object that the caller steps; here a constant one."""
    peers = importlib.import_module("pytorch_optimizer")
    ours, theirs = new_task(), new_task()
    optimizer = ours.optimizer("gsam", rho=0.2, rho_min=0.2, alpha=0.4, adaptive=adaptive, **SGD)
    peer = peers.GSAM(
        theirs.model.parameters(),
        torch.optim.SGD(theirs.model.parameters(), **SGD),
        theirs.model,
        SimpleNamespace(step=lambda: 0.2),
        alpha=0.4,
        adaptive=adaptive,
    )
    for _ in range(STEPS):
        optimizer.step(ours.closure)
        peer.set_closure(torch.nn.functional.cross_entropy, theirs.x, theirs.y)
        peer.step()
    assert_same(ours, theirs, new_task(), SINGLE)


@pytest.mark.parametrize(("k", "alpha"), [(5, 0.5), (3, 0.8), (1, 0.7)])
def test_lookahead_is_that_of_pytorch_optimizer(new_task, k, alpha):
    """With momentum left alone at a synchronization, its ``pullback_momentum="none"``."""
    peers = importlib.import_module("pytorch_optimizer")
    ours, theirs = new_task(), new_task()
    optimizer = ours.optimizer("lookahead", k=k, alpha=alpha, **SGD)
    base = torch.optim.SGD(theirs.model.parameters(), **SGD)
    peer = peers.Lookahead(base, k=k, alpha=alpha, pullback_momentum="none")
    for _ in range(STEPS):
        optimizer.step(ours.closure)
        theirs.closure()
        peer.step()
    assert_same(ours, theirs, new_task(), EXACT)


def test_lookahead_of_timm_begins_one_synchronization_late(new_task):
    """Its slow weights are those of its first synchronization: given ours from there on, the two are one."""
    ours, theirs = new_task(), new_task()
    optimizer = ours.optimizer("lookahead", k=5, alpha=0.5, **SGD)
    peer = timm.optim.Lookahead(torch.optim.SGD(theirs.model.parameters(), **SGD), alpha=0.5, k=5)
    for step in range(STEPS):
        if step < 5:  # the first five steps of the base, without a synchronization
            for task in (ours, theirs):
                task.closure()
            optimizer.base.step()
        else:
            if step == 5:
                vars(optimizer)["steps"] = 5
            optimizer.step(ours.closure)
            theirs.closure()
        peer.step()
    assert_same(ours, theirs, new_task(), EXACT)


# -- packages of one method ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sam_sps", "usam_sps"])
def test_polyak_step_is_that_of_the_authors_package(new_task, name):
    """It returns the loss at the perturbed weights, and has no momentum."""
    sam_sps = importlib.import_module("sam_sps")
    ours, theirs = new_task(), new_task()
    optimizer = ours.optimizer(name, rho=0.1, gamma_b=0.5, lr=1.0, momentum=0.0, weight_decay=5e-4)
    peer = sam_sps.SAM_SPS(
        theirs.model.parameters(), rho=0.1, lambd=float(name == "sam_sps"), gamma_b=0.5, weight_decay=5e-4
    )
    for _ in range(STEPS):
        optimizer.step(ours.closure)
        peer.step(theirs.closure)
    assert_same(ours, theirs, new_task(), SINGLE)


class Clock:
    """A task's closure with the step and the number of steps, which a rule with a schedule asks for."""

    def __init__(self, task, total: int):
        self.task, self.step, self.total_steps = task, 0, total

    def __call__(self) -> torch.Tensor:
        return self.task.closure()


@pytest.mark.parametrize("tail", [0.0, 0.3, 1.0])
def test_late_sam_is_temperon(new_task, tail):
    """It undoes the perturbation by subtraction, hence not to the bit."""
    temperon = importlib.import_module("temperon")
    ours, theirs = new_task(), new_task()
    optimizer = ours.optimizer("late_sam", rho=0.2, tail=tail, **SGD)
    peer = temperon.Temperon(
        torch.optim.SGD(theirs.model.parameters(), **SGD), total_steps=STEPS, tail_frac=tail, rho=0.2
    )
    clock = Clock(ours, STEPS)
    for clock.step in range(STEPS):
        optimizer.step(clock)
        peer.step(theirs.closure)
    assert_same(ours, theirs, new_task(), 1e-11)


# -- optax -----------------------------------------------------------------------------------------------------


@pytest.mark.slow  # JAX takes seconds to import and to compile
@pytest.mark.parametrize("momentum", [None, 0.9])
def test_sam_is_that_of_optax(new_task, momentum):
    """Another framework, automatic differentiation included: JAX in float64, the whole step in one update."""
    jax, optax = importlib.import_module("jax"), importlib.import_module("optax")
    importlib.import_module("optax.contrib")
    ours = new_task()
    optimizer = ours.optimizer("sam", rho=0.2, lr=0.1, momentum=momentum or 0.0)
    with jax.enable_x64():
        x, y = (jax.numpy.asarray(t.numpy()) for t in (ours.x, ours.y))

        def loss(params: list[Any], _: Any = None) -> Any:
            w1, b1, w2, b2 = params
            logits = jax.numpy.tanh(x @ w1.T + b1) @ w2.T + b2
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

        peer = optax.contrib.sam(
            optax.sgd(0.1, momentum=momentum),
            optax.chain(optax.contrib.normalize(), optax.sgd(0.2)),
            sync_period=2,
            opaque_mode=True,
        )

        def step(params: list[Any], state: Any) -> tuple[list[Any], Any]:
            updates, state = peer.update(jax.grad(loss)(params), state, params, grad_fn=jax.grad(loss))
            return optax.apply_updates(params, updates), state

        params = [jax.numpy.asarray(w.numpy()) for w in ours.weights()]
        state, step = peer.init(params), jax.jit(step)
        for _ in range(STEPS):
            optimizer.step(ours.closure)
            params, state = step(params, state)
        theirs = SimpleNamespace(weights=lambda: [torch.from_numpy(np.array(p)) for p in params])
    assert_same(ours, theirs, new_task(), EXACT)
