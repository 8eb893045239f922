"""The commands as a user of a cluster meets them, on the stand-in for SLURM."""

import fake_slurm
import pytest
import torch
from real_slurm.evidence import without_times
from typer.testing import CliRunner

import sambench.slurm.retry as retry
from sambench import cli
from sambench.benchmarks.suites.suite import load_suite
from sambench.benchmarks.training.environment import describe_environment
from sambench.cli.status import MAX_LISTED_PER_STATE
from sambench.errors import SambenchError
from sambench.results.records.lease import Lease
from sambench.results.records.manifest import read_manifest
from sambench.results.records.store import Store
from sambench.slurm import status
from sambench.slurm.cluster import commands as scheduler
from sambench.slurm.cluster.submission import list_submissions
from sambench.slurm.logs import under_way
from sambench.slurm.options import RunOptions
from sambench.slurm.plan import Planned
from sambench.slurm.worker import attempt

SUITE = """
title = "Tiny runs"
seeds = [0, 1]
[spec]
model = "wrn10_1"
subset = 96
batch_size = 32
epochs = 1
split = "holdout"
[[runs]]
variant = "sgd"
[[runs]]
variant = "sam"
"""


def sambench(*words, code=0):
    """Run a command in this process; return what it prints, the message of an expected error included."""
    result = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(cli.app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        assert isinstance(result.exception, SambenchError), result.exception
        assert code == 2
        return f"{result.output}{result.exception}"
    assert result.exit_code == code, result.output
    return result.output


def submission(tmp_path):
    """Return the text that sbatch got in the newest launch."""
    return next(list_submissions(tmp_path / "r")[-1].folder.glob("jobs/*_submission.sh")).read_text()


@pytest.fixture
def suite(tmp_path):
    path = tmp_path / "four.toml"
    path.write_text(SUITE)
    return path


@pytest.mark.slow  # starts several processes
def test_local_debug_and_slurm_make_the_same_records(suite, running, tmp_path, until, essence):
    sambench("launch", suite, "--on", "local", "--results", tmp_path / "local", "--device", "cpu", "--workers", 1)
    sambench("launch", suite, "--on", "debug", "--results", tmp_path / "debug", "--device", "cpu")
    text = sambench("launch", suite, "--on", "slurm", "--results", tmp_path / "slurm")
    assert "submitted 4 jobs as array" in text
    until(lambda: len(Store(tmp_path / "slurm").run_ids()) == 4)
    for run_id in load_suite(str(suite)).run_ids:
        local, debug, slurm = (Store(tmp_path / place).read(run_id) for place in ("local", "debug", "slurm"))
        assert essence(local) == essence(debug) == essence(slurm)
        assert local.environment.threads == slurm.environment.threads == 1
    boards = []
    for place in ("local", "slurm"):
        sambench("leaderboard", "--results", tmp_path / place)
        boards.append(without_times((tmp_path / place / "boards" / "four.md").read_text()))
    assert boards[0] == boards[1]
    assert "`sambench launch four.toml`: 4 runs" in boards[0]


def test_a_study_is_submitted_like_a_suite_and_says_how_it_is_measured(cluster, tmp_path, monkeypatch):
    """Its prediction is written before anything is submitted, and each point on the way has a command."""
    monkeypatch.setattr("sambench.slurm.estimate.measured_speed", lambda *_: 1.0)
    where = ("--results", tmp_path / "r")
    text = sambench("study", "run", "stability_on_the_way", "--on", "slurm", "--runs-per-job", 8, *where)
    assert "submitted 10 jobs as array" in text
    lines = [line for line in text.splitlines() if line.startswith("then: sambench measure stability-on-the-way")]
    points = [" --epoch 1 ", " --epoch 2 ", " --epoch 5 ", " --epoch 10 ", " --results "]
    assert [point in f"{line} " for point, line in zip(points, lines, strict=True)] == [True] * 5
    assert "--epoch" not in lines[-1]
    manifest = read_manifest(tmp_path / "r" / "suites" / "stability-on-the-way.json")
    assert manifest.predictions.keys() == {"stability_on_the_way"}
    assert manifest.registered < list_submissions(tmp_path / "r")[-1].folder.stat().st_mtime
    assert "not run yet" in sambench("study", "describe", "stability_on_the_way", *where)


def test_a_plan_says_all_that_matters_and_submits_nothing(suite, cluster, tmp_path):
    words = ["--gpus", "1", "--runs-per-job", "2", "--time", "30", "--array-parallelism", "1"]
    text = sambench("plan", suite, "--on", "slurm", "--results", tmp_path / "r", *words)
    for what in (
        "gradient evaluations 18",
        "jobs 2 in 1 array, 1 run at a time in each",
        "GPU hours",
        "time limit 30 all jobs fit",
        "disk",
        "smallest difference that shows 2 seeds a method show no difference; plan at least 3",
        "there is no GPU here",
    ):
        assert what in " ".join(text.split())
    assert "GPU hours" in sambench("plan", suite, "--on", "slurm", "--results", tmp_path / "r", "--gres", "gpu:a100:1")
    assert not (tmp_path / "r").exists()
    assert not (cluster / "jobs.db").exists()


@pytest.mark.parametrize(
    ("visible", "words", "lines"),
    [
        (None, [], ("with 8 at a time", "GPUs 0, 1, 2, 3, 4, 5, 6, 7")),
        (None, ["--gpus", "0,2", "--runs-per-gpu", 3], ("with 6 at a time", "GPUs 0, 2", ", 3 runs at a time (")),
        (None, ["--runs-per-gpu", 20, "--isolate"], ("with 160 at a time", "--runs-per-gpu 20 --isolate")),
        (None, ["--no-isolate"], ("with 8 at a time", "--no-isolate")),
        ("1,3", [], ("with 2 at a time", "GPUs 0, 1")),
        (None, ["--devices", 4], ("with 2 at a time",)),
    ],
)
def test_a_plan_for_the_gpus_of_this_machine(suite, tmp_path, monkeypatch, visible, words, lines):
    count = 8
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        count = len(visible.split(","))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr("sambench.slurm.executor.pick_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr("sambench.slurm.estimate.measured_speed", lambda *_: 1.0)
    text = " ".join(sambench("plan", suite, "--results", tmp_path / "r", *words).split())
    assert all(line in text for line in (*lines, "memory of a GPU about"))


def test_a_plan_writes_nothing_where_runs_are_under_way(suite, tmp_path, monkeypatch):
    store = Store(tmp_path / "r")
    monkeypatch.setattr(status, "filesystem_time", lambda folder: pytest.fail("it writes"))
    with Lease(store.checkpoints(load_suite(str(suite)).run_ids[0])):
        text = " ".join(sambench("plan", suite, "--results", store.root).split())
    assert "under way already 1 to do 3" in text


@pytest.mark.parametrize("command", ["status", "cancel", "plan"])
def test_a_file_in_place_of_the_results_is_refused(suite, cluster, tmp_path, command):
    (tmp_path / "r").write_text("")
    assert str(tmp_path / "r") in sambench(command, suite, "--results", tmp_path / "r", code=2)


def test_the_life_of_a_launch(suite, cluster, tmp_path):
    where = ["--results", tmp_path / "r"]
    sambench("launch", suite, "--on", "slurm", *where, "--extra", "nice=5", "--partition", "gpu")
    assert "4 runs: 4 pending" in (text := sambench("status", suite, *where))
    assert text.count("queued: Priority") == 4
    again = " ".join(sambench("launch", suite, "--on", "slurm", *where).split())
    assert "under way already 4 to do 0" in again
    assert len(fake_slurm.jobs()) == 4
    assert "cancelled 4 jobs" in sambench("cancel", suite, *where)
    assert "4 runs: 4 cancelled" in sambench("status", suite, *where)
    assert "no job or process of this suite" in sambench("cancel", suite, *where)
    assert "0 runs to try again" in sambench("retry", suite, "--on", "slurm", *where)
    sambench("launch", suite, "--on", "slurm", *where)
    fake_slurm.set_jobs(state="FAILED", ended=1.0, accounted=1)
    assert "4 runs: 4 lost" in sambench("status", suite, *where)
    assert "4 runs to try again" in sambench("retry", suite, "--on", "slurm", "--backoff", 30, *where)
    assert "--begin=now+30" in submission(tmp_path)
    fake_slurm.set_jobs(state="FAILED", ended=1.0, accounted=1)
    text = sambench("retry", suite, "--on", "slurm", "--most", 5, "--backoff", 30, *where)
    assert "4 runs to try again" in text
    assert "--begin=now+60" in submission(tmp_path)
    fake_slurm.set_jobs(state="FAILED", ended=1.0, accounted=1)
    assert sambench("retry", suite, "--on", "slurm", "--most", 3, *where).count("given up after 3 attempts") == 4


def test_the_life_of_measuring_jobs(suite, cluster, tmp_path):
    """What waiting jobs measure is not submitted again, and they are cancelled with their suite, or by a run of it."""
    suite.write_text(SUITE.replace("[0, 1]", "[0]").replace("wrn10_1", "mlp"))
    where = ["--results", tmp_path / "r"]
    sambench("launch", suite, "--on", "debug", "--keep", "weights@0", "--device", "cpu", *where)
    ask = ["measure", suite, "--on", "slurm", *where]
    sambench(*ask, "--what", "weight_norms")
    assert "2 runs are left out: jobs that wait or run measure them" in sambench(*ask, "--what", "weight_norms")
    assert len(fake_slurm.jobs()) == 2
    sambench(*ask, "--what", "margin")
    assert len(fake_slurm.jobs()) == 4
    sambench(*ask, "--what", "weight_norms", "--epoch", 0)  # of other weights
    assert len(fake_slurm.jobs()) == 6
    run_id = load_suite(str(suite)).run_ids[0]
    sambench("measure", run_id[:10], "--on", "slurm", "--what", "path_norm", *where)
    assert "cancelled 7 jobs" in sambench("cancel", suite, *where)
    sambench(*ask, "--what", "weight_norms")
    assert [job["state"] for job in fake_slurm.jobs()] == ["CANCELLED"] * 7 + ["PENDING"] * 2
    assert "uses one device" in sambench(*ask, "--what", "margin", "--gpus", 4, code=2)


def test_cancelling_where_slurm_is_not(suite, cluster, tmp_path, monkeypatch):
    where = ["--results", tmp_path / "r"]
    sambench("launch", suite, "--on", "slurm", *where)
    monkeypatch.setenv("PATH", str(tmp_path))
    text = sambench("cancel", suite, *where, code=2)
    assert "SLURM is not here: cancel their jobs where they were submitted" in text


@pytest.mark.parametrize("words", [["--compile"], ["--cuda-graph"], ["--log", "tensorboard"]])
def test_a_retry_makes_runs_as_they_were_launched(suite, cluster, tmp_path, words):
    where = ["--on", "slurm", "--results", tmp_path / "r"]
    sambench("launch", suite, *where, *words)
    fake_slurm.set_jobs(state="FAILED", ended=1.0, accounted=1)
    sambench("retry", suite, *where, *words)
    first, again = (launch.options for launch in list_submissions(tmp_path / "r"))
    assert (first.compiler, first.cuda_graph, first.log_to) == (again.compiler, again.cuda_graph, again.log_to)
    assert first.compiler or first.cuda_graph or first.log_to


def test_runs_that_are_alike_are_counted_after_the_first_few(suite, cluster, tmp_path):
    suite.write_text(SUITE.replace("seeds = [0, 1]", f"seeds = {list(range(30))}"))
    where = ["--results", tmp_path / "r"]
    sambench("launch", suite, "--on", "slurm", *where)
    text = sambench("status", suite, *where)
    assert text.count("queued: Priority") == MAX_LISTED_PER_STATE + 1
    assert f"and {60 - MAX_LISTED_PER_STATE} more" in text
    assert "60 runs: 60 pending" in text
    assert (every := sambench("status", suite, "--all", *where)).count("queued: Priority") == 60
    assert "more" not in every


def test_retries_in_local_processes_are_counted_and_come_later_each_time(suite, tmp_path, monkeypatch):
    plugin, waits = tmp_path / "fails.py", []
    plugin.write_text(
        "from sambench.variants import register\nfrom sambench.variants.sgd import SGD\n\n\n"
        '@register("fails", summary="fails", paper=None, gradients=1, transient=0, hyper={}, neutral={})\n'
        "class Fails(SGD):\n    def update(self, closure):\n        raise RuntimeError('on purpose')\n"
    )
    suite.write_text(SUITE.replace('"sam"', '"fails"'))
    monkeypatch.setattr(retry.time, "sleep", waits.append)
    where = ["--on", "debug", "--results", tmp_path / "r", "--plugin", plugin, "--device", "cpu"]
    sambench("launch", suite, *where, code=2)
    for _ in range(2):
        assert "2 runs to try again" in sambench("retry", suite, *where, "--backoff", 5, code=2)
    assert [one for one in waits if one >= 1] == [5, 10]  # who waits for git sleeps for fractions of a second
    assert sambench("retry", suite, *where).count("given up after 3 attempts") == 2


def test_a_log_is_followed_until_its_run_has_ended(suite, cluster, tmp_path, monkeypatch):
    where = ["--results", tmp_path / "r"]
    sambench("launch", suite, "--on", "slurm", *where)
    store, run_id = Store(tmp_path / "r"), load_suite(str(suite)).run_ids[0]
    assert under_way(store, run_id)()
    fake_slurm.set_jobs(state="FAILED", ended=1.0, accounted=1)
    assert not under_way(store, run_id)()
    assert sambench("logs", run_id, "--follow", *where) == ""


@pytest.mark.slow  # starts five processes
def test_several_runs_at_a_time_in_one_job(suite, running, tmp_path, until, essence):
    sambench("launch", suite, "--on", "local", "--results", tmp_path / "local", "--device", "cpu")
    where = ["--results", tmp_path / "r"]
    sambench("launch", suite, "--on", "slurm", *where, "--runs-per-job", 4, "--runs-per-gpu", 2)
    until(lambda: len(Store(tmp_path / "r").run_ids()) == 4)
    assert len(fake_slurm.jobs()) == 1
    for run_id in load_suite(str(suite)).run_ids:
        assert essence(Store(tmp_path / "r").read(run_id)) == essence(Store(tmp_path / "local").read(run_id))


def test_logs_by_the_start_of_an_id(suite, running, tmp_path, until):
    where = ["--results", tmp_path / "r"]
    sambench("launch", suite, "--on", "slurm", *where, "--runs-per-job", 1)
    run_id = load_suite(str(suite)).run_ids[0]
    until(lambda: Store(tmp_path / "r").has(run_id))
    text = sambench("logs", run_id[:10], "--follow", *where)
    assert f"{run_id[:12]} sgd seed 0 started" in text
    assert "has a run 'zzz'" in sambench("logs", "zzz", *where, code=2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--on", "moon"], "unknown executor 'moon'. Valid: debug, local, slurm"),
        (["--partition", "gpu"], "--partition means something on a cluster only"),
        (["--gpus", "64"], "there is no GPU 64 here"),
        (["--gpus", "all"], "--gpus 'all' is not valid here: write the numbers of GPUs, as in 0,2"),
        (["--runs-per-gpu", "0"], "write a whole number from 1 on"),
        (["--profile", "gpu"], "--profile means something on a cluster only"),
        (["--on", "slurm", "--profile", "gpuu"], "did you mean 'gpu'"),
        (["--on", "slurm", "--partition", "nope"], "does not know partition 'nope'; valid: debug, gpu"),
        (["--on", "slurm", "--workers", "7"], "--workers is of this machine"),
        (["--on", "slurm", "--extra", "cpus-per-task=8"], "cpus-per-task cannot be given: the fields cpus and threads"),
        (["--on", "slurm", "--time", "soon"], "time 'soon' is not valid"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_told_and_nothing_is_submitted(suite, cluster, tmp_path, words, message):
    assert message in sambench("launch", suite, "--results", tmp_path / "r", *words, code=2)
    assert not (cluster / "jobs.db").exists() or not fake_slurm.jobs()


def test_without_slurm(suite, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    where = ["--on", "slurm", "--results", tmp_path / "r"]
    assert "SLURM is not here" in sambench("launch", suite, *where, code=2)
    text = " ".join(sambench("plan", suite, *where, "--gpus", 1, "--constraint", "a100").split())
    assert "jobs 4 in 1 array" in text
    assert "SLURM is not here: arrays of 1000 jobs" in text
    assert "wrn10_1 on digits: not measured: 25% of the 19.5 TFLOPS that are published for a100 in fp32" in text
    assert "memory of a GPU about" in text
    assert "4 runs: 4 pending" in sambench("status", suite, "--results", tmp_path / "r")


def test_merging(suite, tmp_path):
    sambench("launch", suite, "--on", "debug", "--results", tmp_path / "a", "--device", "cpu")
    text = sambench("merge", tmp_path / "a", "--results", tmp_path / "b")
    assert "4 new, 0 here already, 0 conflicts" in text
    store = Store(tmp_path / "b")
    path = store.path(store.run_ids()[0])
    record = store.read(path.stem)
    path.write_text(record.model_copy(update={"weights": "0" * 64}).model_dump_json())
    text = sambench("merge", tmp_path / "a", "--results", tmp_path / "b", code=2)
    assert "0 new, 3 here already, 1 conflicts" in text
    assert store.read(path.stem).weights == "0" * 64


def test_a_suite_of_track_t_is_made_on_its_device_alone(suite, tmp_path):
    spec = load_suite(str(suite)).specs[0]
    run = Planned(spec, None, 3, 3.0, 0.0, 1.0)
    here = describe_environment(torch.device("cpu"))
    for name, host in (("a device that nobody has", here.host), (here.device_name, "elsewhere")):
        options = RunOptions(tmp_path / "r", device="cpu", device_name=name, host=host)
        event = attempt(run, options, options.prepare(), lambda event: None)
        assert event.kind == "failed"
        assert f"was calibrated on {name} with 1 threads, host {host}, this is" in event.text
        assert not Store(tmp_path / "r").run_ids()
    options = RunOptions(tmp_path / "r", device="cpu", device_name=here.device_name, host=here.host)
    assert attempt(run, options, options.prepare(), lambda event: None).kind == "completed"


def test_runs_of_track_t_take_turns(suite, cluster, tmp_path):
    here = describe_environment(torch.device("cpu"))
    suite.write_text(
        SUITE.replace("seeds", 'tracks = ["T"]\nseeds').replace("epochs = 1\n", "").replace('split = "holdout"\n', "")
        + f'[time]\nseconds = 4\n[time.calibration]\ndevice_name = "{here.device_name}"\nthreads = 1\n'
        f'host = "{here.host}"\ntorch = "2"\nturns = 3\n[time.calibration.seconds]\nsgd = 1.0\nsam = 2.0\n'
    )
    sambench("launch", suite, "--on", "slurm", "--results", tmp_path / "r")
    assert "--array=0-3%1\n" in submission(tmp_path)
    fake_slurm.set_jobs(state="FAILED", ended=1.0, accounted=1)
    sambench("retry", suite, "--on", "slurm", "--results", tmp_path / "r")
    assert "--array=0-3%1\n" in submission(tmp_path)


def test_every_question_to_slurm_has_a_time_limit(cluster, monkeypatch):
    limits = []
    run = scheduler.subprocess.run
    monkeypatch.setattr(
        scheduler.subprocess, "run", lambda *words, **how: limits.append(how["timeout"]) or run(*words, **how)
    )
    scheduler.max_array_size(), scheduler.time_limits(), scheduler.queue(["x"]), scheduler.sacct(["1"])
    scheduler.cancel(["1"])
    assert limits == [scheduler.COMMAND_TIMEOUT] * 5
