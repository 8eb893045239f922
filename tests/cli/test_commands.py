"""The command line as a user meets it: what it prints, its exit codes, and that nothing is lost."""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from synthetic import build_record
from typer.testing import CliRunner

import sambench.cli.status as status
import sambench.cli.watch as watch
from sambench import cli
from sambench.benchmarks.spec import RunSpec
from sambench.benchmarks.suites.preregistration import preregister
from sambench.benchmarks.suites.suite import load_suite
from sambench.benchmarks.training.run import run_spec
from sambench.cli.describe import LISTS
from sambench.errors import SambenchError
from sambench.results.records.epochs import EpochLine, EpochWriter
from sambench.results.records.lease import Lease
from sambench.results.records.store import Store
from sambench.slurm.run_status import RunStatus
from sambench.variants import list_variants

TINY = ["--model", "mlp", "--subset", "96", "--batch-size", "32", "--epochs", "1", "--device", "cpu"]
SUITE = """
title = "Two tiny runs"
[spec]
model = "mlp"
subset = 96
batch_size = 32
epochs = 1
split = "holdout"
[[runs]]
variant = "sgd"
[[runs]]
variant = "sam"
"""
PLUGIN = '''
from sambench.variants import StepRule, register

@register("half_sgd", summary="half a gradient", paper=None, gradients=1)
class HalfSGD(StepRule):
    """A step with half the gradient."""

    def update(self, closure):
        at = self.gradient(closure)
        self.descend(at.like([g * 0.5 for g in at.values]))
        return at.loss
'''


def sambench(*words, code=0):
    """Run a command in this process and return what it prints; expected errors are turned into text as main() does."""
    result = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(cli.app, [str(word) for word in words])
    text = result.output
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        assert isinstance(result.exception, SambenchError), result.exception
        assert code == 2
        return f"{text}{result.exception}"
    assert result.exit_code == code, text
    return text


def test_help_names_every_command_and_every_field():
    text = sambench("--help")
    for command in ("list", "describe", "run", "quickstart", "plan", "launch", "status", "leaderboard", "plot"):
        assert command in text
    options = sambench("run", "--help")
    for name in RunSpec.model_fields:
        assert name == "hyper" or f"--{name.replace('_', '-')}" in options


@pytest.mark.parametrize("what", ["variants", "datasets", "models", "samplers", "bases", "suites"])
def test_lists(what):
    known = {"variants": "unified_sam", "datasets": "cifar100", "models": "preactresnet18", "samplers": "importance"}
    assert known.get(what, "lion" if what == "bases" else "unified-sam-table2") in sambench("list", what)


def test_an_unverified_variant_is_marked_in_listings():
    unverified = [info.name for info in list_variants() if info.status != "reference"]
    lines = sambench("list", "variants").splitlines()
    for name in unverified:
        at = next(i for i, line in enumerate(lines) if line.split()[:1] == [name])
        assert "unverified" in " ".join(lines[at : at + 8])


def test_everything_that_is_listed_is_described():
    """One name of each list, and all that have several kinds."""
    for kind, rows in LISTS.items():
        names = [row["name"] for row in rows("*")]
        assert names[0] in sambench("describe", names[0]), kind
    both = sambench("describe", "digits")
    assert "data set digits" in both
    assert "suite digits" in both
    assert "WRN-depth-width" in sambench("describe", "wrn16_4")


def test_runs_are_described_by_the_first_digits_of_their_id(tmp_path):
    record = build_record(variant="sam")
    Store(tmp_path).write(record)
    text = sambench("describe", record.run_id[:8], "--results", tmp_path)
    assert record.run_id in text
    assert "test accuracy" in text


def test_describe_says_what_is_declared():
    text = sambench("describe", "unified_sam")
    for part in ("2503.02225", "rho", "1-1/t", "gradient evaluations per step", "lam_clock"):
        assert part in text


