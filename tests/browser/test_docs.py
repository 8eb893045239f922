"""The documentation in a browser: it opens from a disk, finds, links where it says, and has no barriers."""

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

import sambench

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]
ROOT = Path(sambench.__file__).parent
PAGES = ("index", "LEADERBOARD", "STUDIES", "results/boards/digits", "docs/api", "docs/theory", "docs/variants/sam")


@pytest.fixture(scope="session")
def docs(tmp_path_factory):
    """Build the documentation, as ``make docs`` does; a warning is an error."""
    folder = tmp_path_factory.mktemp("docs")
    command = [Path(sys.executable).parent / "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder]
    subprocess.run(command, check=True, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"})
    return folder


def test_every_link_leads_somewhere_and_nothing_is_loaded_from_elsewhere(docs):
    loaded, dead = set(), set()
    for page in set(docs.rglob("*.html")) - {docs / "404.html"}:  # its links are of a server
        text = re.sub(r"(?s)<(template|script)\b.*?</\1>", "", page.read_text())
        loaded |= set(re.findall(r'(?:src="|<link [^>]*href=")(https?:[^"]+)', text))
        for target in re.findall(r'(?:href|src)="([^"#?]+)', text):
            if not re.match("[a-z]+:", target) and not (page.parent / unquote(target)).exists():
                dead.add((page.relative_to(docs).as_posix(), target))
    assert (loaded, {one for one in dead if one[0] != "404.html"}) == (
        set(),
        set(),
    )  # that page's links are of a server


def test_the_documentation_and_the_page_of_the_results_are_one_site(docs, visit):
    page = visit(docs / "index.html")
    page.get_by_role("link", name="Results", exact=True).first.click()
    page.get_by_role("link", name="Explore", exact=True).first.click()
    expect(page.get_by_role("heading", name="What these runs say")).to_be_visible()
    study = page.locator("#study-label_noise")
    expect(study).to_contain_text("supported here (growth of SAM's gain")
    study.locator("summary").click()
    expect(study.get_by_text("Predicted before the runs")).to_be_visible()
    page.get_by_role("link", name="Documentation").click()
    expect(page.get_by_role("heading", name="Add a variant in 20 lines")).to_be_visible()


def test_the_api_has_every_public_name(docs):
    text = (docs / "docs" / "api.html").read_text()
    assert [name for name in sambench.__all__ if f"sambench.{name}\n" not in re.sub("<[^>]+>", "\n", text)] == []


def test_the_search_works_from_a_disk(docs, visit):
    page = visit(docs / "index.html")
    page.get_by_role("textbox", name="Search").click()
    page.keyboard.type("write_site")
    page.locator(".md-search-result__link", has_text="write_site").first.wait_for()


@pytest.mark.parametrize("name", PAGES)
def test_no_barrier_and_nothing_cut(docs, visit, name):
    for width, scheme in ((390, "dark"), (1440, "light")):
        page = visit(docs / f"{name}.html", width, scheme)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        found = Axe().run(page, options={"preload": False}).response["violations"]
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        assert [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in serious] == []
