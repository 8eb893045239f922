"""How two sides are compared: in turns, many times, on the machine at hand; nothing fails on a clock."""

import statistics
import time

import pytest


@pytest.fixture
def compare(benchmark, capsys):
    """Time two sides in turns, hand the rounds to pytest-benchmark, and print medians and ratio.

    Each round starts with the other side, so that a drift of the machine's speed meets both alike.
    """

    def run(what, ours, other, rounds=5):
        times = {"ours": [], "other": []}
        sides = [("other", other), ("ours", ours)]

        def one_round():
            sides.reverse()
            for name, side in sides:
                start = time.perf_counter()
                side()
                times[name].append(time.perf_counter() - start)

        one_round()
        times["ours"].clear(), times["other"].clear()
        benchmark.pedantic(one_round, rounds=rounds, iterations=1)
        mine, theirs = statistics.median(times["ours"]), statistics.median(times["other"])
        benchmark.extra_info |= {"ours": mine, "other": theirs, "ratio": mine / theirs}
        with capsys.disabled():
            print(f"\n{what}: {mine * 1e3:.2f} ms against {theirs * 1e3:.2f} ms, ratio {mine / theirs:.3f}")
        assert len(times["ours"]) == len(times["other"]) == rounds
        return mine, theirs

    return run
