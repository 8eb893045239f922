"""``sambench validate`` as a contributor meets it: findings on the terminal, and the exit code."""

from pathlib import Path

import pytest
from synthetic import build_record
from typer.testing import CliRunner

from sambench.cli import app
from sambench.results.records.store import Store
from sambench.variants import get_info


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of one record that keeps the rules."""
    record = build_record(variant="sam")
    Store(tmp_path).write(record.model_copy(update={"variant_source": get_info("sam").source_hash()}))
    return tmp_path


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["validate", *map(str, words)])
    return result.exit_code, result.stdout


def test_a_folder_that_keeps_the_rules(folder: Path) -> None:
    found = f"0 broken rules, 0 warnings in {folder}\nnext: sambench leaderboard --results {folder}\n"
    assert run(folder, "--strict") == (0, found)


def test_the_folder_is_named_as_everywhere_else(folder: Path) -> None:
    assert run("--results", folder, "--strict") == run(folder, "--strict")


def test_a_broken_rule_fails(folder: Path) -> None:
    (path,) = (folder / "runs").iterdir()
    path.write_text(path.read_text().replace('"seed":0', '"seed":1'))
    code, text = run(folder)
    assert code == 1
    assert text.startswith(f"broken runs/{path.name}: the record: ")
    assert "is not the hash of the spec" in text
    assert "Restore the file" in text


def test_a_warning_fails_a_contribution_only(folder: Path) -> None:
    record = build_record(variant="sam", seed=1)
    Store(folder).write(record.model_copy(update={"variant_source": "f" * 64}))
    code, text = run(folder)
    assert code == 0
    assert "warning" in text
    assert "stale" in text
    assert run(folder, "--strict")[0] == 1


def test_variants_of_plugins_are_known(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    Store(folder).write(build_record(variant="mine", hyper={}))
    code, text = run(folder, "--strict")
    assert code == 1
    assert "variant = 'mine': it is not registered" in text
    plugin = tmp_path_factory.mktemp("plugin") / "mine.py"
    plugin.write_text(
        "from sambench.variants import StepRule, register\n\n\n"
        '@register("mine", summary="the base optimizer", paper=None, gradients=1)\n'
        "class Mine(StepRule):\n    def update(self, closure):\n        at = self.gradient(closure)\n"
        "        self.descend(at)\n        return at.loss\n"
    )
    assert "not registered" not in run(folder, "--plugin", plugin)[1]


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["validate", str(tmp_path)])
    assert result.exit_code != 0
    assert "no folder of records" in str(result.exception)
