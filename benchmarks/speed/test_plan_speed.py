"""Plans, submissions and status as a function of the number of runs.

    pytest benchmarks/speed/test_plan_speed.py --benchmark-only -s

Two kinds of suite are planned: ten seeds of every setting, and settings without repetition. Half of the runs have
records when status is asked, a tenth is running (leases and checkpoints), the rest waits in the queue. SLURM is the
stand-in of the tests, so its own time is not in the numbers; what is counted is how often it is called. Times are
processor times of this process, so that other work on the machine disturbs them less. The printed exponent is the slope
of log time over log number of runs: 1 is linear. Nothing here asserts on a clock.
"""

import json
import math
import time
from pathlib import Path

import fake_slurm
import pytest
import torch

from sambench.benchmarks.suites.suite import load_suite
from sambench.cli.plan import _detectable
from sambench.results.records.lease import Holder
from sambench.results.records.record import canonical_json
from sambench.results.records.store import Store
from sambench.slurm.cluster import commands as scheduler
from sambench.slurm.cluster.packing import pack
from sambench.slurm.cluster.profile import Profile
from sambench.slurm.cluster.submission import list_submissions
from sambench.slurm.cluster.submit import submit
from sambench.slurm.options import RunOptions
from sambench.slurm.planning import make_plan
from sambench.slurm.resources import resources
from sambench.slurm.status import run_statuses

SIZES = (1_000, 2_500, 10_000)
EXAMPLE = next((Path(__file__).parents[2] / "results" / "runs").glob("*.json"))


def suite_of(folder, runs, seeds):
    rhos = [round(0.001 * (number + 1), 4) for number in range(runs // seeds // 2)]
    path = folder / "many.toml"
    path.write_text(
        f'title = "many"\nseeds = {list(range(seeds))}\n[spec]\ndataset = "digits"\nmodel = "wrn10_1"\n'
        f'[[runs]]\nvariant = "sam"\ngrid = {{ rho = {rhos} }}\n[[runs]]\nvariant = "asam"\ngrid = {{ rho = {rhos} }}\n'
    )
    return str(path)


def plan(path, store):
    """Read a suite and do all that the command does before it prints."""
    suite = load_suite(path)
    made = make_plan(suite, store, torch.device("cpu"))
    jobs = pack(made.runs)
    return made, jobs, resources(jobs, Profile.model_validate({}), 1001), _detectable(suite)


def seconds(work):
    """Processor time of the best of three."""
    times = []
    for _ in range(3):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def show(capsys, benchmark, what, measured):
    sizes, times = list(measured), list(measured.values())
    slope = math.log(times[-1] / times[0]) / math.log(sizes[-1] / sizes[0])
    benchmark.extra_info |= {"exponent": slope, **{str(size): took for size, took in measured.items()}}
    with capsys.disabled():
        row = ", ".join(f"{size:,} runs {took:.2f} s" for size, took in measured.items())
        print(f"\n{what}: {row}; exponent {slope:.2f}")
    assert len(times) == len(SIZES)


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    for name, value in {**fake_slurm.install(tmp_path / "slurm"), "FAKE_SLURM_HOLD": "1"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("seeds", [10, 1], ids=["ten seeds", "no repetition"])
def test_plan(tmp_path, benchmark, capsys, seeds):
    store = Store(tmp_path / "r")
    measured = {size: seconds(lambda size=size: plan(suite_of(tmp_path, size, seeds), store)) for size in SIZES}
    benchmark.pedantic(lambda: plan(suite_of(tmp_path, SIZES[0], seeds), store), rounds=1)
    show(capsys, benchmark, f"plan, {seeds} seeds", measured)


def test_submission(tmp_path, benchmark, capsys, cluster):
    measured = {}
    for size in SIZES:
        results = tmp_path / f"r{size}"
        made, jobs, *_ = plan(suite_of(tmp_path, size, 10), Store(results))
        before = len(fake_slurm.calls()) if (tmp_path / "slurm" / "calls.txt").exists() else 0
        start = time.process_time()
        submit(results, "many", jobs, Profile.model_validate({}), RunOptions(results), lambda text: None)
        measured[size] = time.process_time() - start
        calls = len(fake_slurm.calls()) - before
        benchmark.extra_info[f"calls of sbatch, {size}"] = calls
        assert calls == 1 + -(-size // 1001)
        assert len(made.runs) == size
    again = Store(tmp_path / "again")
    jobs = plan(suite_of(tmp_path, SIZES[0], 10), again)[1]
    order = (again.root, "many", jobs, Profile.model_validate({}), RunOptions(again.root), str)
    benchmark.pedantic(submit, order, rounds=1)
    show(capsys, benchmark, "submission", measured)


def test_status(tmp_path, benchmark, capsys, cluster, monkeypatch):
    asked = []
    ask = scheduler.run_command
    monkeypatch.setattr(scheduler, "run_command", lambda *command: asked.append(command[0]) or ask(*command))
    measured = {}
    for size in SIZES:
        store = Store(tmp_path / f"r{size}")
        suite = load_suite(suite_of(tmp_path, size, 10))
        made = make_plan(suite, store, torch.device("cpu"))
        submit(
            store.root, "many", pack(made.runs), Profile.model_validate({}), RunOptions(store.root), lambda text: None
        )
        store.check_writable()
        _fill(store, suite)
        asked.clear()
        measured[size] = seconds(lambda suite=suite, store=store: run_statuses(suite, store))
        assert asked == ["squeue"] * 3
        found = [status.state for status in run_statuses(suite, store)]
        assert [found.count(state) for state in ("done", "running", "pending")] == [
            size // 2,
            size // 10,
            size - size // 2 - size // 10,
        ]
        assert len(list_submissions(store.root)) == 1
    benchmark.pedantic(run_statuses, (suite, store), rounds=1)
    show(capsys, benchmark, "status", measured)


def _fill(store, suite):
    """Write records of the usual size for half of the runs, and what runs in progress have for a tenth."""
    example = json.loads(EXAMPLE.read_text())
    for number, (run_id, spec) in enumerate(zip(suite.run_ids, suite.specs, strict=True)):
        if number % 2 == 0:
            content = {**example, "run_id": run_id, "spec": spec.model_dump(mode="json")}
            store.path(run_id).write_text(json.dumps(content, separators=(",", ":")))
        elif number % 10 == 1:
            folder = store.checkpoints(run_id)
            folder.mkdir(parents=True)
            (folder / "step-000000100.pt").write_bytes(b"")
            (folder / "lease-000001").write_text(canonical_json(Holder("h", "b", 1).__dict__))
