"""From `sambench new` to a row on the board: the template passes the suite, and what the documentation shows runs."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sambench import cli
from sambench.benchmarks.conformance import judge, list_checks, new_variant
from sambench.benchmarks.conformance import variant_pages as cards
from sambench.benchmarks.conformance.checks import data_parallel as distributed
from sambench.errors import ConfigError
from sambench.variants import get_info, list_variants, load_plugin

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-variant.md"


@pytest.fixture(autouse=True)
def _no_outcomes(monkeypatch):
    monkeypatch.setattr(distributed, "_outcomes", {})


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)


# -- the template ----------------------------------------------------------------------------------------------


def test_new_variant_passes_every_check_as_it_stands(tmp_path):
    path = new_variant("my_rule", tmp_path)
    assert path == tmp_path / "my_rule.py"
    load_plugin(path)
    checks = [one for one in list_checks() if one.name != "ddp"]  # two processes: in the test of the page, below
    results = [judge(one, get_info("my_rule")) for one in checks]
    assert {result.check: (result.verdict, result.reason) for result in results if result.verdict != "pass"} == {}


def test_new_variant_is_commented_and_leaves_nothing_to_fill_in(tmp_path):
    text = new_variant("my_rule", tmp_path).read_text()
    assert "$" not in text
    assert "class MyRule(StepRule):" in text
    assert text.count("#") >= 10
    assert max(map(len, text.splitlines())) <= 120
    assert "sambench" not in (tmp_path / "transcriptions" / "my_rule.py").read_text().split('"""')[2]


@pytest.mark.parametrize(
    ("name", "says"),
    [("sam", "exists already"), ("My-SAM", "is not valid"), ("class", "is not valid"), ("2sam", "is not valid")],
)
def test_new_variant_refuses_a_bad_name(tmp_path, name, says):
    with pytest.raises(ConfigError, match=says):
        new_variant(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_new_variant_overwrites_nothing(tmp_path):
    new_variant("my_rule", tmp_path).write_text("mine")
    with pytest.raises(ConfigError, match=r"my_rule\.py exists already"):
        new_variant("my_rule", tmp_path)
    assert (tmp_path / "my_rule.py").read_text() == "mine"


# -- the page --------------------------------------------------------------------------------------------------


def test_python_of_the_page_runs(tmp_path, monkeypatch):
    rule, loop, transcription, others = blocks("python")
    (tmp_path / "half_sam.py").write_text(rule)
    (tmp_path / "transcriptions").mkdir()
    (tmp_path / "transcriptions" / "half_sam.py").write_text(transcription)
    assert load_plugin(tmp_path / "half_sam.py") == ["half_sam"]
    exec(compile("import torch\n" + loop, str(PAGE), "exec"), {})
    (tmp_path / "others.py").write_text(others)
    assert load_plugin(tmp_path / "others.py") == ["logits", "tail"]
    checks = [one for one in list_checks() if one.name != "ddp"]
    failed = {
        result.check: result.reason for one in checks if (result := judge(one, get_info("half_sam"))).verdict == "fail"
    }
    assert failed == {}
    assert judge(next(one for one in checks if one.name == "transcription"), get_info("half_sam")).verdict == "pass"


@pytest.mark.slow
def test_commands_of_the_page_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(blocks("toml")[0])
    lines = [shlex.split(line) for block in blocks("sh") for line in block.splitlines()]
    for command, *arguments in lines[:-1]:
        assert command == "sambench"
        result = CliRunner().invoke(cli.app, arguments)
        assert result.exit_code == 0, result.output
    assert lines[-1] == ["python", "-m", cards.__name__]
    assert "my_sam" in (tmp_path / "sambench-results" / "LEADERBOARD.md").read_text()


# -- the cards -------------------------------------------------------------------------------------------------


def test_pages_are_what_the_metadata_says():
    assert cards.stale() == [], "run: python -m sambench.benchmarks.conformance.variant_pages"


def test_stale_pages_are_named(tmp_path):
    found = tmp_path / "conformance.json"
    cards.write(tmp_path, found, results=[])
    assert cards.stale(tmp_path, found) == []
    (tmp_path / "sam.md").write_text("old")
    (tmp_path / "gone.md").write_text("of a variant that is gone")
    (tmp_path / "usam.md").unlink()
    assert cards.stale(tmp_path, found) == ["gone.md", "sam.md", "usam.md"]
    cards.write(tmp_path, found, results=[])
    assert cards.stale(tmp_path, found) == []


def test_a_page_says_everything_that_is_declared():
    info = get_info("unified_sam")
    page = cards.describe("unified_sam", {"unified_sam": {"cost": "pass", "transcription": "fail", "clip": "n/a"}})
    assert page.startswith("# unified_sam\n")
    assert info.paper.arxiv in page
    assert info.notes in page
    assert "$$\nw_{t+1} = " in page
    for name, hyper in info.hyper.items():
        assert f"| `{name}` | {hyper.default} |" in page
    assert "| `lam=1.0`, `rho=0.1` | [sam](sam.md) | `rho=0.1` |" in page
    assert page.count("| holds |") == page.count("| **fails** |") == page.count("| does not apply |") == 1
    assert ":math:" not in page
    assert "run `sambench check sam`" in cards.describe("sam", {})


@pytest.mark.parametrize("info", list_variants(), ids=lambda info: info.name)
def test_no_markup_of_docstrings_is_left_in_a_page(info):
    page = cards.describe(info.name, {})
    assert ".. math::" not in page
    assert not re.search(r":\w+:`", page)
    assert page.count("$$") % 2 == 0
    assert page.count("$$") >= 2


def test_family_table_has_a_row_for_each():
    text = cards.family()
    rows = [line for line in text.splitlines() if line.startswith("| [")]
    assert len(rows) == len(list_variants())
    assert any("| 2 |" in row and "[sam](sam.md)" in row for row in rows)
    assert text.count("unverified |") == sum(info.status != "reference" for info in list_variants())
