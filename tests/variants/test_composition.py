"""Four kinds of plug-ins, any of each together: every step rule under a hook, an average and importance weights."""

import io

import pytest
import torch

from sambench.benchmarks.conformance.testbed import all_same_bits
from sambench.benchmarks.training.probe import Probe
from sambench.datasets.samplers import SAMPLERS
from sambench.variants import AVERAGES, HOOKS, get_info, list_variants

SETTINGS = {
    "saf_delay": 1, "saf_start": 0.0, "mesa_start": 0.0, "swa_start": 0.05,
    "adversarial_iterations": 1, "adversarial_epsilon": 50.0, "adversarial_step": 1.0,
}  # fmt: skip
QUICK = ("sgd", "sam", "unified_sam", "esam", "looksam", "ssam_f", "sampa", "m_sam")
RULES = [info.name for info in list_variants() if {"hook", "average"}.isdisjoint(info.needs)]
NAMED = [info.name for info in list_variants() if info.name not in RULES]


def together(name: str, hook: str, average: str) -> Probe:
    info = get_info(name)
    known = HOOKS.get(hook).hyper.keys() | AVERAGES.get(average).hyper.keys()
    setting = {key: value for key, value in SETTINGS.items() if key in known}
    small = {"langevin": 2} if name == "entropy_sgd" else {}
    return Probe(info, {**small, **setting}, hook=hook, average=average, norm="batch", dtype=torch.float32)


@pytest.mark.parametrize(("hook", "average"), [("saf", "ema"), ("mesa", "swa"), ("adversarial", "ema")])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in RULES]
)
def test_any_rule_goes_with_any_hook_and_average_and_resumes_to_the_bit(name, hook, average):
    whole, plain = together(name, hook, average), Probe(get_info(name), norm="batch", dtype=torch.float32)
    whole.step(6)
    buffer = io.BytesIO()
    parts = {"model": whole.model, "optimizer": whole.optimizer, "oracle": whole.oracle}
    torch.save({key: part.state_dict() for key, part in parts.items()}, buffer)
    buffer.seek(0)
    saved, rest = torch.load(buffer, weights_only=True), together(name, hook, average)
    rest.model.load_state_dict(saved["model"])
    rest.optimizer.load_state_dict(saved["optimizer"])
    rest.oracle.load_state_dict(saved["oracle"])
    rest.done = 6
    for trial in (whole, rest):
        trial.step(3)
    assert all_same_bits(whole.tensors() + whole.evaluated(), rest.tensors() + rest.evaluated())
    assert all(bool(torch.isfinite(t).all()) for t in whole.evaluated())
    plain.step(9)
    assert not all_same_bits(whole.tensors(), plain.tensors()), "the hook changes nothing"
    assert not all_same_bits(whole.tensors(), whole.evaluated()), "the average is the last weights"


def test_plug_ins_keep_their_hyper_parameters_apart():
    """A run has those of all its plug-ins in one place: no name may mean two things."""
    of_plugins = [cls.hyper for kind in (HOOKS, AVERAGES) for cls in kind.all()] + [p.hyper for p in SAMPLERS.all()]
    for info in list_variants():
        for declared in of_plugins:
            for key in info.hyper.keys() & declared.keys():
                assert info.hyper[key] == declared[key], (info.name, key)


@pytest.mark.parametrize(
    "name", [info.name for info in list_variants() if info.hook != "none" or info.average != "none"]
)
def test_a_variant_that_is_its_base_with_a_plug_in_refuses_a_plain_closure(new_task, name):
    """Without the plug-in it would silently be another method."""
    task = new_task()
    with pytest.raises(ValueError, match=f"'{name}' needs '(hook|average)'"):
        task.optimizer(name).step(task.closure)