def test_a_run_is_recorded_and_then_shown(tmp_path):
    words = ["run", *TINY, "--variant", "sam", "--set", "rho=0.1", "--results", tmp_path]
    first = sambench(*words)
    assert "completed" in first
    (record,) = Store(tmp_path).records()
    assert record.spec["hyper"] == {"rho": 0.1}
    assert f"{record.metrics.accuracy:.2%}" in first
    assert "already in the store" in sambench(*words)


def test_a_plugin_takes_part(tmp_path):
    plugin = tmp_path / "half_sgd.py"
    plugin.write_text(PLUGIN)
    assert "half_sgd" in sambench("list", "variants", "--plugin", plugin)
    sambench("run", *TINY, "--variant", "half_sgd", "--plugin", plugin, "--results", tmp_path)
    (record,) = Store(tmp_path).records()
    assert record.spec["variant"] == "half_sgd"


def test_a_suite_from_plan_to_board(tmp_path):
    suite, results, board = tmp_path / "two.toml", tmp_path / "r", tmp_path / "LEADERBOARD.md"
    suite.write_text(SUITE)
    text = sambench("plan", suite, "--results", results, "--device", "cpu")
    assert "runs in the suite" in text
    assert not results.exists()
    assert "2 pending" in sambench("status", suite, "--results", results)
    assert "2 completed" in sambench("launch", suite, "--results", results, "--device", "cpu")
    assert "2 done" in sambench("status", suite, "--results", results)
    again = sambench("plan", suite, "--results", results, "--device", "cpu")
    assert [line.split()[-1] for line in again.splitlines() if line.startswith(("already", "to do"))] == ["2", "0"]
    sambench("leaderboard", "--results", results, "--output", board)
    assert "up to date" in sambench("leaderboard", "--results", results, "--output", board, "--check")
    board.write_text(board.read_text().replace("sam", "mas"))
    assert "stale" in sambench("leaderboard", "--results", results, "--output", board, "--check", code=2)
    assert ".png" in sambench("plot", "--results", results)
    assert "wrote 2 rows" in sambench("export", tmp_path / "t.csv", "--results", results)
    assert "wrote 1 table" in sambench("export", tmp_path / "t.tex", "two", "--results", results)
    assert "unknown suite" in sambench("export", tmp_path / "t.tex", "three", "--results", results, code=2)
    assert "is a heat map" in sambench("plot", "two", "--kind", "grid", "--results", results, code=2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "--variant", "samm"], "did you mean 'sam'"),
        (["run", "--variant", "sam", "--set", "rho"], "write NAME=VALUE"),
        (["run", "--dataset", "cifar"], "cifar10"),
        (["run", "--device", "cuda:77"], "cannot be used"),
        (["plan", "digits", "--source", "digit=parquet:DIR"], "did you mean 'digits'"),
        (["plan", "quikstart"], "did you mean 'quickstart'"),
        (["list", "varients"], "did you mean 'variants'"),
        (["describe", "samm"], "did you mean 'sam'"),
        (["compare", "samm", "sgd", "--results", "nowhere"], "there is no finished run in nowhere"),
        (["run", "--plugin", "nowhere.py"], "does not exist"),
        (["export", "table.xlsx"], "unknown format 'xlsx'. Valid: csv, html, md, parquet, tex"),
        (["export", "table.tex", "--curves"], "curves go to csv or parquet, not to tex"),
        (["run", "--variant", "sam", "--set", "=1"], "write NAME=VALUE"),
        (["leaderboard", "--results", "nowhere"], "there are no records in nowhere/runs"),
        (["export", "table.csv", "--results", "nowhere"], "there are no records in nowhere/runs"),
        (["check", "zz*"], "unknown pattern of variants 'zz*'"),
        (["new", "my_rule", "--folder", "/proc"], "choose another folder with --folder DIR"),
    ],
)
def test_bad_input_is_a_message_and_no_traceback(words, message, tmp_path):
    assert message in " ".join(sambench(*words, *(["--results", tmp_path] if "run" in words else []), code=2).split())


