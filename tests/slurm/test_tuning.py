"""Tuning on a cluster: rounds of trials as arrays, the ledger of a tuning on this machine, jobs that get lost."""

import shlex
import signal

import fake_slurm
import pytest
from typer.testing import CliRunner

from sambench import cli, registry
from sambench.benchmarks.suites.suite import load_suite
from sambench.benchmarks.tuning.strategies import STRATEGIES
from sambench.cli import tune as command
from sambench.errors import Interrupted, StateError
from sambench.results.records.trials import read_ledger
from sambench.slurm import tuning
from sambench.slurm.executor import DebugExecutor, SlurmExecutor
from sambench.slurm.options import RunOptions
from sambench.slurm.tuning import tune_suite
from sambench.variants.registry import VARIANTS

SUITE = """
title = "A small tuning"
tracks = ["E"]
seeds = [7]
[spec]
model = "mlp"
subset = 96
batch_size = 32
epochs = 1
[tuning]
trials = 2
finalists = 1
seeds = [1000, 1001]
[[runs]]
variant = "sgd"
[[runs]]
variant = "sam"
"""


def sambench(*words):
    result = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(cli.app, [str(word) for word in words])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


@pytest.fixture
def suite(tmp_path):
    path = tmp_path / "tuned.toml"
    path.write_text(SUITE)
    return path


@pytest.fixture
def tuned(suite, tmp_path):
    """Tune on the cluster with another way to wait; return what it told."""
    told = []

    def go(wait):
        tune_suite(
            load_suite(str(suite)),
            RunOptions(tmp_path / "r"),
            STRATEGIES.get("halton")(2),
            SlurmExecutor(tell=told.append),
            tell=told.append,
            wait=wait,
        )

    go.told = told
    return go


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_between_two_rounds_is_an_interrupt_and_the_same_call_goes_on(suite, tmp_path, name):
    told = []

    def tell(text):
        told.append(text)
        if len(told) == 2:  # the first round is done, the second one is about to begin
            signal.raise_signal(getattr(signal, name))

    def go():
        executor, strategy = DebugExecutor("cpu"), STRATEGIES.get("halton")(2)
        return tune_suite(load_suite(str(suite)), RunOptions(tmp_path / "r"), strategy, executor, tell=tell)

    before = signal.getsignal(getattr(signal, name))
    with pytest.raises(Interrupted, match="between two rounds"):
        go()
    assert signal.getsignal(getattr(signal, name)) is before
    assert len(go().trials) == 6
    assert "done 4" in told[2]


@pytest.mark.slow  # starts several processes
def test_trials_on_a_cluster_make_the_ledger_of_this_machine(suite, running, tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "POLL_SECONDS", 0.2)
    sambench("tune", suite, "--on", "debug", "--device", "cpu", "--results", tmp_path / "here")
    text = sambench("tune", suite, "--on", "slurm", "--results", tmp_path / "there", "--runs-per-job", 2)
    assert "submitted 2 jobs as array" in text  # four trials; the finalists' two are one job
    assert text.count("submitted") == 2
    assert "trials: 6 completed" in text
    here, there = (read_ledger(tmp_path / place / "ledgers" / "tuned.parquet") for place in ("here", "there"))
    times = {"train_seconds": 0.0}
    assert [t.model_copy(update=times) for t in here] == [t.model_copy(update=times) for t in there]
    assert "to do 0" in sambench("tune", suite, "--on", "slurm", "--results", tmp_path / "there")


def test_lost_trials_are_submitted_again_and_not_for_ever(tuned, cluster):
    def wait(look):
        fake_slurm.set_jobs(state="OUT_OF_MEMORY", ended=1.0, accounted=1)
        return look()

    with pytest.raises(StateError, match=r"4 of 4 trials were lost: job ended as OUT_OF_MEMORY.*, 3 times now"):
        tuned(wait)
    assert len(fake_slurm.jobs()) == 3 * 4
    assert sum("submitting them again" in line for line in tuned.told) == 2


