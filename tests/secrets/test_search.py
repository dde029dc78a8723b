"""`prefect.secrets.search`."""

import base64
import html
import importlib
import io
import json
import sys
import textwrap
from array import array
from urllib.parse import quote, urlencode

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect import Flow, task
from prefect.environments import PickleEnvironment, Secret
from prefect.errors import SecretError
from prefect.images.flow_files import package
from prefect.payload.packing import pickle_flow
from prefect.secrets.search import Forbidden, PartSearch, forbidden, refuse_at_rest
from prefect.secrets.tokens import TokenSearch

VALUE = "s3cret-canary-value"


def test_a_value_in_an_artifact_is_refused_without_being_quoted(monkeypatch):
    """The error names secret and part; a value too short to be searched for is refused itself."""
    monkeypatch.setenv("TOKEN", VALUE)
    values = forbidden([Secret("TOKEN")])
    with pytest.raises(SecretError, match="TOKEN occurs in the lock") as caught:
        refuse_at_rest(values, {"the manifest": b"", "the lock": b"x" + VALUE.encode() + b"y"})
    assert VALUE not in str(caught.value)
    monkeypatch.setenv("TOKEN", "")
    assert not forbidden([Secret("TOKEN"), Secret("UNSET")])
    monkeypatch.setenv("TOKEN", "abc")
    with pytest.raises(SecretError, match="fewer than 4 characters"):
        forbidden([Secret("TOKEN")])


@given(st.lists(st.integers(1, 40), max_size=8), st.integers(0, 60))
def test_a_stream_is_searched_across_its_seams(sizes, position):
    """However the payload is cut into pieces, a value in it is found; without one, all passes."""
    clean = bytes(range(128)) * 2
    escaped = "".join(f"&amp;#{byte};" for byte in VALUE.encode()).encode()
    for spelled in (b"", VALUE.encode(), VALUE.upper().encode("utf-32-be"), escaped):
        data = clean[:position] + spelled + clean[position:]
        file = io.BytesIO()
        search = PartSearch(file, Forbidden({VALUE: "The value"}), TokenSearch())

        def write(data=data, search=search):
            rest = data
            for size in sizes:
                search.write(rest[:size])
                rest = rest[size:]
            search.write(rest)

        if not spelled:
            write()
            assert file.getvalue() == clean
        else:
            with pytest.raises(SecretError, match="The value occurs"):
                write()


def spelled(value):
    """Yield what a module may hold of a value, each in the way of its name."""
    yield "text", value
    yield "bytes", value.encode()
    yield "upper case", value.upper()
    yield "lower case", f"https://{value.lower()}@host"
    yield "json", json.dumps({"password": value})
    yield "repr in json", json.dumps({"text": repr([value])})
    yield "escapes", ascii(value)
    yield "repr of bytes", repr(value.encode())
    yield "url", quote(value, safe="")
    yield "lower url", quote(value, safe="").lower()
    yield "form", urlencode({"p": value})
    yield "url of a browser", quote(value, safe="!'()*~")
    yield "url in a url", quote(quote(value, safe=""), safe="")
    yield "every byte in a url", "".join(f"%{byte:02X}" for byte in value.encode())
    yield "every byte in C", "".join(f"\\x{byte:02x}" for byte in value.encode())
    yield "json with slashes", json.dumps(value).replace("/", "\\/")
    yield "json for html", json.dumps(value).replace("&", "\\u0026").replace(">", "\\u003E")
    yield "html", html.escape(value)
    yield "html as xml", html.escape(value).replace("&#x27;", "&apos;")
    yield "html in numbers", "".join(f"&#{ord(letter)};" for letter in value)
    yield "html in hex", "".join(f"&#x{ord(letter):04X};" for letter in value)
    yield "html in ascii", html.escape(value).encode("ascii", "xmlcharrefreplace")
    yield "html twice", html.escape(html.escape(value))
    yield "json in html", html.escape(json.dumps(value))
    yield "utf-16 of a url", quote(value, safe="").encode("utf-16")
    lines = base64.encodebytes(b"user: someone, and the password: " + value.encode() * 9).decode()
    yield "base64 in lines", lines
    yield "base64 in lines of Windows", lines.replace("\n", "\r\n")
    yield "base64 in lines of YAML", textwrap.indent(lines, "    ")
    yield "base64 in lines in json", json.dumps({"text": lines})
    yield "base64 in lines, twice in json", json.dumps(json.dumps({"text": lines}))
    yield "base64 in a url", quote(base64.b64encode(value.encode()))
    yield "hex in lines", textwrap.fill(value.encode().hex() * 3, 40)
    for codec in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"):
        yield codec, value.encode(codec)
    yield "array", array("u", value)
    yield "numpy", np.array([value, value + "x"])
    yield "numpy bytes", np.array([value.encode()])
    for size in range(3):
        # Between other text: the edges of base64 depend on it.
        data = b"-" * size + value.encode() + b":"
        yield f"base64 {size}", base64.b64encode(data).decode()
        yield f"url-safe base64 {size}", base64.urlsafe_b64encode(data)
    yield "hex", value.encode().hex()
    yield "HEX", value.encode().hex().upper()
    yield "hex within", (b"?" + value.encode()).hex()