def test_files_that_are_not_what_they_should_be(tmp_path):
    latin, leaves = tmp_path / "latin.toml", tmp_path / "leaves.py"
    latin.write_bytes("title = 'é'".encode("latin-1"))
    leaves.write_text("raise SystemExit(3)")
    assert "a suite is TOML in UTF-8" in sambench("plan", latin, code=2)
    assert "fails on import: SystemExit: 3" in sambench("list", "variants", "--plugin", leaves, code=2)


def look_by_look(tmp_path, monkeypatch, turns):
    """Watch a suite of two runs whose states are these, look by look; return what it prints and how often it slept."""
    (tmp_path / "two.toml").write_text(SUITE)
    slept = []
    monkeypatch.setattr(status, "run_statuses", lambda *_: turns.pop(0) if len(turns) > 1 else turns[0])
    monkeypatch.setattr(watch.time, "sleep", slept.append)
    return sambench("status", tmp_path / "two.toml", "--results", tmp_path, "--watch"), len(slept)


RUNNING = RunStatus("a" * 64, "sgd seed 0", "running", step=1, total=3, seconds=60.0, alive=True)
WAITING = RunStatus("b" * 64, "sam seed 0", "pending")


def test_status_watches_until_nothing_is_under_way(tmp_path, monkeypatch):
    turns = [[RUNNING, WAITING], [replace(RUNNING, state="done"), replace(WAITING, state="failed", text="no luck")]]
    text, looks = look_by_look(tmp_path, monkeypatch, turns)
    assert looks == 1
    assert [line.split() for line in text.splitlines()] == [
        ["run", "variant", "state", "epoch", "loss", "acc", "curve"],
        ["aaaaaaaa", "sgd", "seed", "0", "running", "step", "1/3", "60", "s"],
        ["2", "runs:", "1", "running", "1", "pending;", "about", "2.5", "min", "to", "go", "at", "this", "pace"],
        ["bbbbbbbb", "sam", "seed", "0", "failed", "no", "luck"],
        ["2", "runs:", "1", "done", "1", "failed"],
    ]


def test_a_watch_gives_up_where_nobody_makes_the_runs(tmp_path, monkeypatch):
    text, looks = look_by_look(tmp_path, monkeypatch, [[WAITING]])
    assert looks == watch.IDLE_LOOKS
    assert text.count("1 pending") == 1


def test_a_watch_shows_a_line_a_run_in_eighty_columns():
    lines = [
        EpochLine(
            epoch=epoch, step=epoch, gradient_evaluations=1.0, seconds=1.0, lr=0.1, train_loss=2.0 / epoch,
            validation_loss=1.0 / epoch, validation_accuracy=1 - 0.5 / epoch, label="x", epochs=1000, steps=1000,
        )
        for epoch in range(1, 301)
    ]  # fmt: skip
    label = "unified_sam rho=0.1 lam=1-1/t + mesa seed 17"
    runs = [replace(RUNNING, label=label, curve=tuple(lines), seconds=36000.0)] * 30
    head, *shown, more = watch._view(runs, 80, 20)
    assert head.split()[:3] == ["run", "variant", "state"]
    assert (len(shown), more) == (18, "and 12 more")
    assert max(map(len, shown)) <= 80
    assert " 300/1000  0.007  99.8% █" in shown[0]
    assert shown[0].endswith("▁ 10.0 h")
    assert " seed 17 running" in shown[0]


