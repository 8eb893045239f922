"""A real browser: Debian's chromium through Playwright. A machine without it fails these tests and skips none."""

import shutil

import pytest
from playwright.sync_api import expect, sync_playwright

PATIENCE = 60_000
"""Milliseconds that a page has to do what it is asked: a busy machine is no fault of the page."""


@pytest.fixture(scope="session")
def chromium():
    """Start the browser once."""
    path = shutil.which("chromium")
    assert path, "there is no chromium: apt-get install chromium, as .ci/run does"
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """Open a file without a network; what the page complains of in its console fails the test in the end."""
    contexts, complaints = [], []

    def go(path, width=1440, scheme="light", wait="load"):
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True, accept_downloads=True
        )
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(request.url) if request.url.startswith("http") else None)
        page.goto(path.as_uri(), wait_until=wait)
        return page

    yield go
    for context in contexts:
        context.close()
    assert complaints == []
