"""The page of a run in a real browser: what is seen, clicked, typed and printed. It asks for nothing."""

import pytest

import records
from prefect.core.picture import COLOURS

pytestmark = pytest.mark.services


def test_the_summary_says_what_became_of_the_run(show):
    """Flow, state, numbers, what went wrong, parameters and environment are there."""
    shown = show(records.small())
    assert (shown.text("#name"), shown.text("#badge")) == ("nightly-sales", "Failed")
    assert shown.text("#message") == "Some reference tasks failed."
    tiles = shown.text("#tiles")
    assert "23.1 s" in tiles
    assert "19" in tiles
    assert shown.texts(".chip") == ["Failed\n1", "Not run\n1", "Succeeded\n16", "Cached\n1"]
    assert "publish" in shown.text("#failures")
    assert "database db-7 refused" in shown.text("#failures")
    assert "line 42" not in shown.text("#failures")
    assert "s3://sales/2025" in shown.text("#parameters")
    assert "threads:8" in shown.text("#facts")
    shown.page.click("#requirements summary")
    assert "pandas==2.2.0" in shown.text("#requirements")


def test_a_click_on_a_box_tells_of_its_task(show):
    """Message, traceback, times, worker, log and neighbours; Esc closes it."""
    shown = show(records.small())
    assert len(shown.texts(".box")) == 10
    shown.page.click(".box:has-text('publish')")
    detail = shown.text("#detail")
    for text in (
        "publish-1",
        "db-7 refused the connection",
        "Traceback",
        "thread-0",
        "connecting to db-7",
        "score",
        "notify",
    ):
        assert text in detail
    assert "publish" in shown.text("#table .row.on")
    shown.page.click("#detail .links >> text=score")
    assert shown.text("#detail h2") == "score"
    shown.page.keyboard.press("Escape")
    assert not shown.page.locator("#detail").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_states_are_told_apart_without_colours(show, scheme):
    """Chips, rows and boxes have a mark for each; what succeeded has none in the graph, as most did."""
    shown = show(records.small(), color_scheme=scheme)

    def marks(selector):
        return shown.page.locator(selector).evaluate_all(
            "found => found.map((one) => getComputedStyle(one, '::before').content)"
        )

    assert marks(".chip .dot") == ['"✗"', '"⊘"', '"✓"', '"="']
    assert set(marks("#table .row:has-text('publish') .dot")) == {'"✗"'}
    assert shown.page.locator("#graph-view .mark").all_text_contents() == ["=", "✗", "⊘"]


def test_a_mapped_task_opens_to_its_children(show):
    """In the graph it is one box; its details show all children, and the table opens."""
    shown = show(records.small())
    assert "\u00d712" in shown.page.locator(".box:has-text('train')").text_content()
    shown.page.click(".box:has-text('train')")
    assert "12 children: 12 succeeded" in shown.text("#detail")
    box = shown.page.locator("#detail canvas").bounding_box()
    shown.page.mouse.click(box["x"] + 3 * 14 + 5, box["y"] + 5)
    assert shown.text("#detail h2") == "train[3]"
    assert "Tries" in shown.text("#detail")
    assert "TimeoutError: no answer" in shown.text("#detail")
    assert len(shown.texts("#table .row")) == 22
    shown.page.keyboard.press("Escape")
    shown.page.click("#table .row:has-text('train') button.fold >> nth=0")
    assert len(shown.texts("#table .row")) == 10


def test_the_filter_finds_words_and_states(show):
    """Text and states narrow the table, the log and the graph; Esc clears them."""
    shown = show(records.small())
    shown.page.keyboard.press("/")
    shown.page.keyboard.type("fold 3")
    assert shown.texts("#lines .line") == ["+15.3 s\nINFO\ntrain[3]\nfold 3: loss 0.14"]
    shown.page.fill("#search", "train[1")
    assert [text.split("\n")[0] for text in shown.texts("#table .row")] == [
        "train[1]",
        "train[10]",
        "train[11]",
    ]
    shown.page.keyboard.press("Escape")
    shown.page.click(".chip:has-text('Cached')")
    assert shown.text("#tasks-note") == "1 of 19 fit the filter"
    assert "Not run again" in shown.text("#table .row")
    assert shown.page.locator(".box:not(.dim)").count() == 1
    shown.page.keyboard.press("Escape")
    assert shown.page.locator(".box.dim").count() == 0
    shown.page.select_option("#level", "WARNING")
    assert len(shown.texts("#lines .line")) == 1


