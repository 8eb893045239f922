"""Every variant as an object of a user's program: copied, pickled, scheduled, extended, printed."""

import copy
import pickle

import pytest
import torch
from torch.utils._pytree import tree_map

from sambench.benchmarks.conformance.testbed import all_same_bits
from sambench.benchmarks.training.probe import Net, Probe, data
from sambench.variants import get_info, list_variants
from sambench.variants.settings import small

NAMES = [info.name for info in list_variants()]
OWN_STEP_SIZE = {"sam_sps", "usam_sps"}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OWN_STEP_SIZE])
def test_lr_zero_leaves_every_bit(name):
    trial = Probe(get_info(name), base_hyper={"lr": 0.0}, dtype=torch.float32)
    before, storage = trial.tensors(), [p.data_ptr() for p in trial.model.parameters()]
    trial.step(7)
    assert all_same_bits(trial.tensors(), before)
    assert [p.data_ptr() for p in trial.model.parameters()] == storage


@pytest.mark.parametrize("how", ["deepcopy", "pickle"])
@pytest.mark.parametrize("name", NAMES)
def test_copy_goes_on_alike(name, how):
    trial = Probe(get_info(name))
    trial.step(2)
    pair = trial.model, trial.optimizer
    model, optimizer = copy.deepcopy(pair) if how == "deepcopy" else pickle.loads(pickle.dumps(pair))
    twin = Probe(get_info(name), model=model)
    twin.optimizer, twin.done = optimizer, trial.done
    twin.oracle.load_state_dict(trial.oracle.state_dict())
    trial.step(3)
    twin.step(3)
    assert all_same_bits(trial.tensors(), twin.tensors())
    twin.step()
    assert not all_same_bits(trial.tensors(), twin.tensors())


@pytest.mark.parametrize("name", NAMES)
def test_schedulers_take_it_for_an_optimizer(name):
    trial = Probe(get_info(name))
    optimizer = trial.optimizer
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 4)
    for _ in range(4):
        trial.step()
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == optimizer.base.param_groups[0]["lr"] < 1e-9
    assert all(bool(torch.isfinite(t).all()) for t in trial.tensors())


@pytest.mark.parametrize("name", NAMES)
def test_pre_hook_is_called_once_for_each_base_step_that_stays(name):
    trial, seen = Probe(get_info(name)), []
    trial.optimizer.register_step_pre_hook(lambda *_: seen.append(1))
    trial.step(3)
    assert len(seen) == 3 * (trial.optimizer.param_groups[0]["k"] if name == "lookbehind_sam" else 1)


@pytest.mark.parametrize("name", NAMES)
def test_added_group_is_trained_with_the_defaults(name):
    """A layer that joins in mid-run: its state starts then, and what the group leaves out takes the defaults."""
    info = get_info(name)
    model = Net("layer", torch.float64)
    trial = Probe(info, model=model)
    late = [trial.optimizer.param_groups[0]["params"].pop() for _ in range(2)]
    trial.step(2)
    before = [p.detach().clone() for p in late]
    trial.optimizer.add_param_group({"params": late, "lr": 0.5})
    group = trial.optimizer.param_groups[1]
    assert {key: group[key] for key in info.hyper} == {key: trial.optimizer.param_groups[0][key] for key in info.hyper}
    assert group["lr"] == 0.5
    trial.step(3)
    assert not any(torch.equal(p, w) for p, w in zip(late, before, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_text_names_the_rule_and_its_values(name):
    optimizer = Probe(get_info(name)).optimizer
    text = repr(optimizer)
    assert text.startswith(f"{type(optimizer).__name__} (")
    assert all(f"{key}: " in text for key in get_info(name).hyper)


@pytest.mark.parametrize("name", NAMES)
def test_model_changes_its_type_in_mid_training(name):
    """``model.double()`` between two steps: what is remembered follows, as if it had been of that type."""
    info = get_info(name)
    trial = Probe(info, small(info), dtype=torch.float32)
    trial.step(3)
    saved = copy.deepcopy((trial.model.state_dict(), trial.optimizer.state_dict(), trial.oracle.state_dict()))
    trial.model.double()
    trial.batches = data(torch.float64, info.sampler != "uniform")
    twin = Probe(info, small(info), dtype=torch.float64)
    weights, state, oracle = tree_map(lambda t: t.double() if is_float(t) else t, saved)
    twin.model.load_state_dict(weights)
    twin.optimizer.load_state_dict(state)
    for one in (trial, twin):  # its plug-ins, and the batch of the step before
        one.oracle.load_state_dict(oracle)
        one.done = 3
        one.step(4)
    assert all(t.dtype == torch.float64 for t in trial.tensors() if is_float(t))
    torch.testing.assert_close(trial.weights(), twin.weights(), rtol=0, atol=1e-6)
    for mine, other in zip(trial.evaluated(), twin.evaluated(), strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-6)


def is_float(value):
    return isinstance(value, torch.Tensor) and value.is_floating_point()
