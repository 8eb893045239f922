"""Where results go: to one folder for all commands, which git ignores, or to the folder that is named."""

import os
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from synthetic import build_record
from typer.testing import CliRunner

import sambench
from sambench import cli
from sambench.benchmarks.theory.experiments import EXPERIMENTS
from sambench.cli.options import RESULTS, RESULTS_VARIABLE, results_option
from sambench.errors import SambenchError
from sambench.results.records.store import Store

SUITE = """
title = "Two small runs"
seeds = [0]
[spec]
model = "mlp"
subset = 96
batch_size = 32
epochs = 1
[[runs]]
variant = "sgd"
[[runs]]
variant = "sam"
"""
TO_TUNE = SUITE.replace("seeds = [0]", 'seeds = [0]\ntracks = ["E"]').replace(
    "[[runs]]", "[tuning]\ntrials = 1\nfinalists = 1\nseeds = [9]\nlr = [0.01, 0.5, 'log']\n[[runs]]", 1
)
COMMANDS = {
    "run": "run --variant sgd --model mlp --subset 96 --batch-size 32 --epochs 1 --device cpu",
    "plan": "plan small.toml --device cpu",
    "launch": "launch small.toml --on debug --device cpu",
    "status": "status small.toml",
    "retry": "retry small.toml --on debug --device cpu",
    "leaderboard": "leaderboard",
    "plot": "plot",
    "validate": "validate",
    "merge": "merge other",
    "theory run": "theory run sampling-variance --quick",
    "theory all": "theory all --quick",
}
"""Every command that may write without being told where, those below aside; `new`, `export` and `calibrate` write the
file that they are given."""
SLOW = ("tune tuned.toml --workers 1 --device cpu",)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with this one's .gitignore, three files of its user in it, and a store with a record."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".gitignore").write_text((Path(sambench.__file__).parent / ".gitignore").read_text())
    (tmp_path / "small.toml").write_text(SUITE)
    (tmp_path / "tuned.toml").write_text(TO_TUNE)
    Store(tmp_path / "other").write(build_record(variant="sam"))
    git("init", "-q")
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "all")
    Store(RESULTS).write(build_record(variant="sgd"))
    return tmp_path


@pytest.fixture(autouse=True)
def _one_experiment(monkeypatch):
    """`theory all` runs one: the others write to the same folder."""
    one = {"sampling-variance": EXPERIMENTS.get("sampling-variance")}
    monkeypatch.setattr(EXPERIMENTS, "members", one)


def git(*words):
    return subprocess.run(["git", *words], capture_output=True, text=True, check=True).stdout


def run(command):
    result = CliRunner().invoke(cli.app, command.split())
    assert result.exception is None, (result.exception, result.output)


@pytest.mark.parametrize(
    "command", [*COMMANDS.values(), *(pytest.param(command, marks=pytest.mark.slow) for command in SLOW)]
)
def test_a_command_leaves_a_checkout_clean(checkout, command):
    there = set(checkout.iterdir())
    run(command)
    assert git("status", "--porcelain") == ""
    assert set(checkout.iterdir()) == there


def test_the_variable_names_the_folder(checkout, monkeypatch):
    monkeypatch.setenv(RESULTS_VARIABLE, str(checkout / "mine"))
    run(COMMANDS["run"])
    run("leaderboard")
    run("theory run sampling-variance --quick")
    made = {path.relative_to(checkout / "mine").parts[0] for path in (checkout / "mine").iterdir()}
    assert {"runs", "LEADERBOARD.md", "theory"} <= made
    assert not (checkout / RESULTS / "LEADERBOARD.md").exists()


def callbacks(command):
    """Yield the functions of a command or of the commands of a group."""
    for sub in getattr(command, "commands", {"": command}).values():
        yield sub.callback.__name__, {parameter.name: parameter for parameter in sub.params}


def test_every_command_has_the_same_default():
    found = {}
    for name in cli.PLACES:
        for _, parameters in callbacks(cli.load(name)):
            if "results" in parameters:
                found.setdefault(name, []).append(parameters["results"])
    assert len(found) >= 14
    for name, options in found.items():
        assert {(option.default, option.envvar) for option in options} == {(RESULTS, RESULTS_VARIABLE)}, name


def test_what_is_printed_finds_the_same_results_when_it_is_pasted(tmp_path, monkeypatch):
    assert results_option(RESULTS) == ""
    assert results_option(tmp_path / "my results") == f" --results '{tmp_path}/my results'"
    monkeypatch.setenv(RESULTS_VARIABLE, str(tmp_path))
    assert results_option(tmp_path) == ""
    assert results_option(RESULTS) == f" --results {RESULTS}"


def test_a_stale_board_is_written_by_the_command_that_is_named(checkout):
    asked = "leaderboard --results other --output BOARD.md --check"
    result = CliRunner().invoke(cli.app, asked.split())
    assert f"`sambench {asked.removesuffix(' --check')}` writes it" in str(result.exception)


@pytest.fixture
def another_user(monkeypatch):
    """A folder that any user may pass, with a suite and a store of two runs; and a switch to a user without rights."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        monkeypatch.chdir(folder)
        (folder / "small.toml").write_text(SUITE)
        (folder / "other").mkdir()
        for variant in ("sgd", "sam"):
            Store(RESULTS).write(build_record(variant=variant))

        @contextmanager
        def switched():
            user = os.geteuid()
            if user == 0:
                os.seteuid(65534)  # the superuser may read anything
            try:
                yield
            finally:
                os.seteuid(user)

        yield folder, switched
        Store(RESULTS).runs.chmod(0o700)


READERS = ("leaderboard --output -", "status small.toml", COMMANDS["run"])
OTHERS = ("compare sam sgd", "plot", "export runs.csv", "validate", "merge other", COMMANDS["plan"], COMMANDS["launch"])


@pytest.mark.parametrize("command", [*READERS, *(pytest.param(command, marks=pytest.mark.slow) for command in OTHERS)])
def test_a_folder_that_cannot_be_read_is_told_from_one_that_is_empty(another_user, command):
    folder, switched = another_user
    CliRunner().invoke(cli.app, command.split())  # which imports what that user may not read
    runs = Store(RESULTS).runs
    runs.chmod(0)
    before = sorted(folder.rglob("*"))
    with switched():
        result = CliRunner().invoke(cli.app, command.split())
    assert isinstance(result.exception, SambenchError), (result.exception, result.output)
    assert str(runs) in str(result.exception)
    assert sorted(folder.rglob("*")) == before
