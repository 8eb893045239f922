"""docs/plugins.md: a model and a data set from a file go all the way, in this process and in others."""

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

import sambench as package
from sambench import cli
from sambench.benchmarks.models import MODELS
from sambench.cli.describe import LISTS
from sambench.datasets import DATASETS
from sambench.registry import load_plugin, source_hash
from sambench.results.records.store import Store

TEXT = (Path(package.__file__).parent / "docs" / "plugins.md").read_text()
(SOURCE,) = re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)
RUN, LIST = [shlex.split(line)[1:] for line in re.findall(r"^(sambench .*)", TEXT, flags=re.MULTILINE)]
SUITE = """
title = "A model and a data set of a file"
[spec]
model = "narrow8"
dataset = "stripes"
epochs = 1
[[runs]]
variant = "sgd"
[[runs]]
variant = "sam"
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The page's file, where its commands expect it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(SOURCE)
    return tmp_path / "mine.py"


def sambench(*words, code=0):
    """Run a command in this process; return what it writes to standard output and to standard error."""
    result = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(cli.app, [str(word) for word in words])
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout, result.stderr


def test_a_run_on_a_model_and_a_data_set_of_a_file(mine, tmp_path):
    assert "narrow{width}" in sambench(*LIST)[0]
    sambench(*RUN, "--device", "cpu", "--results", tmp_path / "r")
    (record,) = Store(tmp_path / "r").records()
    assert (record.spec["model"], record.spec["dataset"], record.status) == ("narrow16", "stripes", "completed")
    assert record.metrics.accuracy == 1
    digest = source_hash(MODELS.get("narrow16"))
    assert digest == source_hash(DATASETS.get("stripes"))
    assert record.plugin_sources == {"model": digest, "dataset": digest}


@pytest.mark.slow  # starts processes that load everything
def test_workers_load_what_a_suite_is_launched_with(mine, tmp_path):
    (tmp_path / "mine.toml").write_text(SUITE)
    where = ["--plugin", mine, "--results", tmp_path / "r", "--device", "cpu"]
    planned, _ = sambench("plan", "mine.toml", *where)
    assert "runs in the suite" in planned
    assert "2 completed" in sambench("launch", "mine.toml", *where, "--workers", "2")[0]
    records = list(Store(tmp_path / "r").records())
    assert {record.spec["variant"] for record in records} == {"sgd", "sam"}
    assert all(set(record.plugin_sources) == {"model", "dataset"} for record in records)


def test_a_format_of_data_sets_is_a_plug_in_too(tmp_path):
    (tmp_path / "formats.py").write_text(SOURCE.replace('"stripes"', '"stripes:DIR"').replace("narrow", "slim"))
    assert load_plugin(tmp_path / "formats.py") == ["slim{width}", "stripes:DIR"]
    words = ["--dataset", f"mine=stripes:{tmp_path}", "--model", "mlp", "--epochs", "1", "--device", "cpu"]
    sambench("run", *words, "--results", tmp_path / "r")
    (record,) = Store(tmp_path / "r").records()
    assert (record.spec["dataset"], set(record.plugin_sources)) == ("mine", {"dataset"})


@pytest.mark.parametrize("kind", LISTS)
def test_every_kind_is_listed_as_json(kind):
    rows = json.loads(sambench("list", kind, "--json")[0])
    names = [row["name"] for row in rows]
    assert names == sorted(names)
    assert names
    if kind != "bases":
        assert all(row["summary"] for row in rows)
    assert json.loads(sambench("list", kind, names[0][:2] + "*", "--json")[0])[0] == rows[0]


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_pattern_without_a_match_is_said(form):
    listed, said = sambench("list", "variants", "zz*", *form)
    assert listed == ("[]\n" if form else "")
    assert "no name matches 'zz*'; sambench list variants shows all" in said


PROBLEM = '''
from sambench.benchmarks.theory.problems import PROBLEMS, make_problem

@PROBLEMS.named("small_ridge")
def small_ridge():
    """Ridge regression on twelve samples."""
    return make_problem("ridge", n=12, d=3)
'''


def test_a_theory_problem_of_a_file(tmp_path):
    (tmp_path / "problem.py").write_text(PROBLEM)
    words = ["sampling-variance", "--quick", "--problem", "small_ridge", "--out", tmp_path]
    sambench("theory", "run", *words, "--plugin", tmp_path / "problem.py")
    assert (tmp_path / "sampling-variance-ridge.png").is_file()
