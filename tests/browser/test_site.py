"""The site in a browser: it sorts, filters, draws, tells and downloads, offline, for the keyboard and on any screen."""

import io
import os
import re
from pathlib import Path

import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from site_store import HOSTILE, add_suite, fill, fill_grid, fill_measured
from synthetic import build_record

from sambench.cli.site import write_site

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]  # making the pages takes minutes on a busy machine
TABLE = "section[data-title='digits, wrn10_1 (noise=0.01)']"
BOARD = f"{TABLE} table.board"
WIDTHS = (390, 834, 1440, 1920)
"""A phone, a tablet, a desk, a wide desk."""


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """Return a results folder with two plain suites, a grid, rows that diverged, and a suite of hostile texts."""
    folder = tmp_path_factory.mktemp("site")
    os.environ["SAMBENCH_CACHE"] = str(folder / "cache")  # before the tests that have their own come to it
    root = folder / "results"
    store = fill(root, workloads=2, methods=6)
    fill_grid(store)
    fill_measured(store)
    bad = [build_record(variant="<b>sgd</b>", model=HOSTILE.replace("\u2028", ""), seed=seed) for seed in range(3)]
    bad.append(build_record(variant="sam", model=HOSTILE.replace("\u2028", ""), seed=7, status="diverged"))
    for record in bad:
        store.path(record.run_id).write_text(record.model_dump_json())
    add_suite(store, "hostile", [record.run_id for record in bad], title=HOSTILE, text=HOSTILE)
    (root / "theory" / "figures").mkdir(parents=True)
    (root / "theory" / "figures" / "rate.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="60"><circle cx="30" cy="30" r="20"/></svg>'
    )
    (root / "theory" / "theory.md").write_text("# Theory\n\nA rate of $1/t$.\n\n![a rate](figures/rate.png)\n")
    return root


@pytest.fixture(scope="session")
def folder(root):
    return write_site(root)


@pytest.fixture(scope="session")
def single(root, tmp_path_factory):
    return write_site(root, tmp_path_factory.mktemp("single") / "page.html", single=True)


@pytest.fixture(params=["folder", "single"])
def site(request):
    return request.getfixturevalue(request.param)


def column(page, name, board=BOARD):
    at = page.locator(f"{board} thead th").all_text_contents().index(name)
    return page.locator(f"{board} tbody tr:not([hidden])").evaluate_all(
        "(rows, at) => rows.map((row) => row.cells[at].textContent.trim())", at
    )


def draw_all(page):
    for figure in page.locator("figure").all():
        figure.scroll_into_view_if_needed()
        figure.locator("canvas").wait_for()


def pixels(canvas):
    return canvas.evaluate("(one) => one.toDataURL()")


def head(page, name):
    return page.locator(f"{BOARD} thead button", has_text=name)


def test_a_press_sorts_up_then_down_then_back(visit, site):
    page = visit(site)
    before = column(page, "Variant")
    head(page, "Error, %").click()
    errors = [float(text.split()[0]) for text in column(page, "Error, %")]
    assert errors == sorted(errors)
    assert page.locator(f"{BOARD} th[aria-sort=ascending]").text_content() == "Error, %"
    head(page, "Error, %").click()
    assert column(page, "Variant") == before[::-1]
    expect(page.locator(f"{BOARD} th[aria-sort=descending]")).to_have_count(1)
    head(page, "Error, %").click()
    assert column(page, "Variant") == before
    expect(page.locator("[aria-sort]")).to_have_count(0)
    head(page, "Variant").press("Enter")
    assert column(page, "Variant") == sorted(before)
    head(page, "vs sgd").click()
    assert column(page, "vs sgd")[-1] == "–"  # what has no number stands last


def test_a_filter_keeps_rows_and_says_how_many(visit, folder):
    page = visit(folder)
    page.get_by_label("Filter").fill("variant_1")
    assert column(page, "Variant") == ["variant_1"]
    expect(page.locator("#count")).to_have_text(re.compile("^2 of "))
    page.get_by_label("Filter").fill("no such thing")
    expect(page.locator("section.table:visible")).to_have_count(0)
    page.get_by_label("Filter").fill("")
    page.get_by_label("Workload").select_option("digits, mlp")
    expect(page.locator("section.table:visible")).to_have_attribute("data-title", "digits, mlp")
    page.get_by_label("Workload").select_option("")
    page.get_by_label("Track", exact=True).select_option("G")
    expect(page.locator("section.table:visible")).to_have_count(4)


