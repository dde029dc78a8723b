"""`prefect.secrets.search`."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect import Flow, task
from prefect.environments import PickleEnvironment, Secret
from prefect.errors import SecretError
from prefect.secrets.search import PayloadSearch, forbidden, refuse_at_rest

VALUE = "s3cret-canary-value"


def test_a_value_in_an_artifact_is_refused_without_being_quoted(monkeypatch):
    """The error names secret and part; a short value is not searched for."""
    monkeypatch.setenv("TOKEN", VALUE)
    values = forbidden([Secret("TOKEN")])
    with pytest.raises(SecretError, match="TOKEN occurs in the flow's payload") as caught:
        refuse_at_rest(values, manifest=b"", payload=b"x" + VALUE.encode() + b"y")
    assert VALUE not in str(caught.value)
    monkeypatch.setenv("TOKEN", "abc")
    assert forbidden([Secret("TOKEN"), Secret("UNSET")]) == {}


@given(st.lists(st.integers(1, 40), max_size=8), st.integers(0, 60))
def test_a_stream_is_searched_across_its_seams(sizes, position):
    """However the payload is cut into pieces, a value in it is found; without one, all passes."""
    clean = bytes(range(128)) * 2
    for data in (clean, clean[:position] + VALUE.encode() + clean[position:]):
        file = io.BytesIO()
        search = PayloadSearch(file, {VALUE.encode(): "The value"})

        def write(data=data, search=search):
            rest = data
            for size in sizes:
                search.write(rest[:size])
                rest = rest[size:]
            search.write(rest)

        if data is clean:
            write()
            assert file.getvalue() == clean
        else:
            with pytest.raises(SecretError, match="The value occurs"):
                write()


def test_the_key_itself_does_not_lie_in_what_it_opens(tmp_path):
    """A task that holds its environment's key is not packaged, in memory or into a file."""
    environment = PickleEnvironment()
    raw = PickleEnvironment(b"\x01" * 32)
    held = b"\x01" * 32
    with Flow("holds its raw key") as flow:
        task(lambda: len(held))()
    with pytest.raises(SecretError, match="A key of the environment occurs"):
        raw.build(flow)
    key = environment.encryption_key
    with Flow("holds its key") as flow:
        task(lambda: len(key))()
    with pytest.raises(SecretError, match="A key of the environment occurs"):
        environment.build(flow)
    with pytest.raises(SecretError, match="A key of the environment occurs"):
        environment.build_to(tmp_path / "x.flow", flow)
    assert list(tmp_path.iterdir()) == []
