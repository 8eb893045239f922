"""The algebraic identities of the family: those that are settings are declared, those that are not are tested here."""

import pytest
import torch

from sambench.benchmarks.conformance.testbed import distance
from sambench.benchmarks.training.probe import Probe
from sambench.variants import TINY, create, get_info, list_variants

DUE = {
    "ae_sam": {"sam", "sgd"},  # threshold -inf, +inf
    "cr_sam": {"sam"},  # gamma = beta = 0
    "ema": {"sgd"},  # decay = 0: the average of one model
    "entropy_sgd": {"sgd"},  # no Langevin steps
    "esam": {"sam"},  # beta = gamma = 1
    "fsam": {"sam"},  # sigma = 0
    "gnp": {"sam", "sgd", "wsam"},  # alpha = 1, alpha = 0, alpha = gamma / (1 - gamma)
    "gsam": {"sam"},  # alpha = 0
    "lookahead": {"sgd"},  # alpha = 1
    "looksam": {"sam"},  # k = 1
    "m_sam": {"sam"},  # m = B
    "mesa": {"sgd"},  # weight = 0
    "saf": {"sgd"},  # weight = 0
    "sam_on": {"sam"},  # all parameters
    "ssam_d": {"sam"},  # s = 0
    "ssam_f": {"sam"},  # s = 0
    "swa": {"sgd"},  # averages nothing
    "unified_sam": {"sam", "usam"},  # lam = 1, lam = 0
    "vasso": {"sam"},  # theta = 1
    "wsam": {"sam", "sgd", "gnp"},  # gamma = 1/2, gamma = 0
}
NO_NEUTRAL = {
    "bsam": "an optimizer of its own, which never steps its base",
    "sampa": "it takes no gradient at the weights",
    "sam_sps": "its step size stands in for the learning rate",
    "usam_sps": "its step size stands in for the learning rate",
}


@pytest.mark.parametrize("name", DUE)
def test_identity_of_the_literature_is_declared(name):
    """That what is declared holds is check 2 of the conformance suite."""
    assert DUE[name] <= {identity.equals for identity in get_info(name).identities}


@pytest.mark.parametrize("name", [info.name for info in list_variants()])
def test_every_variant_reduces_to_its_base_somewhere(name):
    """rho = 0 is the base optimizer for all of them; the few exceptions are known by name, and say why themselves."""
    info = get_info(name)
    assert (info.neutral is None) == (name in NO_NEUTRAL)
    assert info.neutral is not None or info.notes


def steps(one: Probe, two: Probe, count: int = 10) -> float:
    """Make steps side by side and return the largest difference of a weight on the way."""
    worst = 0.0
    for _ in range(count):
        one.step()
        two.step()
        worst = max(worst, distance(one.weights(), two.weights()))
    return worst


def test_usam_is_sam_with_a_radius_in_proportion_to_the_gradient():
    usam, sam = Probe(get_info("usam"), {"rho": 0.3}), Probe(get_info("sam"))
    for _ in range(10):
        sam.bind()()
        norm = torch.nn.utils.get_total_norm([p.grad for p in sam.model.parameters()])
        sam.optimizer.param_groups[0]["rho"] = 0.3 * float(norm)
        assert steps(usam, sam, 1) < 1e-12


def test_scheduled_unified_sam_is_a_sequence_of_fixed_ones():
    scheduled, fixed = Probe(get_info("unified_sam"), {"lam": "1-1/t"}), Probe(get_info("unified_sam"))
    for t in range(1, 11):
        fixed.optimizer.param_groups[0]["lam"] = 1.0 - 1.0 / t
        assert steps(scheduled, fixed, 1) == 0.0


@pytest.mark.parametrize("gamma", [0.3, 0.8])
def test_coupled_and_decoupled_wsam_are_one_on_plain_sgd(gamma):
    one, two = (
        Probe(get_info("wsam"), {"gamma": gamma, "decoupled": decoupled}, base="stateless")
        for decoupled in (True, False)
    )
    assert steps(one, two) < 1e-12
    one, two = (Probe(get_info("wsam"), {"gamma": gamma, "decoupled": decoupled}) for decoupled in (True, False))
    assert steps(one, two) > 1e-6


@pytest.mark.parametrize("gamma", [0.2, 0.5, 0.7])
def test_gnp_is_coupled_wsam_at_any_weight(gamma):
    gnp = Probe(get_info("gnp"), {"alpha": gamma / (1 - gamma), "rho": 0.1})
    wsam = Probe(get_info("wsam"), {"gamma": gamma, "decoupled": False, "rho": 0.1})
    assert steps(gnp, wsam) < 1e-12


