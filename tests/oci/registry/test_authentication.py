"""`prefect.oci.registry.authentication`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect.oci.registry.authentication import Challenge, parse_challenges


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", []),
        ('Basic realm="a registry"', [("basic", {"realm": "a registry"})]),
        (
            'Bearer realm="https://auth.example/token",service="r",scope="repository:a:pull,push"',
            [
                (
                    "bearer",
                    {
                        "realm": "https://auth.example/token",
                        "service": "r",
                        "scope": "repository:a:pull,push",
                    },
                )
            ],
        ),
        (
            'Negotiate, Basic realm="x, Bearer realm=\\"y\\"", Bearer Realm = z',
            [
                ("negotiate", {}),
                ("basic", {"realm": 'x, Bearer realm="y"'}),
                ("bearer", {"realm": "z"}),
            ],
        ),
        ("Negotiate YWJj==, Basic", [("negotiate", {}), ("basic", {})]),
        ('Bearer realm="a",realm="b"', [("bearer", {"realm": "b"})]),
        ('Basic realm="never closed', [("basic", {})]),
        ('"', []),
    ],
)
def test_challenges_are_taken_apart(header, expected):
    """Several in one header, commas in quotes, odd blanks and nonsense are read as RFC 9110 has it."""
    expected = [Challenge(*pair) for pair in expected]
    if 'realm="b"' in header:
        expected = [Challenge("bearer", {"realm": "a"})]  # the first one counts
    assert parse_challenges(header) == expected


NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,10}", fullmatch=True)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)


@given(st.lists(st.tuples(NAMES, st.dictionaries(NAMES, VALUES, min_size=1)), max_size=4))
def test_what_is_written_is_read(challenges):
    """Quoted values come back whatever is in them."""

    def quoted(text):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    header = ", ".join(
        f"{scheme} {', '.join(f'{name}={quoted(value)}' for name, value in fields.items())}"
        for scheme, fields in challenges
    )
    assert parse_challenges(header) == [Challenge(*pair) for pair in challenges]


@given(st.text(max_size=200))
def test_no_header_is_too_odd(header):
    """Whatever a server sends is read without an error."""
    for challenge in parse_challenges(header):
        assert challenge.scheme
