"""A terminal of 80 columns: lists and tables have one line a row, and nothing that tells rows apart is cut."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import ConsoleDimensions
from site_store import fill
from typer.testing import CliRunner

from sambench import cli
from sambench.cli import console
from sambench.cli.describe import LISTS
from sambench.cli.leaderboard import print_board
from sambench.results.records.models import model_path
from sambench.results.records.store import Store
from sambench.results.tables.boards import gather

WIDTH = 80
LONG = "a variant of somebody with a name that fills a line, and more than a line, of any terminal there is"


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console._Console, "size", property(lambda self: ConsoleDimensions(WIDTH, 40)))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    store = fill(tmp_path_factory.mktemp("narrow"), workloads=1, methods=4)
    for run in store.run_ids()[:3]:
        path = model_path(store, run)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"weights")
    return store.root


def lines(*words: str) -> list[str]:
    result = CliRunner().invoke(cli.app, list(words))
    assert result.exit_code == 0, (result.output, result.exception)
    return [line.rstrip() for line in result.stdout.splitlines()]


@pytest.mark.parametrize("kind", LISTS)
def test_a_list_has_a_line_a_row_with_its_whole_name(kind: str) -> None:
    head, *shown = lines("list", kind)
    assert max(map(len, [head, *shown])) <= WIDTH
    assert [line.split(" ")[0] for line in shown] == [row["name"] for row in LISTS[kind]("*")]


@pytest.mark.parametrize(
    ("words", "rows"), [(("study", "list"), 12), (("models",), 3), (("status", "quickstart", "--all"), 32)], ids=str
)
def test_other_lists_too(root: Path, words: tuple[str, ...], rows: int) -> None:
    shown = lines(*words, "--results", str(root))
    table = [line for line in shown[1:] if "  " in line][:rows]
    assert (len(table), len(set(table))) == (rows, rows)
    assert max(len(line) for line in shown if not line.startswith("next: ")) <= WIDTH  # a command stays whole


def test_a_board_has_a_line_a_row(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = gather(Store(root))
    print_board(found)
    shown = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    for row in found.sections[0].workload.rows:
        (line,) = [line for line in shown if re.match(rf"[a-z]+ +{row.label} ", line)]
        assert len(line) <= WIDTH


@pytest.mark.parametrize(
    "words",
    [
        ("compare", "sam", "sgd"),
        ("plan", "quickstart"),
        ("describe", "unified_sam"),
        ("describe", "digits"),
        ("measure", "quickstart", "--what", "gradient_norm", "--rebuild", "--plan"),
        ("leaderboard",),
        ("study", "describe", "m_sharpness"),
    ],
    ids=" ".join,
)
def test_texts_are_broken_between_words(root: Path, words: tuple[str, ...]) -> None:
    """Nothing is cut where there is no list to keep in shape."""
    assert "…" not in "".join(lines(*words, "--results", str(root)))


def test_what_tells_rows_apart_gives_way_in_its_middle_alone(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(f"{number:012}", f"{LONG} seed {number}", "done", "7/8", "") for number in range(3)]
    console.out.print(console.listing(["run", "variant", "state", "step", ""], rows, keys=3))
    head, *shown = capsys.readouterr().out.splitlines()
    assert [len(line) <= WIDTH for line in shown] == [True] * 3
    assert [re.fullmatch(r"0+(\d)  a variant.*….*seed (\d)  done *", line).groups() for line in shown] == [
        (str(number), str(number)) for number in range(3)
    ]
    assert head.split() == ["run", "variant", "state"]
