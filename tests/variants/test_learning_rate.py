"""What a rule ties to the learning rate: the present one, number or tensor, and its peak; not that at creation."""

import pytest
import torch
from torch.optim import lr_scheduler

from sambench.benchmarks.conformance.testbed import Probe
from sambench.benchmarks.resolve import make_spec
from sambench.errors import ConfigError
from sambench.variants import create, get_info, list_variants
from sambench.variants.gsam import peak, radius
from sambench.variants.settings import small

NAMES = [info.name for info in list_variants()]


def weights_after(name, lr, *, change=lambda optimizer: None, steps=6):
    """Train under a cosine; ``change`` is made between creation and the first step."""
    probe = Probe(get_info(name), small(get_info(name)), base_hyper={"lr": lr})
    change(probe.optimizer)
    schedule = lr_scheduler.CosineAnnealingLR(probe.optimizer, 8)
    for _ in range(steps):
        probe.step()
        schedule.step()
    return probe.weights()


@pytest.mark.parametrize("name", NAMES)
def test_tensor_does_what_the_number_does(name):
    number = weights_after(name, 0.05)
    tensor = weights_after(name, torch.tensor(0.05, dtype=torch.float64))
    torch.testing.assert_close(tensor, number, rtol=0, atol=1e-12)


@pytest.mark.parametrize("created", [1e-4, 1.0])
@pytest.mark.parametrize("name", NAMES)
def test_rate_at_creation_has_no_say(name, created):
    def set_by_hand(optimizer):
        for group in optimizer.param_groups:
            group["lr"] = 0.05

    assert torch.equal(weights_after(name, created, change=set_by_hand), weights_after(name, 0.05))


def radii(lr, schedule, steps, **hyper):
    """Return GSAM's radius in each step."""
    model = torch.nn.Linear(3, 2)
    optimizer = create("gsam", model, lr=lr, **{"rho": 0.1, "rho_min": 0.02, **hyper})
    scheduler = schedule(optimizer)
    found, (group,) = [], optimizer.param_groups

    def closure():
        optimizer.zero_grad()
        loss = model(torch.ones(4, 3)).square().mean()
        loss.backward()
        return loss

    for _ in range(steps):
        given = {key: group[key] for key in ("lr_min", "rho", "rho_min")}
        found.append(radius(float(group["lr"]), peak=peak(group), **given))
        optimizer.step(closure)
        scheduler.step()
    return found


def one_cycle(optimizer):
    return lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=10, pct_start=0.5)


def test_radius_has_its_ceiling_and_follows_the_peak_down():
    found = radii(0.1, one_cycle, 9)
    assert max(found) == pytest.approx(0.1)
    assert found[:5] == pytest.approx([0.1] * 5)  # no peak is declared: each of these rates is the largest so far
    assert found[5:] == sorted(found[5:], reverse=True)
    assert found[-1] < 0.05


def test_declared_peak_lets_the_radius_rise_in_a_warm_up():
    found = radii(0.1, one_cycle, 9, lr_max=1.0)
    assert found[0] == pytest.approx(0.02 + 0.08 * 0.04)
    assert max(found) == pytest.approx(0.1)
    assert found[:4] == sorted(found[:4])
    assert max(radii(0.1, one_cycle, 9, lr_max=0.5)) == pytest.approx(0.1)  # above what was declared


def test_tensor_rate_does_not_take_the_peak_along():
    found = radii(torch.tensor(0.1), lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, 10), 10)
    assert found[0] == pytest.approx(0.1)
    assert found[-1] < 0.025


def test_peak_is_part_of_the_state():
    model = torch.nn.Linear(3, 2)
    optimizer = create("gsam", model, lr=0.5)
    optimizer.param_groups[0]["peak_lr"] = 2.0
    other = create("gsam", model, lr=0.5)
    other.load_state_dict(optimizer.state_dict())
    assert peak(other.param_groups[0]) == 2.0


def test_smallest_radius_is_at_most_the_largest():
    model = torch.nn.Linear(3, 2)
    with pytest.raises(ConfigError, match=r"rho_min=0\.3 is not valid: it is at most rho=0\.2"):
        create("gsam", model, lr=0.1, rho=0.2, rho_min=0.3)
    with pytest.raises(ConfigError, match=r"rho_min=0\.3"):
        create("gsam", [{"params": model.parameters(), "rho": 0.25}], lr=0.1, rho=0.5, rho_min=0.3)
    optimizer = create("gsam", [model.weight], lr=0.1)
    with pytest.raises(ConfigError, match=r"rho_min=0\.3"):
        optimizer.add_param_group({"params": [model.bias], "rho_min": 0.3})


def test_a_run_declares_its_own_peak_and_its_id_does_not_name_it():
    spec = make_spec({"variant": "gsam", "lr": 0.3, "warmup_epochs": 1.0})
    assert "lr_max" not in spec.hyper
    assert spec.optimizer_arguments()["lr_max"] == 0.3
    given = make_spec({"variant": "gsam", "lr": 0.3, "hyper": {"lr_max": 0.6}})
    assert given.hyper["lr_max"] == given.optimizer_arguments()["lr_max"] == 0.6
    assert "lr_max" not in make_spec({"variant": "sam"}).optimizer_arguments()