def test_columns_come_and_go(visit, folder):
    page = visit(folder)
    page.locator("#columns summary").click()
    expect(page.locator(f"{BOARD} th", has_text="Memory")).to_be_hidden()
    page.get_by_label("Memory, MiB").check()
    assert column(page, "Memory, MiB")[0] == "512"
    page.get_by_label("Memory, MiB").uncheck()
    expect(page.locator(f"{BOARD} td[data-c='8']").first).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figures_are_drawn_and_answer_the_pointer(visit, site, scheme):
    page = visit(site, scheme=scheme)
    draw_all(page)
    kinds = {figure.get_attribute("data-plot") for figure in page.locator("figure[data-plot]").all()}
    assert kinds == {"cost", "curves", "pairs", "measures", "grid0"}
    curves = page.locator(f"{TABLE} figure[data-plot=curves]")
    curves.scroll_into_view_if_needed()
    curves.locator("canvas").hover(position={"x": 200, "y": 100})
    page.locator("#vg-tooltip-element.visible").wait_for()
    told = page.locator("#vg-tooltip-element").inner_text()
    assert "epoch" in told
    assert "undefined" not in told
    curves.get_by_label("Horizontal axis").select_option("Gradient evaluations")
    curves.locator("canvas").wait_for()
    assert curves.get_attribute("data-against") == "cost"


def test_surfaces_turn_together_by_pointer_and_keys(visit, site):
    page = visit(site)
    page.locator("#surfaces").scroll_into_view_if_needed()
    surfaces = page.locator("#surfaces canvas.surface")
    surfaces.nth(1).wait_for()
    first, second = surfaces.nth(0), surfaces.nth(1)
    before = pixels(first), pixels(second)
    first.scroll_into_view_if_needed()
    box = first.bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 160, box["y"] + 110, steps=4)
    page.mouse.up()
    turned = pixels(first), pixels(second)
    assert all(a != b for a, b in zip(before, turned, strict=True))
    first.press("ArrowLeft")
    assert pixels(second) != turned[1]
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator("#surfaces output").first).to_contain_text(" at ")
    page.locator("#surfaces").get_by_label("Loss").first.select_option("Test")
    expect(page.locator("#surfaces figcaption").first).to_contain_text("test loss from 0.02 to 1.32")
    assert "0.02 at the network" in surfaces.first.get_attribute("aria-label")
    lines = page.locator("#surfaces figure:not(:has(.surface))")
    lines.scroll_into_view_if_needed()
    lines.locator("canvas").wait_for()
    expect(lines).to_contain_text("on the line to")