def test_asam_where_nothing_is_a_weight_is_sam():
    """T = 1 on every parameter whose name does not say weight."""
    asam, sam = Probe(get_info("asam"), {"rho": 0.1}), Probe(get_info("sam"), {"rho": 0.1})
    renamed = [(f"p{i}", p) for i, p in enumerate(asam.model.parameters())]
    asam.optimizer = create("asam", renamed, lr=0.05, momentum=0.9, weight_decay=1e-3, rho=0.1)
    assert steps(asam, sam) < 1e-12


def test_stable_sam_goes_in_the_direction_of_sam():
    """Its gradient is SAM's, brought to the length of the plain one."""
    ways, norms = [], []
    for name in ("stable_sam", "sam", "sgd"):
        trial = Probe(get_info(name), {} if name == "sgd" else {"rho": 0.1}, base="stateless")
        start = trial.weights()
        trial.step()
        way = trial.weights() - start
        ways.append(way / (way.norm() + TINY))
        norms.append(float(way.norm()))
    assert distance(ways[0], ways[1]) < 1e-12
    assert distance(ways[0], ways[2]) > 1e-6
    assert norms[0] == pytest.approx(norms[2], rel=1e-12)
    assert norms[0] != pytest.approx(norms[1], rel=1e-6)


def test_sampa_without_its_perturbed_gradient_is_the_optimistic_gradient_method():
    """lam = 1: w+ = w - eta g(y+) with y+ = w - eta g(y), past extragradient (Popov 1980), on plain SGD."""
    sampa, plain = (
        Probe(get_info("sampa"), {"lam": 1.0}, base="stateless"),
        Probe(get_info("sgd"), base="stateless"),
    )
    rate, g = 0.05, torch.zeros(())
    for t in range(8):
        sampa.step()
        oracle, params, w = plain.bind(), list(plain.model.parameters()), plain.weights()
        if t:
            torch.nn.utils.vector_to_parameters(w - rate * g, params)
        oracle()
        g = torch.nn.utils.parameters_to_vector([p.grad for p in params])
        torch.nn.utils.vector_to_parameters(w - rate * g, params)
        plain.done += 1
        assert distance(sampa.weights(), plain.weights()) < 1e-12


def test_averaging_one_model_is_that_model():
    """SWA over a single epoch end is the network as it stood there."""
    swa, sgd = Probe(get_info("swa"), {"swa_start": 0.9}), Probe(get_info("sgd"))
    for trial in (swa, sgd):
        trial.step(40)
    with swa.oracle.average.applied():
        assert swa.oracle.average.count == 1
        assert distance(swa.weights(), sgd.weights()) == 0.0


# -- what is an identity only on one batch ---------------------------------------------------------------------


class Batches:
    """A closure over batches b_0, b_1, ... of f_b(w) = |w - b|^2 / 2 + |w|^4 / 4, with the one before at hand."""

    def __init__(self, w, batches):
        self.w, self.batches, self.step, self.previous = w, batches, 0, True

    def __call__(self, *, previous=False):
        self.w.grad = None
        with torch.enable_grad():
            at = self.batches[max(0, self.step - previous)]
            loss = (self.w - at).square().sum() / 2 + self.w.square().sum().square() / 4
            loss.backward()
        return loss


def walk(name, batches, **hyper):
    w = torch.tensor([0.5, -0.25], dtype=torch.float64, requires_grad=True)
    optimizer, closure = create(name, [w], lr=0.1, momentum=0.9, **hyper), Batches(w, batches)
    path = []
    for closure.step in range(len(batches)):
        optimizer.step(closure)
        path.append(w.detach().clone())
    return torch.stack(path)


def test_sampa_is_its_base_optimizer_at_no_setting_but_on_the_batch_before():
    """At rho = lam = 0 it descends on the batch of the step before: the base optimizer a step late, and never it."""
    batches = torch.randn(8, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    late = torch.cat([batches[:1], batches[:-1]])
    assert torch.equal(walk("sampa", batches, rho=0.0, lam=0.0), walk("sgd", late))
    assert torch.equal(walk("sampa", batches[:1].expand(8, 2), rho=0.0, lam=0.0), walk("sgd", batches[:1].expand(8, 2)))
    base = walk("sgd", batches)
    for rho in (0.0, 0.1):
        for lam in (0.0, 0.2, 1.0):
            assert not torch.allclose(walk("sampa", batches, rho=rho, lam=lam), base, atol=1e-3)
    assert get_info("sampa").neutral is None
