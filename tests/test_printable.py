"""`prefect.printable`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect.printable import duration, error_text, printable, printable_lines


@given(st.text())
def test_what_is_printable_commands_nothing(text):
    """One line that Python itself calls printable; what was printable stays as it is."""
    shown = printable(text)
    assert shown.isprintable()
    assert shown == text or not text.isprintable()


@given(st.text())
def test_lines_stay_lines(text):
    """As many newlines as there were, and nothing else that commands."""
    shown = printable_lines(text)
    assert shown.count("\n") == text.count("\n")
    assert "".join(shown.split("\n")).isprintable()


def test_a_quoted_newline_forges_no_line_of_ours():
    """Only the first line of an error begins at the margin."""
    shown = error_text(ValueError("no flow a\nsigned by me (trusted)\x1b[2J\n"))
    assert shown == "Error: no flow a\n  signed by me (trusted)\\x1b[2J"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.0003, "0.3 ms"), (0.0421, "42 ms"), (0.9996, "1.00 s"), (9.94, "9.94 s"), (9.999, "10.0 s"),
     (59.97, "1 min 00 s"), (65, "1 min 05 s"), (3599.7, "1 h 00 min"), (9000, "2 h 30 min")],
)  # fmt: skip
def test_times_are_written_in_one_way(seconds, text):
    """As people read them, and never in a unit that is full."""
    assert duration(seconds) == text
