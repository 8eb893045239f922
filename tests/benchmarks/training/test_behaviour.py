"""Behaviour of variants: the same on every kind of processor, other when a rule is, and that of all committed rows."""

import json
import os
import subprocess
import sys

import pytest
import torch

from sambench.benchmarks.training.behaviour import _behaviour, behaviour_of, code_today
from sambench.benchmarks.training.run import run_spec
from sambench.results.records.behaviour import PATH, Code, behaviours_text, known_behaviours
from sambench.results.records.store import Store
from sambench.variants import get_info, list_variants
from sambench.variants.registry import register
from sambench.variants.sam import SAM

SCRIPT = """
import json, sambench.variants as v
from sambench.benchmarks.training.behaviour import behaviour_of
print(json.dumps({info.name: behaviour_of(info) for info in v.list_variants()}))
"""
OTHER_PROCESSOR = {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE", "ONEDNN_MAX_CPU_ISA": "SSE41"}
"""What makes torch, MKL and oneDNN compute as on a processor without wide vectors."""


def test_the_committed_file_says_how_every_variant_behaves():
    known = known_behaviours()
    assert {name: sources[get_info(name).source_hash()] for name, sources in known.items()} == {
        info.name: behaviour_of(info) for info in list_variants()
    }, "run: python -m sambench.benchmarks.conformance.variant_pages"
    assert PATH.read_text(encoding="utf-8") == behaviours_text(known)
    assert len({sources[get_info(name).source_hash()] for name, sources in known.items()}) > 40


@pytest.mark.slow  # a process of its own, with slow instructions
def test_another_processor_sees_the_same():
    environment = os.environ | OTHER_PROCESSOR | {"OMP_NUM_THREADS": "2"}
    made = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    known = known_behaviours()  # which this processor sees, too: the test above
    assert json.loads(made.stdout) == {info.name: known[info.name][info.source_hash()] for info in list_variants()}


@pytest.fixture
def changed_sam():
    """Register a variant that is SAM with a slightly larger step, and one that is SAM in another text."""

    hyper = get_info("sam").hyper

    @register("more_sam", summary="SAM that goes a little further", paper=None, gradients=2, hyper=hyper)
    class More(SAM):
        def ascent(self, at):
            return torch._foreach_mul(super().ascent(at), 1.01)

    @register("same_sam", summary="SAM in other words", paper=None, gradients=2, hyper=hyper)
    class Same(SAM):
        """SAM."""

    return get_info("more_sam"), get_info("same_sam")


def test_a_changed_rule_behaves_otherwise_and_a_changed_text_does_not(changed_sam):
    more, same = map(behaviour_of, changed_sam)
    assert same == behaviour_of(get_info("sam"))
    assert more not in (None, same)
    ours = Code(get_info("sam").source_hash(), behaviour_of(get_info("sam")))
    assert not ours.differs(code_today(changed_sam[1]))
    assert ours.differs(code_today(changed_sam[0]))


def test_a_variant_that_cannot_train_there_has_none():
    @register("none_sam", summary="needs what is not there", paper=None, gradients=1)
    class Picky(SAM):
        def __init__(self, *args, **kwargs):
            raise KeyError("images")

    assert behaviour_of(get_info("none_sam")) is None


def test_a_record_says_how_its_variant_behaved_and_no_draw_is_lost(tiny_spec, tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    _behaviour.cache_clear()
    assert behaviour_of(get_info("rand_sam"))
    assert torch.equal(before, torch.get_rng_state())
    record = run_spec(tiny_spec(variant="rand_sam", epochs=1), Store(tmp_path))
    assert record.environment.behaviour == known_behaviours()["rand_sam"][record.variant_source]
