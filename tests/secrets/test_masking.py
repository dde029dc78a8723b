"""`prefect.secrets.masking`."""

import json
import os
import re
import sys
from urllib.parse import quote as url_quote
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect.secrets.masking import mask, mask_all, masked

VALUE = "s3cret/value"


def test_values_are_replaced_in_both_streams(capsys):
    """What is printed, and what is written as an error, shows a mask."""
    with masked([VALUE]):
        print("token", VALUE, "used twice", VALUE)
        sys.stderr.writelines([f"error with {VALUE}\n"])
    captured = capsys.readouterr()
    assert captured.out == "token *** used twice ***\n"
    assert captured.err == "error with ***\n"


def test_each_line_of_a_value_is_a_secret(capsys):
    """A key of several lines is masked when it is printed line by line, too."""
    key = "-----BEGIN KEY-----\nabcdefgh\n-----END KEY-----"
    with masked([key]):
        print(key)
        print("line: abcdefgh")
    assert capsys.readouterr().out == "***\nline: ***\n"


def test_short_values_are_left_alone(capsys):
    """Masking `1` would garble every number and hide nothing."""
    with masked(["1", "abc"]):
        print("1 + 1 = abc")
    assert capsys.readouterr().out == "1 + 1 = abc\n"


def test_the_streams_are_restored():
    """Also when what ran in between failed."""
    before = sys.stdout, sys.stderr
    with pytest.raises(ZeroDivisionError), masked([VALUE]):
        assert not sys.stdout.isatty()
        raise ZeroDivisionError
    assert (sys.stdout, sys.stderr) == before


@given(st.text(min_size=4).filter(lambda v: v.strip() and "*" not in v), st.text(), st.text())
def test_a_value_never_passes(value, before, after):
    """Whatever stands around it, a value that is written is masked."""
    written = []

    class Stream:
        def write(self, text):
            written.append(text)

    out = sys.stdout
    sys.stdout = Stream()
    try:
        with masked([value]):
            sys.stdout.write(before + value + after)
    finally:
        sys.stdout = out
    assert value not in written[0]


@pytest.mark.parametrize(
    "value",
    [
        'pä"ss\\wörd-9931', "a'b\nc d", "\x1b[1mbold", "both ' and \"", "p&a/s s+w\u00f6rd%",
        "carriage\rreturn", os.fsdecode(b"no \xff\xfe text"), "☃ in the snow 🐍",
    ],
)  # fmt: skip
def test_a_value_is_known_as_programs_quote_it(value, capsys):
    """Printed within a list, as bytes, in JSON, in a URL or a traceback, it is a mask all the same."""
    data = os.fsencode(value)
    with masked([value]):
        print([value], {"k": value}, json.dumps(value), json.dumps([value], ensure_ascii=False))
        print(ascii(value), [data], repr(f"{value}'\""), repr(data + b"'\""), [json.dumps(value)])
        print(url_quote(data), url_quote(data, safe=""), urlencode({"k": data}))
        assert mask_all({"a": [value, 1, None]}) == {"a": ["***", 1, None]}
    printed = capsys.readouterr().out
    for word in (*re.findall(r"\w{3,}", value), "xff", "2603", "%"):
        assert word not in printed
    assert mask(value) == value  # the run is over


def test_runs_beside_each_other_mask_their_own(capsys):
    """What one run no longer masks, the other still does."""
    with masked(["first one"]):
        with masked(["second one"]):
            print("first one, second one")
        print("first one, second one")
    assert capsys.readouterr().out == "***, ***\n***, second one\n"


def test_a_run_that_outlasts_another_stays_masked(capsys):
    """Runs in threads end in any order: none takes away the masks of the others."""
    first, second = masked(["first one"]), masked(["second one"])
    before = sys.stdout, sys.stderr
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    print("second one")
    print("second one", file=sys.stderr)
    second.__exit__(None, None, None)
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr() == ("***\n", "***\n")
