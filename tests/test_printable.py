"""`prefect.printable`."""

from hypothesis import given
from hypothesis import strategies as st

from prefect.printable import error_text, printable, printable_lines


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
