"""What others wrote is shown as it is, wherever it is shown: in Markdown, on terminals, in figures."""

import html
import io
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from synthetic import build_record, build_trial
from typer.testing import CliRunner

from sambench import cli
from sambench.cli.console import _Console, facts, grid, styled
from sambench.cli.progress import pool_progress
from sambench.markdown import code, escape, lines, table
from sambench.plain_text import printable
from sambench.results.leaderboard.place import Place
from sambench.results.leaderboard.render import render
from sambench.results.plots import draw
from sambench.results.records.manifest import Calibration, SuiteManifest, Track, Tuning
from sambench.results.records.record import RunRecord
from sambench.results.tables.boards import Boards, assemble
from sambench.results.tables.published import ABOUT

HOSTILE = [
    "<script>alert(1)</script>", "<!-- x", "a|b|c", "# h", "## h", "> q", "- i", "* i", "+ i", "1. i", "12) i", "---",
    "===", "***", "```", "~~~", "    code", "`a", "a``b`c", "`a|b`", "**b**", "_e_", "__b__", "a_b_c", "~~s~~",
    "[l](http://x)", "![i](http://x)", "[r]: http://x", "[r][r]", "[^1]", "<http://x>", "http://x.y", "www.x.y",
    "a@b.cd", "&lt;b&gt;", "&#60;b&#62;", "\\<b>", "\\", "\\|", "a\\", "$x^2$", "$\\frac{$", "$", "\\$x$", ":smile:",
    "h:mm:ss", "[red]x[/red]", "[/red]", "[link=http://x]y[/link]", "[bold", "\\[b]", "\x1b[31mred",
    "\x1b]8;;http://x\x07y", "\x9b31m", "a\rb", "a\nb", "a\n# b", "a\n\n<b>", "a\tb", "\x00",
    "\x08\x08", "\u202eabc", "\u2028x", "\ud800", "\ufeff",
    "Ω ñ 中 🙂", "{x}", "{0.__class__}", "%s", "", " ", "x" * 300, "- [ ] task", "[x] task",
]  # fmt: skip
EVERY = pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text)[:24])
ACTS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
SGR = re.compile(r"\x1b\[[0-9;]*m")
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def mixed(count: int, seed: int = 0) -> list[str]:
    """Texts put together of pieces of the hostile ones."""
    draw, pieces = random.Random(seed), [*HOSTILE, *"*_`~[]()!<>&|#\\$:-+=.1a \n"]
    return ["".join(draw.choices(pieces, k=draw.randint(2, 6))) for _ in range(count)]


def tags(rendered: str) -> Counter[str]:
    """Count the tags of a page; code is no harm."""
    return Counter(tag for tag in re.findall(r"<(/?\w+|!--)", rendered) if tag not in ("code", "/code"))


def squeezed(text: str) -> str:
    return re.sub(r"[\s`']+", "", text)


@pytest.mark.parametrize("texts", [HOSTILE, mixed(400)], ids=["each", "mixed"])
def test_markdown_shows_a_text_and_nothing_of_it_acts(texts: list[str]) -> None:
    for text in texts:
        shown = escape(text)
        for frame in ("{}", "- {}", "## {}", "word {} word", "**{}**"):
            page = frame.format("\0").replace("\0", shown)
            found, usual = MARKDOWN.render(page), MARKDOWN.render(frame.format(f"x{'' if shown else ' '}"))
            assert shown == "" or tags(found) == tags(usual), (text, page, found)
            if "``" not in text:
                plain = html.unescape(re.sub(r"</?\w+[^>]*>", "", found))
                wanted = squeezed(printable(text.replace("\n", " ")))
                assert squeezed(plain) in (wanted, f"word{wanted}word"), (text, page, found)
        found = MARKDOWN.render(table(["name", "n"], [[text, "1"]], left=["name"]))
        assert tags(found) == tags(MARKDOWN.render(table(["name", "n"], [["x", "1"]], left=["name"]))), (text, found)
        assert not ACTS.search(shown)


@pytest.mark.parametrize("texts", [HOSTILE, mixed(200)], ids=["each", "mixed"])
def test_code_is_code_whatever_it_holds(texts: list[str]) -> None:
    for text in texts:
        found = MARKDOWN.render(f"word {code(text)} word")
        assert re.fullmatch(r"<p>word <code>[^<]*</code> word</p>\n", found), (text, found)


def hostile_board(text: str) -> tuple[Boards, list[RunRecord]]:
    """A board in which every text of others is this one; what must be one line is this one without control characters,
    as a file that has them is refused."""
    line = "".join(each for each in text if each.isprintable()) or "x"
    file = line.replace("/", "").replace("\\", "") or "x"
    spec: dict[str, Any] = {"dataset": line, "model": line, "augment": line, "base": line}
    made = [
        build_record(variant=variant, seed=seed, device_name=text, host=text, **spec, **more)
        for variant, more in (("sam", {"hyper": {line: line}}), ("sgd", {}), (f"v{line}", {"hyper": {}}))
        for seed in (0, 1)
    ]
    failed = build_record(variant="sam", seed=2, status="failed", **spec).model_copy(update={"error": text})
    odd = made[0].environment.model_copy(update={"commit": None, "source": text, "sambench": text})
    records = [made[0].model_copy(update={"environment": odd}), *made[1:], failed]
    runs = tuple(record.run_id for record in records)
    timed = Calibration(device_name=text, threads=1, host=text, torch=text, seconds={line: 1.0}, turns=1)
    manifest = SuiteManifest.model_construct(
        name=text, title=text, description=f"{text}\n{text}", command=text, seeds=(0, 1), untracked=(),
        tracks=(Track(name="T", budget=8, runs=runs, calibration=timed),), tuning=Tuning(ledger=file, sha256="0" * 64),
    )  # fmt: skip
    trials = [build_trial("sam", 0, chosen=True).model_copy(update={"method": text, "track": "T", "edges": text})]
    return assemble(records, [manifest], {file: trials}, retracted={runs[1]: text}), records


