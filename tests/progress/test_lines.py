"""`prefect.progress.lines`: lines below what is written to a terminal."""

import pytest

from prefect.progress.lines import bar, fitted


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("plain", 10, "plain"),
        ("a longer one", 6, "a lon…"),
        ("\x1b[31mred\n", 30, "\\x1b[31mred\\n"),
        ("漢字漢字", 6, "漢字…"),
        ("漢字", 4, "漢字"),
        ("e\u0301e\u0301", 2, "e\u0301e\u0301"),
    ],
)
def test_a_line_is_no_wider_than_the_terminal(text, width, shown):
    """Wide characters count twice, combining ones not at all, and none commands it."""
    assert fitted(text, width) == shown


def test_a_bar():
    """It has its width, whatever is asked; colours only where they are wanted."""
    assert bar(0.5, 4, colour=False) == "━━──"
    assert bar(7, 4, colour=False) == "━━━━"
    assert bar(-1, 4, colour=False) == "────"
    assert "\x1b[" in bar(0.5, 4, colour=True)