def test_everything_can_be_done_with_keys(show):
    """Rows, boxes, failures, folds, colours and help have keys."""
    shown = show(records.small(), color_scheme="light")
    keys = shown.page.keyboard
    keys.press("f")
    assert shown.text("#detail h2") == "publish"
    keys.press("Escape")
    keys.press("s")
    keys.press("Home")
    for _ in range(5):
        keys.press("ArrowDown")
    assert "train" in shown.text("#table .row.on")
    keys.press("Enter")
    assert len(shown.texts("#table .row")) == 22
    keys.press("ArrowDown")
    assert "train[0]" in shown.text("#table .row.on")
    keys.press("ArrowLeft")
    assert len(shown.texts("#table .row")) == 10
    keys.press("g")
    keys.press("ArrowRight")
    keys.press("Enter")
    assert shown.text("#detail h2") == "extract"
    keys.press("Escape")
    keys.press("t")
    assert shown.page.evaluate("document.documentElement.dataset.theme") == "dark"
    keys.press("?")
    assert "next failure" in shown.text("#keys")


def test_the_timeline_tells_picks_and_zooms(show):
    """A bar says what ran where; a click picks it; a drag looks closer."""
    shown = show(records.small())
    page = shown.page
    assert shown.text("#timeline-note").startswith("4 workers, at most 4 at a time")
    page.locator("#timeline").scroll_into_view_if_needed()
    shown.frame()
    box = page.locator("#timeline-canvas").bounding_box()
    page.mouse.move(box["x"] + 125, box["y"] + 62 + 10)
    assert shown.text("#tip").startswith("clean: succeeded")
    assert "on thread-0" in shown.text("#tip")
    page.mouse.click(box["x"] + 125, box["y"] + 62 + 10)
    assert shown.text("#detail h2") == "clean"
    page.keyboard.press("Escape")
    shown.frame()
    page.mouse.move(box["x"] + 300, box["y"] + 70)
    page.mouse.down()
    page.mouse.move(box["x"] + 500, box["y"] + 90, steps=4)
    page.mouse.up()
    assert page.locator("#timeline-all").is_visible()
    page.click("#timeline-all")
    assert not page.locator("#timeline-all").is_visible()


def test_columns_sort_rows(show):
    """A click on a column sorts, another turns that round, a third undoes it."""
    shown = show(records.small())
    names = lambda: [text.split("\n")[0] for text in shown.texts("#table .row .task")]  # noqa: E731
    before = names()
    shown.page.click("#columns >> text=Duration")
    assert names()[0] in {"train", "▶"}
    shown.page.click("#columns >> text=Task")
    assert [n for n in names() if n != "▶"] == sorted(n for n in before if n != "▶")
    shown.page.click("#columns >> text=Task")
    shown.page.click("#columns >> text=Task")
    assert names() == before


def test_ten_thousand_tasks_are_few_elements(show):
    """Rows exist where they are seen alone, wherever somebody scrolls to; large flows are few boxes."""
    shown = show(records.large(10_000))
    page = shown.page
    page.click("#open-all")
    assert page.evaluate("document.querySelector('#table .space').clientHeight") == 28 * 10_003
    for part in (0.5, 1):
        page.evaluate(
            f"t = document.querySelector('#table'), t.scrollTop = {part} * t.scrollHeight"
        )
        shown.frame()
        assert 15 < page.locator("#table .row").count() < 60
    assert "summary" in shown.texts("#table .row")[-1]
    assert page.locator(".box").count() <= 120
    assert page.evaluate("document.querySelectorAll('*').length") < 3000


