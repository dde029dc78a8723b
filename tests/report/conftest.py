"""Pages of runs, and the browser that they are tried in."""

import os
import shutil

import pytest

import records
from prefect.records.reading import read_record
from prefect.report.html import html


@pytest.fixture(scope="session")
def browser():
    """Debian's Chromium, without a head."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium")
    if program is None:
        pytest.fail("Chromium is not installed: `make services` does that on Debian")
    alone = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=alone)
        yield browser
        browser.close()


class Shown:
    """A page in the browser, with all that it complained of and asked for."""

    def __init__(self, browser, url, **context):
        self.context = browser.new_context(viewport={"width": 1400, "height": 900}, **context)
        self.page = self.context.new_page()
        self.complaints, self.requests = [], []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(url)
        self.url = url

    def text(self, selector):
        """Return the text of the first element."""
        return self.page.locator(selector).first.inner_text()

    def texts(self, selector):
        """Return the texts of all elements."""
        return self.page.locator(selector).all_inner_texts()

    def frame(self):
        """Wait until what was asked for is drawn."""
        self.page.evaluate(
            "() => new Promise(d => requestAnimationFrame(() => requestAnimationFrame(d)))"
        )


@pytest.fixture
def show(browser, tmp_path):
    """Return a function that shows the page of a record's lines, and checks in the end what it did."""
    shown = []

    def make(events, **context):
        run = read_record(records.write(tmp_path / "run.jsonl", events))
        path = tmp_path / "run.html"
        path.write_bytes(html(run))
        shown.append(Shown(browser, path.as_uri(), **context))
        return shown[-1]

    yield make
    for each in shown:
        assert each.complaints == []
        assert each.requests == [each.url]
        each.context.close()
