"""Measuring as jobs: what is told that its end is near goes on, and every measurement is there exactly once."""

import json

import pytest
from real_slurm import disturbances
from real_slurm.daemons import wait_until
from real_slurm.lab import SPEC

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]

SUITE = f"""\
title = "Two networks to measure"
seeds = [0, 1]
{SPEC}
epochs = 1
[[runs]]
variant = "sgd"
"""
PATIENT = """\
import time
from sambench.benchmarks.measuring.registry import measure
from sambench.hyper import Hyper

@measure("patient", "first weight, after a second", group="other",
         settings={"number": Hyper(0, "tells requests apart", low=0)}, values={"weight": "w_0"})
def patient(subject, *, number):
    time.sleep(1.0)
    return {"weight": float(next(subject.network.parameters()).flatten()[0])}
"""


def test_measuring_goes_on_after_the_signal_before_the_end(cluster, lab):
    bench = lab(SUITE)
    bench.sambench("launch", "--on", "local", "--workers", "2", "--keep", "weights")
    plugin = bench.folder / "patient.py"
    plugin.write_text(PATIENT)
    what = [word for number in range(10) for word in ("--what", f"patient:number={number}")]
    options = ("--plugin", str(plugin), *what)
    bench.sambench("measure", *options, *bench.launch_options[:-2], "--runs-per-job", "2")

    def made():
        return sorted(bench.results.glob("measurements/*/*.json"))

    wait_until(lambda: len(made()) >= 3, 120, "measurements", seen=bench.describe)
    (job,) = (job for job in bench.jobs() if job.runs)
    disturbances.warn_of_end(cluster, job)
    bench.finish(300)
    assert [job.restarts for job in bench.jobs()] == [1]
    assert len(made()) == 20, bench.describe()
    assert len({json.loads(path.read_text())["measurement_id"] for path in made()}) == 20
    assert " 0 of 0 runs" in bench.sambench("measure", *options, "--plan")
