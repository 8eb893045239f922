"""Every example runs as its user would run it, and prints what its text promises."""

import runpy
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from typer.testing import CliRunner

from sambench import cli

EXAMPLES = Path(cli.__file__).resolve().parents[1] / "examples"
PRINTS = {
    "own_loop": "epoch 5: loss of the last batch",
    "launch_suite": "{'completed': 9}",
    "read_records": "gradients",
    "own_data_and_model": "test accuracy",
}


def test_nothing_is_left_out():
    scripts = {path.stem for path in EXAMPLES.glob("*.py")}
    assert scripts == {*PRINTS, "own_variant"}
    assert [path.stem for path in EXAMPLES.glob("*.ipynb")] == ["launch_and_compare"]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == "launch_suite" else []) for name in PRINTS]
)
def test_a_script_runs(name, tmp_path, monkeypatch, capsys):
    """In this process, which has imported what it imports; worker processes start from the same file."""
    script = str(EXAMPLES / f"{name}.py")
    words = [str(tmp_path / "results")] if name in ("launch_suite", "own_data_and_model") else []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [script, *words])
    runpy.run_path(script, run_name="__main__")
    assert PRINTS[name] in capsys.readouterr().out


@pytest.mark.slow
def test_the_variant_passes_the_conformance_suite_and_trains(tmp_path):
    plugin = str(EXAMPLES / "own_variant.py")
    checked = CliRunner().invoke(cli.app, ["check", "half_sam", "--plugin", plugin, "--results", str(tmp_path)])
    assert checked.exit_code == 0, checked.output
    words = ["--epochs", "1", "--subset", "96", "--batch-size", "32", "--results", str(tmp_path)]
    made = CliRunner().invoke(cli.app, ["run", "--plugin", plugin, "--variant", "half_sam", *words])
    assert "completed" in made.output, made.output


@pytest.mark.slow  # it starts a kernel, and worker processes in that
def test_the_notebook_runs(tmp_path):
    notebook = nbformat.read(EXAMPLES / "launch_and_compare.ipynb", as_version=4)
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    texts = [str(output) for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("completed" in text for text in texts)