def test_print_has_all_on_white(show):
    """Every row, line and failure's traceback is there, and nothing that only works on a screen."""
    shown = show(records.small(), color_scheme="dark")
    page = shown.page
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("nav").is_visible()
    assert not page.locator("#search").is_visible()
    assert page.locator("#table").evaluate("e => e.scrollHeight <= e.clientHeight + 1")
    assert len(shown.texts("#table .row")) == 10
    assert "line 42, in load" in shown.text("#failures")
    assert page.pdf().startswith(b"%PDF")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_system_until_somebody_chooses(show, scheme):
    """The button turns them round."""
    shown = show(records.small(), color_scheme=scheme)
    back = "getComputedStyle(document.body).backgroundColor"
    before = shown.page.evaluate(back)
    assert (before == "rgb(17, 21, 28)") == (scheme == "dark")
    shown.page.click("#theme")
    assert shown.page.evaluate(back) != before


def test_nothing_of_a_record_runs(show):
    """Markup and commands in every text of a record are shown as text, wherever they come up."""
    shown = show(records.hostile())
    page = shown.page
    page.evaluate("void (window.alert = () => { document.title = 'it ran'; })")
    assert "<img src=x onerror=" in shown.text("#name")
    page.locator(".box").first.click()
    assert "<img src=x onerror=" in shown.text("#detail h2")
    page.click("#open-all")
    page.fill("#search", "</script>")
    assert page.locator("#table .row").count() > 0
    assert page.locator("img, main script, main iframe").count() == 0
    assert "it ran" not in page.title()
    assert records.HOSTILE[:20] in page.title()


def test_a_run_that_was_cut_off_says_so(show):
    """What ran when the record broke off is shown as running, and the page knows no end."""
    shown = show(records.small()[:18])
    assert shown.text("#badge") == "No end recorded"
    assert "So far" in shown.text("#tiles")
    assert any("Running" in text for text in shown.texts(".chip"))


def chain(count):
    """Return the lines of a run of tasks one after the other, with long names."""
    tasks = [records.task(f"s{n}-1", f"stage_number_{n}") for n in range(count)]
    edges = [(f"s{n}-1", f"s{n + 1}-1", "x", False) for n in range(count - 1)]
    made = records.Making(records.flow("chain", tasks, edges))
    for n in range(count):
        made.run(f"s{n}-1", [f"s{n - 1}-1"] if n else [])
    return made.end("Success", "All went well.")


@pytest.mark.parametrize("lines", [records.small(), records.large(1000), chain(30), chain(14)],
                         ids=["small", "large", "chain", "half"])  # fmt: skip
def test_labels_are_readable_within_their_boxes(show, lines):
    """However large the graph, letters are some nine pixels high, end within the box, and the width is used."""
    page = show(lines).page
    found = page.evaluate("""() => [...document.querySelectorAll("#graph-view .box")].map((g) => {
        const label = g.querySelector("text"), box = g.querySelector("rect:nth-of-type(1)").getBoundingClientRect();
        const text = label.getBoundingClientRect();
        const scale = label.getScreenCTM().a;
        return [parseFloat(getComputedStyle(label).fontSize) * scale, text.right - box.right, text.top - box.top];
    })""")
    assert min(size for size, _, _ in found) >= 9
    assert max(beyond for _, beyond, _ in found) <= 1
    assert min(above for _, _, above in found) >= -3  # the space above letters is theirs, too
    view, drawn = page.evaluate("""() => {
        const view = document.getElementById("graph-view");
        return [view.clientWidth, view.querySelector("svg").clientWidth];
    }""")
    assert drawn >= 0.9 * view


def test_what_was_not_run_is_not_red():
    """Not for who sees no red, either: it is bluer than it is red, and failures are not."""

    def parts(colour):
        return [int(colour[at : at + 2], 16) for at in (1, 3, 5)]

    red, _, blue = parts(COLOURS["TriggerFailed"])
    assert blue > red + 30
    red, _, blue = parts(COLOURS["Failed"])
    assert red > blue + 100
