"""For the author of a plug-in: a package to start from, a verdict that the board shows, a commit in the record."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import sambench as package
from sambench import cli
from sambench.benchmarks import conformance
from sambench.benchmarks.conformance import CheckResult, list_checks, runner
from sambench.benchmarks.training.environment import file_state
from sambench.errors import ConfigError
from sambench.registry import load_plugin
from sambench.results.records.behaviour import Code
from sambench.results.records.conformance import Findings, checks_of
from sambench.results.records.store import Store
from sambench.slurm.cluster.snapshot import take_snapshot

TINY = ["--model", "mlp", "--subset", "96", "--batch-size", "32", "--epochs", "1", "--device", "cpu"]
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
    result = CliRunner(env={"COLUMNS": "200"}).invoke(cli.app, [str(word) for word in words])
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def git(folder, *words):
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    return subprocess.run(
        ["git", "-C", folder, *who, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def plugin(tmp_path):
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "half.py").write_text(PLUGIN)
    return folder / "half.py"


def test_the_verdict_on_a_plug_in_is_on_the_board_and_its_commit_in_the_record(plugin, tmp_path, monkeypatch):
    git(plugin.parent, "init", "-q")
    git(plugin.parent, "add", ".")
    git(plugin.parent, "commit", "-qm", "A rule")
    results = ["--results", tmp_path / "r"]
    sambench("run", *TINY, "--variant", "half_sgd", "--plugin", plugin, *results)
    (record,) = Store(tmp_path / "r").records()
    assert record.environment.plugin_commits == {"variant": git(plugin.parent, "rev-parse", "HEAD")}

    def marks():
        sambench("leaderboard", *results)
        (row,) = [line for line in (tmp_path / "r/boards/no-suite.md").read_text().splitlines() if "reproduced" in line]
        return "".join(mark for mark in "✓✗" if mark in row)

    assert marks() == ""
    for verdict, mark, code in (("fail", "✗", 1), ("pass", "✓", 0)):
        found = [CheckResult("half_sgd", one.name, verdict, "", 0.0) for one in list_checks()]
        monkeypatch.setattr(runner, "run", lambda names, found=found: found)
        result = CliRunner().invoke(cli.app, ["check", "half_sgd", "--plugin", str(plugin), *map(str, results)])
        assert (result.exit_code, f"verdict on half_sgd: {tmp_path}" in result.output) == (code, True)
        assert marks() == mark
    path = tmp_path / "r/conformance/half_sgd.json"
    findings = Findings.model_validate_json(path.read_text())
    findings.model_copy(update={"source": "0" * 64, "behaviour": "of another rule"}).write(tmp_path / "r")
    assert marks() == ""
    path.write_text("{}")
    assert marks() == ""


def test_a_verdict_counts_for_the_code_that_it_is_about(tmp_path):
    found = Findings(variant="mine", source="a" * 64, behaviour="b", sambench="1", checks={"cost": "fail"})
    found.write(tmp_path)

    def shown(*codes):
        return checks_of(tmp_path, [("mine", codes)]).get("mine")

    assert shown(Code("a" * 64, "b")) == shown(Code("c" * 64, "b")) == {"cost": "fail"}
    assert shown(Code("a" * 64, "c")) is None
    assert shown(Code("a" * 64, "b"), Code("c" * 64, "d")) is None
    assert checks_of(tmp_path, [("sam", [])])["sam"]
    assert "mine" not in checks_of(tmp_path, [])


def test_what_git_says_of_a_plug_in(plugin, tmp_path):
    folder = plugin.parent
    assert file_state(plugin) == (None, None)
    git(folder, "init", "-q")
    file_state.cache_clear()
    assert file_state(plugin) == (None, None)  # not tracked: the commit says nothing of it
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "A rule")
    commit = git(folder, "rev-parse", "HEAD")
    file_state.cache_clear()
    assert file_state(plugin) == (commit, False)
    plugin.write_text(f"{PLUGIN}# changed\n")
    file_state.cache_clear()
    (copy,) = take_snapshot(tmp_path / "launch", (str(plugin),))
    file_state.cache_clear()
    assert file_state(plugin) == file_state(Path(copy)) == (commit, True)


def test_modules_are_plug_ins_too(tmp_path, monkeypatch):
    (tmp_path / "module_of_mine.py").write_text(PLUGIN.replace("half_sgd", "module_sgd"))
    monkeypatch.syspath_prepend(tmp_path)
    assert load_plugin("module_of_mine") == load_plugin("module_of_mine") == ["module_sgd"]
    assert take_snapshot(tmp_path / "launch", ("module_of_mine",)) == ("module_of_mine",)
    with pytest.raises(ConfigError, match="'no_such_module' fails on import"):
        load_plugin("no_such_module")
    with pytest.raises(ConfigError, match="'json' registers nothing"):
        load_plugin("json")
    assert "json" in sys.modules


def test_a_new_package_is_whole_and_overwrites_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "next: pip install -e 'my_rule[test]' && pytest my_rule" in sambench("new", "my_rule", "--package")
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    inside = ("__init__.py", "my_rule.py", "transcriptions/my_rule.py")
    assert files == {
        "my_rule/pyproject.toml",
        "my_rule/tests/test_my_rule.py",
        *(f"my_rule/my_rule/{n}" for n in inside),
    }
    assert not any("$" in (tmp_path / path).read_text() for path in files)
    with pytest.raises(ConfigError, match="exists already"):
        conformance.new_package("my_rule", tmp_path)


@pytest.mark.slow
def test_the_test_of_a_new_package_passes_once_it_is_installed(tmp_path):
    root, place = conformance.new_package("my_rule", tmp_path), tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(place), str(root)], check=True, capture_output=True)
    paths = os.pathsep.join([str(place), str(Path(package.__file__).parents[1])])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(root)]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}, cwd=root)
    assert ended.returncode == 0, ended.stdout
    assert f"{len(list_checks())} passed" in ended.stdout
