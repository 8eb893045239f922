"""Tables for papers: the board's own texts, in formats that other programs read."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from synthetic import build_record

from sambench.errors import ConfigError, StateError
from sambench.results.leaderboard.printed import COLUMNS, WRITERS, print_tables
from sambench.results.records.manifest import SuiteManifest, Track, write_manifest
from sambench.results.records.store import Store

HOSTILE = "a_b & c%$#{}~^\\<i>|"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    store = Store(tmp_path / "results")
    made = [
        build_record(variant=variant, seed=seed, accuracy=accuracy + 0.005 * seed, variant_status=status)
        for variant, accuracy, status in (("sgd", 0.92, "reference"), ("sam", 0.95, "reimplementation, unverified"))
        for seed in range(3)
    ]
    apart = build_record(variant=HOSTILE, hyper={}, noise=0.2)
    for record in (*made, apart):
        store.write(record)
    track = Track(name="G", budget=8, runs=tuple(record.run_id for record in made))
    fields = {"name": "s", "title": "T", "description": "", "command": "c", "seeds": (0, 1, 2), "tracks": (track,)}
    write_manifest(store, SuiteManifest.model_validate(fields))
    return store.root


def test_a_table_in_latex(results: Path, tmp_path: Path) -> None:
    assert print_tables(results, tmp_path / "t.tex", "tex", "s", "G") == "1 table"
    assert (
        (tmp_path / "t.tex").read_text()
        == r"""% for the package booktabs
% digits, wrn10\_1 (noise=0): track G
\begin{tabular}{llrrrrr}
\toprule
Group & Variant & Error, \% & n & vs sgd & vs sam & Grad. evals \\
\midrule
a & sam $\dagger$ & 4.50 $\pm$ 1.24 & 3 & $-$3.00 [$-$4.13, $-$1.87] & -- & 88.0 \\
b & sgd & 7.50 $\pm$ 1.24 & 3 & -- & +3.00 [+1.87, +4.13] & 44.0 \\
\bottomrule
\end{tabular}
"""
    )


@pytest.mark.parametrize("kind", WRITERS)
def test_all_tables_of_a_folder(results: Path, tmp_path: Path, kind: str) -> None:
    assert print_tables(results, tmp_path / "t", kind) == "2 tables"
    text = (tmp_path / "t").read_text()
    if kind == "html":
        first, second = ET.fromstring(f"<r>{text}</r>")
        assert tuple(cell.text for cell in first.iter("th")) == COLUMNS
        assert [row[1].text for row in first.iterfind("tbody/tr")] == ["sam †", "sgd"]
        assert [row[0].text for row in second.iterfind("tbody/tr")] == [HOSTILE]
    elif kind == "tex":
        assert r"a\_b \& c\%\$\#\{\}\textasciitilde{}\textasciicircum{}\textbackslash{}<i>| & " in text
    else:
        assert text.count("\n| ---") == 2


def test_what_does_not_exist_is_named(results: Path, tmp_path: Path) -> None:
    for wrong in (("q", ""), ("s", "E")):
        with pytest.raises(ConfigError, match="unknown"):
            print_tables(results, tmp_path / "t", "md", *wrong)
    with pytest.raises(StateError, match="no finished run"):
        print_tables(tmp_path / "empty", tmp_path / "t", "md")