def test_an_interrupted_watch_leaves_without_a_word(tmp_path, monkeypatch):
    (tmp_path / "two.toml").write_text(SUITE)
    monkeypatch.setattr(watch.time, "sleep", lambda seconds: signal.raise_signal(signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert "2 pending" in sambench("status", tmp_path / "two.toml", "--results", tmp_path, "--watch")
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("words", [[], ["two"]])
def test_live_curves_are_drawn_until_the_runs_have_ended(words, tmp_path, monkeypatch):
    (tmp_path / "two.toml").write_text(SUITE.replace("epochs = 1", "epochs = 2"))
    suite, store = load_suite(str(tmp_path / "two.toml")), Store(tmp_path)
    preregister(suite, store, "sambench launch two")
    done, going = (run_spec(spec, Store(tmp_path / "made")) for spec in suite.specs)
    store.write(done)
    drawn = []
    monkeypatch.setattr("sambench.results.plots.style.save", lambda figure, stem: drawn.append(figure) or (stem, stem))
    with Lease(folder := store.checkpoints(going.run_id)) as lease:
        lines = EpochWriter(folder, "sam seed 0", 2, 6, going.curve[:1])
        turns = [lambda: lines.append(going.curve[1]), lambda: (store.write(going), lease.release())]
        monkeypatch.setattr(watch.time, "sleep", lambda seconds: turns.pop(0)() if turns else None)
        text = sambench("plot", *words, "--live", "--results", tmp_path)
    titles = [figure.get_suptitle() for figure in drawn]
    names = [{text.get_text() for text in figure.axes[0].texts} for figure in drawn]
    assert text.startswith(f"{tmp_path / 'figures' / 'live'}\n")
    assert [title.removeprefix("two: ")[:22] for title in titles] == 2 * ["2 runs: 1 done  1 runn"] + ["2 runs: 2 done"]
    assert [{name.partition(" (")[2] for name in shown} for shown in names] == [
        {"", "1 epochs so far)"}, {"", "2 epochs so far)"}, {""},
    ]  # fmt: skip


def test_live_curves_need_a_run_under_way_or_a_suite(tmp_path):
    assert "no run is under way" in sambench("plot", "--live", "--results", tmp_path, code=2)
    assert "unknown suite of these results 'two'" in sambench("plot", "two", "--live", "--results", tmp_path, code=2)
    assert "--kind has no effect" in sambench("plot", "--live", "--kind", "error", "--results", tmp_path, code=2)


# a shell starts what runs in its background deaf to SIGINT, and these tests may be run there
LISTENING = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from sambench.cli import main
main()
"""


def test_an_interrupt_writes_a_checkpoint_and_the_command_resumes(tmp_path):
    words = ["run", *TINY, "--epochs", "400", "--checkpoint-seconds", "0", "--results", str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, "-c", LISTENING, *words],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    while not list(tmp_path.glob("checkpoints/*/step-*.pt")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "the same command resumes" in err
    assert "Traceback" not in err
    assert list(tmp_path.glob("checkpoints/*/step-*.pt"))


@pytest.mark.parametrize("name", cli.PLACES)
def test_a_command_is_found_by_name_and_listed_with_its_first_line(name):
    command = cli.load(name)
    assert command.name == name
    assert " ".join((command.help or "").split("\n\n")[0].split()) == cli.summary(cli.PLACES[name])


@pytest.mark.parametrize(
    ("typed", "found"), [("sambench la", "launch"), ("sambench launch --checkp", "--checkpoint-seconds")]
)
def test_a_shell_completes_commands_and_their_options(typed, found):
    asked = {"_SAMBENCH_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    program = "from sambench.cli import app; app(prog_name='sambench')"
    ended = subprocess.run([sys.executable, "-c", program], env=os.environ | asked, capture_output=True, text=True)
    assert ended.stdout.split() == [found]


def test_models_are_kept_listed_and_told_when_damaged(tmp_path):
    suite, results = tmp_path / "two.toml", tmp_path / "r"
    suite.write_text(SUITE.replace("[spec]", '[keep]\nweights = true\nat = [0, "100%"]\n[spec]'))
    where = ["--results", results, "--device", "cpu"]
    assert "kept models" in sambench("plan", suite, *where)
    assert "kept models" not in sambench("plan", "quickstart", *where)
    assert "no model is kept" in sambench("models", "--results", results, code=2)
    sambench("launch", suite, *where, "--on", "debug")
    assert "6 models of 2 runs" in sambench("models", "--results", results, "--check")
    (model, *_) = sorted((results / "models").glob("*@0.safetensors"))
    model.write_bytes(b"")
    assert "1 of 6 models cannot be used" in sambench("models", "--results", results, "--check", code=2)
    planned = sambench("plan", suite, "--keep", "weights@7", *where, "--results", tmp_path / "other", code=2)
    assert "behind the end of a run of 1 epochs" in planned
    sambench("run", *TINY, "--results", results)
    assert "is not kept" in sambench("run", *TINY, "--results", results, "--keep", "weights", code=2)
    (model, *_) = sorted((results / "models").glob("*[0-9a-f].safetensors"))
    begun = sambench("run", *TINY, "--variant", "sam", "--init", model.name[:8], "--results", results)
    assert f"gradient evaluations of run {model.name[:12]}" in begun


@pytest.mark.slow  # makes models and measures them in six commands
def test_models_are_measured_once_and_made_again_where_they_are_lost(tmp_path):
    suite, results = tmp_path / "two.toml", tmp_path / "r"
    suite.write_text(SUITE)
    where = ["--results", results]
    sambench("launch", suite, *where, "--device", "cpu", "--on", "debug")
    what = ["--what", "margin,distance"]
    text = sambench("measure", suite, *what, *where, code=2)
    assert "is not kept; --rebuild makes it again" in text
    assert "nothing could be measured" in text
    planned = sambench("measure", suite, *what, *where, "--rebuild", "--plan")
    assert re.search(r"models to make again +2", planned)
    assert not (results / "models").exists()
    assert "4 measurements made" in sambench("measure", suite, *what, *where, "--rebuild")
    assert "2 models of 2 runs" in sambench("models", *where, "--check")
    again = sambench("measure", suite, *what, *where)
    assert re.search(r"measurements there already +4", again)
    assert "0 measurements made" in again
    (run_id, other) = Store(results).run_ids()
    assert "pgd[iterations=2,samples=20] accuracy" in sambench(
        "measure", run_id[:8], "--what", "pgd:samples=20:iterations=2", *where
    )
    assert "no finished run" in sambench("measure", "0" * 64, *what, *where, code=2)
    assert "unknown measure" in sambench("measure", suite, "--what", "sharpnes", *where, code=2)
    assert "is not kept" in sambench("measure", run_id, *what, *where, "--epoch", "1", code=2)
    sambench("export", tmp_path / "t.csv", *where)
    assert "margin.margin" in (tmp_path / "t.csv").read_text().splitlines()[0]
    assert "5 new measurements" in sambench("merge", results, "--results", tmp_path / "third")
    drawn = [
        sambench("surface", *words, *where).partition("next: ")[0].split()
        for words in (
            [run_id[:9], "--set", "points=3", "--set", "dimensions=2"],
            [run_id[:9], other[:9], "--set", "points=3", "--output", tmp_path / "line"],
        )
    ]
    assert [Path(path).suffix for paths in drawn for path in paths] == [".json", ".png", ".svg"] * 2
    assert all(Path(path).stat().st_size for paths in drawn for path in paths)
    assert drawn[1][1] == str(tmp_path / "line.png")
    assert "points=1 is not valid" in sambench("surface", run_id, "--set", "points=1", *where, code=2)


def test_a_measure_is_described():
    text = sambench("describe", "worst_case")
    for word in ("sharpness", "start_seed", "Auto-PGD", "nats"):
        assert word in text


@pytest.mark.slow
def test_models_are_measured_by_several_processes(tmp_path):
    suite, results = tmp_path / "two.toml", tmp_path / "r"
    suite.write_text(SUITE)
    sambench("launch", suite, "--results", results, "--device", "cpu", "--on", "debug", "--keep", "weights")
    words = ["measure", suite, "--what", "margin,sam_gap:samples=50", "--workers", "2", "--results", results]
    assert "4 measurements made" in sambench(*words)