@pytest.mark.filterwarnings("ignore:The .u. type code is deprecated:DeprecationWarning")
@pytest.mark.parametrize("value", [VALUE, "Pa/ss?w>rd~~ÿ&9931", "päß wört '\" \\ 99", "☃🐍 snow-9"])
def test_every_spelling_of_a_value_is_found(monkeypatch, value):
    """A module's global, however it writes a secret, does not come to rest in a payload."""
    monkeypatch.setenv("TOKEN", value)
    values = forbidden([Secret("TOKEN")])

    def missed(held):
        with Flow("holds") as flow:
            task(lambda: held)()
        try:
            refuse_at_rest(values, {"payload": pickle_flow(flow).payload})
        except SecretError:
            return False
        return True

    assert [name for name, held in spelled(value) if missed(held)] == []
    assert missed("something else")


@pytest.mark.parametrize("start", ["n", "r", "x41", "u0041", "41", "amp;", "#65;"])
def test_a_value_is_found_behind_what_makes_its_start_an_escape(start):
    """As after the name of a domain, and of a share of something."""
    values = Forbidden({f"{start}-canary-value": "The value"})
    for before in ("\\", "%", "&"):
        with pytest.raises(SecretError, match="The value occurs"):
            refuse_at_rest(values, {"the lock": f"a{before}{start}-canary-value".encode()})


@pytest.mark.parametrize("value", ["\n" * 9, "        x", "\\" * 12, "\0" * 16 + "1", b"\0" * 32])
def test_what_is_blank_when_it_is_folded_is_found_as_it_is_alone(value):
    """It does not occur in whatever there is."""
    values = Forbidden({value: "The value"})
    refuse_at_rest(values, {"the lock": b"", "payload": b"text x 1 and more text"})
    with pytest.raises(SecretError, match="The value occurs"):
        refuse_at_rest(values, {"payload": value if isinstance(value, bytes) else value.encode()})


def test_a_line_of_a_value_is_found(monkeypatch):
    """Each behind a comment's sign, but not what any such value has, nor what is short."""
    key = "-----BEGIN PRIVATE KEY-----\nMIGTAgEAMBMGByqGSM49\nuser: x\n-----END PRIVATE KEY-----\n"
    monkeypatch.setenv("KEY", key)
    values = forbidden([Secret("KEY")])
    with pytest.raises(SecretError, match="A line of the value of the secret KEY occurs"):
        refuse_at_rest(values, {"the lock": b"# MIGTAgEAMBMGByqGSM49\n"})
    with pytest.raises(SecretError, match="The value of the secret KEY occurs"):
        refuse_at_rest(values, {"the lock": base64.b64encode(key.encode())})
    refuse_at_rest(values, {"the lock": b"-----BEGIN PRIVATE KEY-----\nuser: x\n"})


def test_a_short_value_is_found_as_it_is(monkeypatch):
    """In other cases or encodings it would be found by chance."""
    monkeypatch.setenv("PIN", "az19")
    values = forbidden([Secret("PIN")])
    refuse_at_rest(values, {"payload": b"AZ19, YXoxOQ, 617a3139"})
    monkeypatch.setenv("PATH_", "a/b1")
    with pytest.raises(SecretError, match="PATH_ occurs"):
        refuse_at_rest(forbidden([Secret("PATH_")]), {"payload": b'"a\\/b1"'})
    for found in (b"(az19)", "az19".encode("utf-16-le"), np.array(["az19"]).tobytes()):
        with pytest.raises(SecretError, match="PIN occurs"):
            refuse_at_rest(values, {"payload": found})


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


def test_a_value_in_the_text_of_a_task_is_said_to_be_there(tmp_path, monkeypatch):
    """A comment, too, travels with its function; the message names neither manifest nor value alone."""
    (tmp_path / "remarks.py").write_text(
        "from prefect import Flow, task\n@task\ndef go():\n    return 1  # not tr0ub4dor&3\n"
        "with Flow('remarks') as flow:\n    go()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PASSWORD", "tr0ub4dor&3")
    flow = importlib.import_module("remarks").flow
    monkeypatch.delitem(sys.modules, "remarks")
    for build in (
        lambda: PickleEnvironment(secrets=["PASSWORD"]).build(flow),
        lambda: PickleEnvironment(secrets=["PASSWORD"]).build_to(tmp_path / "x.flow", flow),
        lambda: package(flow, [Secret("PASSWORD")], None),
    ):
        with pytest.raises(SecretError, match="PASSWORD occurs in the source lines") as caught:
            build()
        assert "Take it out of their text, comments and defaults included" in str(caught.value)
        assert "tr0ub4dor" not in str(caught.value)