def test_a_row_tells_its_runs_and_a_card_its_rule(visit, folder):
    page = visit(folder)
    page.locator(f"{BOARD} tbody button", has_text="sam").first.press("Enter")
    dialog = page.locator("dialog")
    expect(dialog).to_contain_text("sambench suite-1")
    runs = dialog.get_by_role("region", name="Runs", exact=True)
    links = runs.locator("a").evaluate_all("all => all.map((one) => one.href)")
    assert len(links) == 5
    assert all(Path(link.removeprefix("file://")).is_file() for link in links)
    expect(dialog.get_by_role("region", name="Against every other row").locator("tbody tr")).to_have_count(5)
    dialog.get_by_role("link", name="Card of sam").click()
    expect(dialog.locator("math").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert "#card" not in page.url


def test_a_card_goes_back_to_where_it_was_opened(visit, folder):
    page = visit(folder)
    dialog, link = page.locator("dialog"), page.locator("#variants a[href='#card-sam']")
    for away in (lambda: page.keyboard.press("Escape"), page.go_back):
        link.press("Enter")
        expect(dialog.locator("h1, h2").first).to_contain_text("sam")
        away()
        expect(dialog).to_be_hidden()
        assert "#card" not in page.url
        expect(link).to_be_focused()
    page.locator(f"{BOARD} tbody button", has_text="sam").first.click()
    dialog.get_by_role("link", name="Card of sam").press("Enter")
    assert page.evaluate("document.querySelector('dialog').contains(document.activeElement)")


def test_an_address_that_names_nothing_is_no_error(visit, folder):
    page = visit(folder)
    page.goto(f"{folder.as_uri()}#%zz")
    page.reload()
    expect(page.locator("#count")).to_contain_text("rows")
    draw_all(page)


def test_a_link_to_a_table_that_a_choice_hides_brings_it_back(visit, folder):
    page = visit(folder)
    link = page.locator("#answers a").last
    target = page.locator(link.get_attribute("href"))
    for _ in range(2):  # the second time the address is there already
        page.get_by_label("Filter").fill("no such thing")
        expect(target).to_be_hidden()
        link.click()
        expect(target).to_be_in_viewport()
    page.get_by_label("Filter").fill("suite-1 variant_2")
    assert column(page, "Variant") == ["variant_2"]
    expect(page.locator("#count")).to_have_text(re.compile("^1 of "))


def test_a_drawing_that_is_replaced_leaves_nothing(visit, folder):
    page = visit(folder)
    tools = page.context.new_cdp_session(page)

    def listeners():
        tools.send("HeapProfiler.collectGarbage")
        found = {one["name"]: one["value"] for one in tools.send("Performance.getMetrics")["metrics"]}
        return found["JSEventListeners"]

    tools.send("Performance.enable")
    for figure in ("figure[data-plot=curves]", "figure[data-slice]"):
        drawn = page.locator(figure).first
        drawn.scroll_into_view_if_needed()
        drawn.locator("canvas").wait_for()
        counts = []
        for turn in range(9):
            drawn.locator("select").select_option(index=turn % 2)
            expect(drawn.locator("select")).to_be_focused()
            counts.append(listeners())
        assert counts[-1] <= counts[2] + 4, counts  # the pages of before kept eight of each


def test_nothing_is_cut_on_paper(visit, folder):
    page = visit(folder)
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 686, "height": 1000})
    wide = "all => all.filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.innerText)"
    assert page.locator("section.table .scroll").evaluate_all(wide) == []


def test_downloads_are_whole(visit, site):
    page = visit(site)
    for name, read in (("runs.csv", pd.read_csv), ("runs.parquet", pd.read_parquet)):
        with page.expect_download() as found:
            page.locator("#files").get_by_text(name).click()
        table = read(io.BytesIO(Path(found.value.path()).read_bytes()))
        assert (found.value.suggested_filename, len(table)) == (name, 91)


def test_nothing_moves_under_a_pointer_that_came_to_the_end(visit, site):
    """What is laid out on the way there has its place already: a button is where it was when it was pressed."""
    page = visit(site)
    button = page.locator("#files").get_by_text("runs.csv")
    button.scroll_into_view_if_needed()
    places = button.evaluate("""async (one) => {
      const found = new Set();
      for (let frame = 0; frame < 90; frame++) {
        found.add(one.getBoundingClientRect().y);
        await new Promise(requestAnimationFrame);
      }
      return [...found];
    }""")
    assert len(places) == 1


def test_no_text_of_others_acts(visit, site):
    page = visit(site)
    expect(page.locator("img[src=x]")).to_have_count(0)
    page.get_by_label("Workload").select_option(
        next(text for text in page.locator("#workload option").all_inner_texts() if "onerror" in text)
    )
    shown = page.locator("section.table:visible")
    expect(shown.locator("h4")).to_contain_text("onerror")
    shown.locator("tbody button").first.click()
    expect(page.locator("dialog img, dialog b")).to_have_count(0)
    expect(page.locator("#dialog-h")).to_contain_text("<b>sgd</b>")


@pytest.mark.parametrize(("width", "scheme"), [*((width, "light") for width in WIDTHS), (390, "dark")])
def test_no_barrier_and_nothing_cut(visit, folder, width, scheme):
    page = visit(folder, width, scheme)
    draw_all(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    scrolled = "all => all.filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.innerText)"
    assert page.locator("section.table .scroll:visible").evaluate_all(scrolled) == []
    found = Axe().run(page, options={"preload": False}).response["violations"]
    page.locator(f"{BOARD} tbody button").first.click()
    found += Axe().run(page, options={"preload": False}).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in serious] == []


def test_the_keyboard_reaches_everything(visit, folder):
    page = visit(folder)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.id || document.activeElement.innerText"))
    assert {"workload", "track", "filter", "Error, %", "sam"} <= seen