def test_an_interrupt_leaves_the_jobs_and_says_how_to_end_them(tuned, suite, cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "POLL_SECONDS", 0.0)

    def wait(look):
        looks = iter([look])  # a second look is interrupted
        return tuning.wait_for_jobs(lambda: next(looks, interrupt)())

    def interrupt():
        raise KeyboardInterrupt

    for _ in range(2):  # the same command waits for the same jobs
        with pytest.raises(Interrupted, match="the jobs of 4 trials go on without this command") as stop:
            tuned(wait)
        assert len(fake_slurm.jobs()) == 4
    words = shlex.split(str(stop.value).split("`")[1])[1:]
    assert words[:2] == ["cancel", str(suite)]
    assert "cancelled 4 jobs" in sambench(*words)
    with pytest.raises(StateError, match="4 of 4 trials have no result yet"):
        tuned(lambda look: sambench(*words) and look())


def test_the_command_waits_with_the_view_of_status_on_a_terminal(suite, cluster, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(type(command.out), "is_terminal", True)
    monkeypatch.setattr(command, "watch", lambda look, counts: seen.append(counts(look())) or [])
    result = CliRunner().invoke(cli.app, ["tune", str(suite), "--on", "slurm", "--results", str(tmp_path / "r")])
    assert "4 of 4 trials have no result yet" in str(result.exception)
    assert seen == ["4 runs: 4 pending"]


def test_a_plan_counts_the_trials(suite, tmp_path, monkeypatch):
    monkeypatch.setattr("sambench.slurm.estimate.measured_speed", lambda *_: 1.0)
    here = ["--results", tmp_path / "r", "--device", "cpu", "--workers", 1]
    text = " ".join(sambench("plan", suite, *here).split())
    assert "runs in the suite 2 " in text
    assert f"Its tuning, which comes first: sambench tune {suite} --device cpu --workers 1 --results" in text
    assert "trials 6: 2 settings of every method on every track, and its best 1 at 1 more seeds" in text
    assert "gradient evaluations about 27, at default settings" in text  # three steps, of one and of two evaluations
    assert "training time, one after the other 27 s" in text
    assert not (tmp_path / "r").exists()
    cluster = sambench("plan", suite, "--on", "slurm", "--runs-per-job", 3, "--results", tmp_path / "r")
    assert "2 in 1 array, 1 run at a time" in cluster  # six trials, three a job


def test_a_rule_that_was_corrected_is_tuned_anew(suite, tmp_path):
    """Records of its trials by the old code have the same ids, and are not taken for those of the new one."""
    rule = tmp_path / "mine.py"
    text = (
        "from sambench.variants import StepRule, register\n"
        '@register("mine", summary="a step", paper=None, gradients=1)\n'
        "class Mine(StepRule):\n"
        '    """A step."""\n'
        "    def update(self, closure):\n"
        "        at = self.gradient(closure)\n"
        "        self.descend(at.like([g * 1.0 for g in at.values]))\n"
        "        return at.loss\n"
    )
    suite.write_text('plugins = ["mine.py"]\n' + SUITE.replace('"sam"', '"mine"'))
    ledger, sources = tmp_path / "r" / "ledgers" / "tuned.parquet", []
    for factor in ("0.0", "1.0", "1.0"):
        rule.write_text(text.replace("1.0", factor))
        registry._loaded.clear()
        VARIANTS.members.pop("mine", None)
        sambench("tune", suite, "--on", "debug", "--device", "cpu", "--results", tmp_path / "r")
        sources.append({one.variant_source for one in read_ledger(ledger) if one.variant == "mine"})
    assert all(len(one) == 1 for one in sources)
    assert sources[0] != sources[1] == sources[2]
    assert not list((tmp_path / "r" / "ledgers").glob("*.new"))
