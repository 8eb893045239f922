"""Typed input that cannot be meant: an expected error that names it, before anything is written."""

import re
import sys

import pytest
from typer.testing import CliRunner

from sambench import cli
from sambench.errors import SambenchError

MANY = "1" + "0" * 400
COMMANDS = {
    "rho of 400 digits": (["run", "--variant", "sam", "--set", f"rho={MANY}"], "rho="),
    "rho of 5,000 digits": (["run", "--variant", "sam", "--set", f"rho={'9' * 5000}"], "rho=inf"),
    "a superscript as a batch size": (["run", "--batch-size", "²", "--set", "m=device"], "batch_size='²'"),
    "lr of 1e308": (["run", "--lr", "1e308"], "lr="),
    "weight decay of 1e308": (["run", "--weight-decay", "1e308"], "weight_decay="),
    "accumulate of 400 digits": (["run", "--accumulate", MANY], "accumulate="),
    "epochs of 5,000 digits": (["run", "--epochs", "9" * 5000], "epochs="),
    "a crop larger than memory": (["run", "--augment", "crop:999999999"], "crop:999999999"),
    "a device without values": (["run", "--device", "meta"], "device 'meta' cannot be used"),
    "a device that nobody has": (["run", "--device", "privateuseone"], "device 'privateuseone' cannot be used"),
    "a base that compiles": (["run", "--base", "kron"], "kron"),
    "warm-up longer than the run": (["run", "--warmup-epochs", "100", "--epochs", "1"], "the run has 1 epochs"),
    "milestones that descend": (["run", "--milestones", "0.75,0.5"], "they must ascend"),
    "more micro-batches than samples": (["run", "--accumulate", "64", "--batch-size", "32"], "accumulate=64"),
    "a variant of 300 letters": (["new", "a" * 300], "100 at most"),
}
PLUGINS = {
    "GeneratorExit": ("raise GeneratorExit", "fails on import: GeneratorExit"),
    "SystemExit": ("raise SystemExit", "fails on import: SystemExit"),
    "gradients": ("register('p', summary='s', paper=None, gradients='x')(StepRule)", "declares gradients='x'"),
    "nan": ("register('p', summary='s', paper=None, gradients=float('nan'))(StepRule)", "declares gradients=nan"),
    "hyper": ("register('p', summary='s', paper=None, gradients=1, hyper={'rho': 1})(StepRule)", "'rho': 1; write"),
    "list": ("register('p', summary='s', paper=None, gradients=1, hyper=[1])(StepRule)", r"hyper=\[1\]"),
}


def refusal(words):
    result = CliRunner().invoke(cli.app, words)
    assert isinstance(result.exception, SambenchError), (result.exception, result.output)
    return str(result.exception)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words, message = COMMANDS[name]
    text = refusal(words)
    assert message in text
    assert len(text) < 1500
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", PLUGINS)
def test_a_plugin_is_refused(name, tmp_path):
    text, message = PLUGINS[name]
    (tmp_path / "p.py").write_text(f"from sambench.variants import StepRule, register\n{text}\n")
    assert re.search(message, refusal(["list", "variants", "--plugin", str(tmp_path / "p.py")]))


@pytest.mark.parametrize("name", ["x.so", "x.txt", "x\0.py", "loop.py", "folder.py"])
def test_what_is_no_file_of_python_is_no_plugin(name, tmp_path):
    (tmp_path / "x.so").write_bytes(b"\x7fELF")
    (tmp_path / "x.txt").write_text("")
    (tmp_path / "loop.py").symlink_to("loop.py")
    (tmp_path / "folder.py").mkdir()
    assert "give the path of a Python file" in refusal(["list", "variants", "--plugin", f"{tmp_path}/{name}"])


def test_a_model_larger_than_memory_is_told(tmp_path, monkeypatch, capsys):
    words = ["run", "--model", "wrn10_100000", "--epochs", "1", "--device", "cpu", "--results", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["sambench", *words])
    with pytest.raises(SystemExit, match="2"):
        cli.main()
    assert "there is not enough memory" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.json"))