def hostile_numbers(text: str) -> list[dict[str, Any]]:
    line = "".join(each for each in text if each.isprintable()) or "x"
    number = dict.fromkeys((*ABOUT, "source", "printed"), text)
    number |= {"setting": {text: text}, "same": [("sam", {})], "accuracy": 95.0, "dataset": line}
    return [number | {"network": f"{text}0"}, number | {"network": line}]


@EVERY
def test_a_board_keeps_its_structure(text: str) -> None:
    checks = {"sam": {text: "fail"}}
    text = text.replace("\ud800", "")  # no record holds one: it cannot be written as UTF-8
    place = Place(carded=frozenset(("sam", "sgd")))
    pages = [
        "\n\n".join(
            page
            for path, page in render(hostile_board(each)[0], checks, hostile_numbers(each), place).items()
            if path.suffix == ".md"
        )
        for each in (text, "harmless")
    ]
    found, usual = (tags(MARKDOWN.render(page)) for page in pages)
    for tag in ("p", "/p"):  # a description may have an empty line
        found.pop(tag), usual.pop(tag)
    assert found == usual
    assert not ACTS.search(pages[0])


@pytest.mark.parametrize("text", ["$x^2$ $\\frac{$ \x1b[31m<b>|\n 中 🙂 {x} ../x", "x" * 300], ids=["each", "long"])
def test_figures_show_a_text_as_it_is(text: str, tmp_path: Path) -> None:
    paths = draw(*hostile_board(text), tmp_path / "figures")
    assert len(paths) > 6
    assert all(path.is_file() and path.parent == tmp_path / "figures" for path in paths)


@EVERY
@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
def test_a_console_shows_a_text_as_it_is(text: str, terminal: bool) -> None:
    file = io.StringIO()
    console = _Console(file=file, force_terminal=terminal, width=2000, color_system="truecolor")
    console.print(text, soft_wrap=True)
    console.print(styled(text, (text, "red")), soft_wrap=True)
    console.print(grid([text, text], [[text, styled((text, "dim"))]]))
    titled = facts([(text, text)])
    titled.title = titled.caption = text
    console.print(titled)
    written = SGR.sub("", file.getvalue())
    assert not ACTS.search(written)
    for line in filter(None, map(str.split, printable(text.expandtabs(), keep="\n").split("\n"))):
        assert "".join(written.split()).count("".join(line)) >= 8


@EVERY
def test_progress_shows_a_text_as_it_is(text: str) -> None:
    from types import SimpleNamespace

    file = io.StringIO()
    run = SimpleNamespace(spec=SimpleNamespace(label=lambda: text, run_id="r"), steps=3)
    with pool_progress(_Console(file=file, force_terminal=True, width=2000), 2) as listen:
        for kind in ("started", "step", "failed"):
            listen(SimpleNamespace(kind=kind, worker=0, run=run, step=1, text=text))  # pyright: ignore[reportArgumentType]
    written = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue()).replace("\r", "")
    assert not ACTS.search(written)


@pytest.mark.parametrize("text", ["[red]x[/red]", "[/red]", "h:mm:ss", "\x1b[31mred", ":smile:", "<b>|$x$"])
def test_commands_show_a_text_as_it_is(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written = text.encode("unicode_escape").decode().replace("\\x1b", "\\u001b")
    suite = tmp_path / "s.toml"
    suite.write_text(
        f'title = "{written}"\ndescription = "{written}"\n[spec]\nmodel = "mlp"\nsubset = 96\nbatch_size = 32\n'
        '[[runs]]\nvariant = "sgd"\n'
    )
    for words in (
        ["plan", "s.toml"],
        ["plan", f"{text}.toml"],
        ["status", "s.toml", "--results", text],
        ["list", text],
        ["list", "variants", text],
        ["describe", text],
        ["run", "--variant", text],
        ["run", "--dataset", f"mine=parquet:{text}"],
        ["run", "--set", text],
        ["logs", text],
        ["validate", text],
        ["leaderboard", "--results", text],
        ["export", f"{text}.csv", "--results", text],
    ):
        result = CliRunner(env={"NO_COLOR": "1"}).invoke(cli.app, words)
        assert result.exception is None or type(result.exception).__module__ != "rich.errors", (words, result)
        assert not ACTS.search(result.output), (words, result.output)
        if words == ["plan", "s.toml"]:
            said = result.output if text.isprintable() else str(result.exception)
            assert said.count(printable(text)) == (2 if text.isprintable() else 1)


def test_lines_stay_lines() -> None:
    assert lines("a\n# b\n\nc|d") == "a\n\\# b\n\nc\\|d"
