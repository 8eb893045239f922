"""The site: the numbers of the board, whole in one file, and no text of others acts in it."""

import base64
import gzip
import hashlib
import io
import json
import re
from html.parser import HTMLParser

import pandas as pd
import pytest
from site_store import HOSTILE, add_suite, fill, fill_grid
from synthetic import build_measurement, build_record

from sambench.benchmarks.training.behaviour import codes_today
from sambench.cli.site import write_site
from sambench.errors import ConfigError, StateError
from sambench.results.leaderboard.cells import cells
from sambench.results.leaderboard.front import in_order
from sambench.results.records.conformance import conformance_checks
from sambench.results.records.measurement import Measurements
from sambench.results.site import plotting, write
from sambench.results.tables.boards import gather
from sambench.results.tables.rows import between


class Page(HTMLParser):
    """The elements of a page, the texts of its scripts, and the cells of its boards."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.scripts, self.boards, self.cell, self.script = [], [], [], None, False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if tag == "script":
            self.scripts.append("")
        self.script = tag == "script"
        if attributes.get("class") == "board":
            self.boards.append([])
        if self.boards and tag == "tr" and "data-i" in attributes:
            self.boards[-1].append([])
        if "data-c" in attributes and self.boards and self.boards[-1]:
            self.boards[-1][-1].append("")
            self.cell = self.boards[-1][-1]

    def handle_endtag(self, tag):
        self.script = False
        self.cell = None if tag in ("td", "th") else self.cell

    def handle_data(self, data):
        if self.script:
            self.scripts[-1] += data
        elif self.cell is not None:
            self.cell[-1] += data

    def with_attribute(self, name):
        return [attributes[name] for _, attributes in self.elements if name in attributes]

    @property
    def loaded(self):
        """What a browser would load, but for figures of our own that the page holds."""
        return [address for address in self.with_attribute("src") if not address.startswith("data:image/svg+xml;")]

    @property
    def data(self):
        at = [attributes.get("id") for tag, attributes in self.elements if tag == "script"].index("data")
        return json.loads(self.scripts[at])


@pytest.fixture
def site(monkeypatch):
    """Write a site without the library that draws, whose making takes seconds."""
    monkeypatch.setattr(write, "plotting_library", lambda: "window.vegaEmbed = () => {};")
    return lambda root, **options: Page(write_site(root, **options).read_text(encoding="utf-8"))


def shown(store):
    """List the tables of a store in the order of the page."""
    return [section for board in in_order(gather(store, codes_today()).boards) for section in board.sections]


def test_the_tables_are_those_of_the_board(tmp_path, site):
    store = fill(tmp_path / "r")
    page, sections = site(store.root), shown(store)
    expected = [
        [list(cells(row, section, conformance_checks()).values()) for row in section.workload.rows]
        for section in sections
    ]
    assert page.boards == expected
    for table, section in zip(page.data["tables"].values(), sections, strict=True):
        rows = section.workload.rows
        first = between(rows[0], rows[1])
        assert table["pairs"][0] == [
            *(pytest.approx(-100 * end, rel=1e-9) for end in (first.estimate, first.high, first.low)),
            first.n[0],
        ]
        assert len(table["pairs"]) == len(rows) * (len(rows) - 1) / 2


def test_the_answers_stand_first(tmp_path, site):
    store = fill(tmp_path / "r", methods=3)
    write_site(store.root, tmp_path / "page.html", single=True)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    answers = text[: text.index('id="tables"')]
    section = shown(store)[0]
    sam = next(row for row in section.workload.rows if row.label == "sam")
    texts = cells(sam, section, {})
    assert texts["Error, %"] in answers
    assert f"sam {texts['vs sgd']}" in answers


def test_every_number_leads_to_its_record(tmp_path, site):
    store = fill(tmp_path / "r", workloads=1)
    data = site(store.root).data
    listed = [data["runs"][number][0] for row in data["tables"]["t0-0"]["rows"] for number in row["runs"]]
    assert sorted(listed) == store.run_ids()
    assert (store.root / "html" / data["records"] / f"{listed[0]}.json").resolve() == store.path(listed[0]).resolve()
    made = dict(zip(data["environment"], data["environments"][data["runs"][0][5]], strict=True))
    assert (made["device_name"], made["torch"], made["commit"][:7]) == ("a CPU", "2.11.0", "0123456")


def test_texts_of_others_do_not_act(tmp_path, site):
    plain = site(fill(tmp_path / "plain").root, single=True)
    store = fill(tmp_path / "r", device_name=HOSTILE, variant_status=HOSTILE)
    bad = [build_record(variant="<b>sgd</b>", model="<img src=x onerror=1>", seed=seed) for seed in range(3)]
    bad.append(build_record(variant="javascript:alert(1)", model="<img src=x onerror=1>", seed=7, status="diverged"))
    for record in bad:
        store.path(record.run_id).write_text(record.model_dump_json())
    runs = [record.run_id for record in bad]
    add_suite(store, "hostile", runs, title=HOSTILE, text=f"{HOSTILE}\n\n[a](javascript:1)")
    page = site(store.root, single=True)
    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in plain.elements} | {"math"}
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert not [address for address in page.with_attribute("href") if "javascript" in address.lower()]
    assert page.with_attribute("style") == page.loaded == []
    assert page.scripts[-3:] == plain.scripts[-3:]
    assert HOSTILE in [made[0] for made in page.data["environments"]]  # as it is, in data that no parser obeys


def test_a_policy_lets_nothing_else_run_or_load(tmp_path, site):
    page = site(fill(tmp_path / "r", workloads=1).root, single=True)
    (policy,) = [text for text in page.with_attribute("content") if "default-src" in text]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for script in page.scripts[-3:]:
        assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy
    folder = site(tmp_path / "r")
    assert sorted([*folder.loaded, *(a["href"] for t, a in folder.elements if t == "link")]) == [
        "data:,",
        "plots.js",
        "site.css",
        "site.js",
        "surface.js",
    ]


def test_one_file_holds_the_downloads(tmp_path, site):
    store = fill(tmp_path / "r", workloads=1)
    page = site(store.root, single=True)
    scripts = [attributes.get("id") for tag, attributes in page.elements if tag == "script"]
    packed = dict(zip(scripts, page.scripts, strict=True))
    table = pd.read_parquet(io.BytesIO(gzip.decompress(base64.b64decode(packed["file-runs.parquet"]))))
    assert sorted(table.run_id) == store.run_ids()
    site(store.root)
    beside = pd.read_csv(store.root / "html" / "runs.csv")
    assert list(beside.accuracy) == list(table.accuracy)


def test_the_same_records_give_the_same_bytes(tmp_path, site):
    store = fill(tmp_path / "r", workloads=1)
    first, second = (write_site(store.root, tmp_path / name, single=True).read_bytes() for name in ("a.html", "b.html"))
    assert first == second


def test_grids_cards_and_measures_are_there(tmp_path, site):
    store = fill(tmp_path / "r", workloads=1)
    for record in store.records():
        Measurements(store).write(build_measurement(record, value=float(record.spec["seed"])))
    fill_grid(store)
    page = site(store.root)
    assert "2 ± 2" in (store.root / "html" / "index.html").read_text(encoding="utf-8")  # the mean of 0 to 4
    (grid,) = next(table["grids"] for table in page.data["tables"].values() if table["grids"])
    assert (grid["variant"], len(grid["down"]), len(grid["across"])) == ("unified_sam", 3, 3)
    assert {a["id"] for t, a in page.elements if t == "template"} == {"card-sgd", "card-sam", "card-unified_sam"}


def test_what_is_missing_is_said(tmp_path, monkeypatch):
    with pytest.raises(StateError, match="no records"):
        write_site(tmp_path)
    fill(tmp_path, workloads=1)
    monkeypatch.setitem(__import__("sys").modules, "vl_convert", None)
    with pytest.raises(ConfigError, match=re.escape("sambench[site]")):
        write_site(tmp_path)


def test_the_library_is_made_once(monkeypatch, tmp_path):
    import vl_convert

    monkeypatch.setenv("SAMBENCH_CACHE", str(tmp_path))
    made = []
    monkeypatch.setattr(vl_convert, "javascript_bundle", lambda _: made.append(1) or "a library")
    assert [plotting.plotting_library() for _ in range(2)] == ["a library"] * 2
    assert made == [1]
