"""README.md holds what it shows: its Python runs, its commands exist, its numbers are counted."""

import re
import shlex
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import sambench
from sambench import cli
from sambench.benchmarks.conformance import judge, list_checks
from sambench.benchmarks.suites.files import list_suites
from sambench.benchmarks.suites.suite import load_suite
from sambench.results.records.store import Store
from sambench.variants import create, get_info, load_plugin

TEXT = (Path(sambench.__file__).parent / "README.md").read_text()
LOOP, VARIANT = re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [shlex.split(line, comments=True) for line in re.findall(r"^    (sambench .*)", TEXT, flags=re.MULTILINE)]
QUICK = ("neutral", "restore", "resume", "cost", "edges", "buffers", "clip")
"""Checks of the conformance suite that take a second together."""


@pytest.fixture
def my_sam(tmp_path, monkeypatch):
    """The README's file, where its commands expect it."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "my_sam.py"
    path.write_text(VARIANT)
    return path


def test_the_loop_trains():
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(4)
    model, x = nn.Sequential(nn.Linear(3, 4), norm, nn.Linear(4, 1)), torch.randn(8, 3)
    y, loss = x.sum(1, keepdim=True), nn.MSELoss(reduction="none")
    names = {"model": model, "x": x, "y": y, "loader": [(x, y)], "per_sample_loss": lambda a, b: loss(a, b).mean(1)}
    end = LOOP.index("\n\ndef closure")
    for code, moves in ((LOOP[:end], 4), (LOOP[end:], 2)):  # four micro-batches of one pass; two passes of a closure
        before = loss(model(x), y).mean().item()
        norm.num_batches_tracked.zero_()
        exec(compile(code, "README.md", "exec"), names)
        assert int(norm.num_batches_tracked) == moves
        assert loss(model(x), y).mean().item() < before


def test_the_variant_is_as_short_as_promised(my_sam):
    (promised,) = map(int, re.findall(r"^## Add a variant in (\d+) lines", TEXT, flags=re.MULTILINE))
    code = [line for line in VARIANT.splitlines() if line.strip() and not line.startswith(("#", "import", "from"))]
    assert len(code) <= promised
    assert load_plugin(my_sam) == ["my_sam"]


def test_the_variant_is_sam(my_sam):
    load_plugin(my_sam)
    checks = [one for one in list_checks() if one.name in QUICK]
    assert len(checks) == len(QUICK)
    results = [judge(one, get_info("my_sam")) for one in checks]
    assert {result.check: result.reason for result in results if result.verdict != "pass"} == {}
    steps = []
    for name in ("sam", "my_sam"):
        weight = torch.tensor([1.0, -2.0], requires_grad=True)
        optimizer = create(name, [weight], lr=0.1, rho=0.3)

        def closure(weight=weight, optimizer=optimizer):
            optimizer.zero_grad()
            loss = (weight**4).sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        steps.append(weight.detach())
    torch.testing.assert_close(*steps)


def test_the_variant_runs_from_its_file(my_sam, tmp_path):
    (run,) = [words[1:] for words in COMMANDS if words[:3] == ["sambench", "run", "--plugin"]]
    small = ["--model", "mlp", "--subset", "96", "--batch-size", "32", "--epochs", "1", "--device", "cpu"]
    result = CliRunner().invoke(cli.app, [*run, *small, "--results", str(tmp_path / "r")])
    assert result.exit_code == 0, (result.output, result.exception)
    (record,) = Store(tmp_path / "r").records()
    assert (record.spec["variant"], record.status) == ("my_sam", "completed")


@pytest.mark.slow  # all checks, and one of them starts processes
def test_the_variant_passes_the_conformance_suite(my_sam):
    (check,) = [words[1:] for words in COMMANDS if words[1] == "check"]
    result = CliRunner().invoke(cli.app, check)
    assert result.exit_code == 0, (result.output, result.exception)


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words[1:3]))
def test_the_commands_exist(words, my_sam):
    _, name, *arguments = words
    command = cli.load(name)
    context = command.make_context(name, arguments)
    if (suite := context.params.get("suite")) is not None:
        assert suite in list_suites()


def test_the_quickstart_trains_as_many_variants_as_promised():
    (promised,) = map(int, re.findall(r"trains (\d+) variants", TEXT))
    assert len({spec.variant for spec in load_suite("quickstart").specs}) == promised
