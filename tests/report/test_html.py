"""`prefect.report.html`: one file, its size, its policy, and that nothing of a record is more than text."""

import json
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import pytest

import records
from prefect.records.reading import read_record
from prefect.report.html import html, policy


class Elements(HTMLParser):
    """All elements of a page, with the content of scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.found, self.attributes, self.content, self._inside = [], [], {}, None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag in {"script", "style"}:
            self._inside = tag, self.found.count(tag)

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside:
            self.content[self._inside] = self.content.get(self._inside, "") + data


@pytest.fixture
def page(tmp_path):
    """Return a function that makes a page of a record's lines."""
    return lambda events: html(read_record(records.write(tmp_path / "r.jsonl", events))).decode()


def test_a_record_adds_no_element_and_no_attribute(page):
    """Whatever a record says, the page has the elements and attributes that it has for another."""
    plain, odd = Elements(page(records.small())), Elements(page(records.hostile()))
    assert odd.found == plain.found
    assert odd.attributes == plain.attributes


def test_only_the_pages_own_script_and_style_may_run(page):
    """The policy allows nothing but what has these digests, and no attribute is a handler or a style."""
    shown = Elements(page(records.hostile()))
    allowed = policy(live=False)
    assert ("meta", "content", allowed) in shown.attributes
    assert "default-src 'none'" in allowed
    assert "unsafe" not in allowed
    for key in (("script", 2), ("style", 1)):
        assert b64encode(sha256(shown.content[key].encode()).digest()).decode() in allowed
    assert not [name for _, name, _ in shown.attributes if name.startswith("on") or name == "style"]
    addresses = [value for _, name, value in shown.attributes if name in {"src", "href"}]
    assert all(value.startswith("#") for value in addresses)
    assert not re.search(
        r"innerHTML|insertAdjacent|document\.write|\beval\b|new Function",
        shown.content["script", 2],
    )


def test_the_data_are_text_that_commands_nothing(page):
    """Control characters, changes of direction and halves of pairs are written out."""
    text = page(records.hostile())
    data = json.loads(Elements(text).content["script", 1])

    def texts(value):
        if isinstance(value, str):
            yield value
        for each in (
            value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        ):
            yield from texts(each)

    assert all(line.isprintable() for each in texts(data) for line in each.split("\n"))
    assert any("\\u202egnp.exe" in each for each in texts(data))


@pytest.mark.parametrize(("count", "most"), [(10, 100_000), (1_000, 200_000), (10_000, 1_500_000)])
def test_a_page_is_small(page, count, most):
    """It grows with what a run has, and stays far below what a picture would take."""
    lines = records.small() if count == 10 else records.large(count)
    assert len(page(lines).encode()) < most


def test_a_run_without_an_end_and_one_without_tasks_have_pages(page):
    """What is not known is left out."""
    assert "nightly-sales" in page(records.small()[:20])
    assert "empty" in page([records.header(records.flow("empty", [], []))])
