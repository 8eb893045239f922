"""Peak memory: what is held and given back counts, what came before does not."""

import sys

import torch

from sambench.benchmarks.training.meters import PeakMemory
from sambench.benchmarks.training.run import run_spec
from sambench.results.records.store import Store

MB = 2**20


def hold(megabytes: int) -> None:
    """Touch that much memory, and give it back."""
    torch.ones(megabytes * MB // 4).add_(1)


def test_the_peak_counts_what_was_given_back_and_starts_anew() -> None:
    first = PeakMemory(torch.device("cpu"))
    before = first.bytes()
    hold(200)
    peak = first.bytes()
    assert before is not None
    assert peak is not None
    assert 190 * MB < peak - before < 260 * MB
    if sys.platform == "linux":  # elsewhere the peak is that of the process's whole life, as documented
        after = PeakMemory(torch.device("cpu")).bytes()
        assert after is not None
        assert after < peak - 150 * MB


def test_a_record_carries_the_peak_of_its_run(tiny_spec, tmp_path) -> None:
    record = run_spec(tiny_spec(variant="sgd"), Store(tmp_path))
    assert record.peak_memory is not None
    assert 100 * MB < record.peak_memory < 20_000 * MB
