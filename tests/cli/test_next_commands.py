"""What a command prints as the next one is typed as it stands: it works."""

import re
import shlex

import pytest
from typer.testing import CliRunner

from sambench import cli
from sambench.benchmarks.conformance import CheckResult, list_checks, runner
from sambench.errors import SambenchError
from sambench.results.records.store import Store
from sambench.slurm import launch

FIRST = (
    "list variants",
    "describe unified_sam",
    "describe digits",
    "describe wrn16_4",
    "describe 'wrn{depth}_{width}'",
    "describe m-sharpness",
    "fetch digits",
    "new suite mine",
    "new my_rule",
    "plan mine.toml",
    "plan digits --workers 2",
    "plan mine.toml --on slurm --profile gpu --gres gpu:a100:1 --extra mail-type=ALL",
    "plan --variants sgd,sam --dataset digits --model mlp --epochs 1 --seeds 0",
    "launch --variants sgd,sam --dataset digits --model mlp --epochs 1 --seeds 0-1 --device cpu --on debug",
    "launch --variants sgd --dataset digits --model mlp --epochs 1 --device cpu --on debug --results 'a folder'",
    "launch kept.toml --device cpu --on debug",
    "list models",
    "status mine.toml",
    "cancel mine.toml",
    "measure mine.toml --what gradient_norm --epoch 1 --rebuild --workers 1 --plan",
    "measure kept.toml --what gradient_norm --rebuild --workers 1 --plan",
    "compare sgd sam",
    "export table.csv",
    "plot --kind error",
    "site",
    "merge 'a folder'",
    "validate",
    "retry mine.toml --backoff 0",
    "publish published",
    "pull published",
    "study list",
    "study plan m_sharpness",
    "study page",
    "theory run drift --quick",
    "clean",
    "clean --checkpoints",
    "doctor",
)
"""Commands whose next ones are tried, in this order, each with what those before it left."""


class WouldTrain(SambenchError):
    """A run is about to be made: the command line was right."""


def run(words):
    result = CliRunner(env={"COLUMNS": "80"}).invoke(cli.app, shlex.split(words))
    ended = result.exit_code == 0 or isinstance(result.exception, WouldTrain)
    # launches that are stubbed promise runs that are not there: validate says so, and a study has nothing to measure
    said = {"validate": "promised and not there", "study run": "nothing could be measured"}
    told = f"{result.output} {result.exception}"
    assert ended or any(words.startswith(command) and text in told for command, text in said.items()), (words, told)
    return result.output


KEPT = """
title = "A run whose model is kept"
[keep]
weights = true
[spec]
dataset = "digits"
model = "mlp"
epochs = 1
[[runs]]
variant = "sgd"
"""


@pytest.fixture
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kept.toml").write_text(KEPT)
    monkeypatch.setenv("SAMBENCH_DATA", str(tmp_path / "data"))


@pytest.mark.slow  # some thirty commands
@pytest.mark.usefixtures("_here")
def test_the_next_command_of_every_command_works(monkeypatch):
    printed = [run(first) for first in FIRST]
    folder = Store("sambench-results").checkpoints("f" * 64)
    folder.mkdir(parents=True)
    (folder / "step-1.pt").write_bytes(b"x")
    (record, *_) = Store("sambench-results").records()
    printed += [run("clean"), run("clean --checkpoints"), run(f"describe {record.run_id[:8]}")]
    found = [CheckResult("my_rule", one.name, "pass", "", 0.0) for one in list_checks()]
    monkeypatch.setattr(runner, "run", lambda names: found)
    monkeypatch.setattr(launch, "carry_out", lambda *_: {})

    def refuse(*_, **__):
        raise WouldTrain

    monkeypatch.setattr("sambench.cli.run.run_spec_in_group", refuse)
    monkeypatch.setattr("sambench.slurm.tuning.tune_suite", refuse)
    monkeypatch.setattr("sambench.cli.quickstart.quick_figure", lambda folder: folder)
    monkeypatch.setattr("sambench.results.plots.draw", lambda *_, **__: [])
    tried, waiting = set(), [one for text in printed for one in _next(text)]
    assert len(set(waiting)) >= 12
    while waiting:
        words = waiting.pop(0)
        if words not in tried:
            tried.add(words)
            waiting += _next(run(words))
    verbs = {words.split()[0] for words in tried}
    assert verbs >= {
        "run",
        "plan",
        "launch",
        "tune",
        "fetch",
        "clean",
        "describe",
        "check",
        "leaderboard",
        "quickstart",
    }


def _next(text):
    """Return the commands that a text ends with, without the program's name."""
    return re.findall(r"next: sambench (.*?)(?:, or .*)?$", text, flags=re.MULTILINE)
