"""From records to a board and to a tidy table: seconds, memory and growth for 600, 10,000 and 100,000 records.

    pytest benchmarks/speed/test_results_speed.py --benchmark-only -s

Each size is read by a process of its own, from single JSON files with curves of ten epochs and 10,000 test images.
``board`` and ``table`` validate every record; ``again`` is the same board from the index that the first one left.
``SAMBENCH_MOST_RECORDS=1000000`` adds a million of them, which takes hours and 5 GB of disk. Growth is the exponent b
of CPU seconds ~ records^b, by least squares: 1 is linear, less says that starting up still matters. Nothing fails on a
clock, but up to 100,000 records the peak of memory is held to 2 GB.
"""

import base64
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from synthetic import build_record

from sambench.results.records.record import run_id_of
from sambench.results.records.store import Store

SIZES = tuple(sorted({600, 10_000, 100_000, int(os.environ.get("SAMBENCH_MOST_RECORDS", 100_000))}))
SEEDS = 50
WHAT = ("board", "again", "table")
WORK = """
import sys, time
from pathlib import Path
from sambench.results.leaderboard.render import render
from sambench.results.tables.boards import gather
from sambench.results.records.store import Store
from sambench.results.tables.dataframe import frame

what, root = sys.argv[1:]
wall, start = time.perf_counter(), time.process_time()
store = Store(root)
rows = (
    len(frame(store.records()))
    if what == "table"
    else sum(page.count("| reproduced |") for page in render(gather(store)).values())
)
seconds = time.perf_counter() - wall, time.process_time() - start
peak = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
print(*seconds, peak * 1024, rows)
"""


def fill(store, count):
    """Write records of 20 variants with 50 seeds each on as many workloads as it takes, bypassing the slow fsyncs."""
    store.runs.mkdir(parents=True, exist_ok=True)
    template = json.loads(build_record(epochs=10, count=10_000, accuracy=0.95).model_dump_json())
    for number in range(len(store.run_ids()), count):
        method, seed = divmod(number, SEEDS)
        template["spec"] |= {"variant": f"v{method % 20}", "noise": method // 20 / 1000, "seed": seed}
        right = 9400 + (7 * seed + 3 * method) % 50
        bits = (b"\xff" * (right // 8) + bytes([0xFF00 >> right % 8 & 0xFF])).ljust(1250, b"\0")
        template["metrics"] |= {"accuracy": right / 10_000, "correct": base64.b64encode(bits).decode()}
        template["run_id"] = run_id_of(template["spec"])
        (store.runs / f"{template['run_id']}.json").write_text(json.dumps(template, separators=(",", ":")))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("records"))


@pytest.mark.timeout(12 * 3600)
def test_board_and_table_grow_linearly(benchmark, store, capsys, tmp_path):
    found = {}

    def measure():
        for size in SIZES:
            fill(store, size)
            cache = {**os.environ, "SAMBENCH_CACHE": str(tmp_path / str(size))}
            for what in WHAT:
                words = [sys.executable, "-c", WORK, what, str(store.root)]
                text = subprocess.run(words, capture_output=True, text=True, check=True, env=cache).stdout
                found[what, size] = [float(word) for word in text.split()]

    benchmark.pedantic(measure, rounds=1, iterations=1)
    with capsys.disabled():
        print(f"\nload of the machine: {os.getloadavg()[0]:.1f}", end="")
        for (what, size), (wall, cpu, peak, _) in found.items():
            benchmark.extra_info[f"{what} {size}"] = {"wall": wall, "cpu": cpu, "peak": peak}
            print(
                f"\n{what} of {size:>7,} records: {wall:.1f} s ({cpu:.1f} s of CPU), "
                f"{1e6 * cpu / size:.0f} us a record, {peak / 1e9:.2f} GB",
                end="",
            )
        for what in WHAT:
            seconds = [found[what, size][1] for size in SIZES]
            growth = benchmark.extra_info[f"{what} growth"] = np.polyfit(np.log(SIZES), np.log(seconds), 1)[0]
            print(f"\n{what}: CPU seconds grow as records^{growth:.2f}", end="")
    assert all(peak < 2e9 for (_, size), (*_, peak, _) in found.items() if size <= 100_000)
    assert [found["table", size][3] for size in SIZES] == list(SIZES)
    for what in ("board", "again"):
        assert [found[what, size][3] for size in SIZES] == [size // SEEDS for size in SIZES]
