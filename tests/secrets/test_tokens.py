"""`prefect.secrets.tokens` and `places`: what looks like a token, and was declared by nobody."""

import base64
import json
import logging
import marshal
import random
import string
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect import Flow, Task, task
from prefect.environments import ContainerEnvironment, PickleEnvironment
from prefect.errors import SecretError
from prefect.images.flow_files import package
from prefect.payload.image_facts import ImageFacts
from prefect.payload.packing import pickle_flow
from prefect.sealed.keys import Identity, SigningKey
from prefect.secrets.tokens import KINDS, TokenSearch, parse_names

_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def _any(length, alphabet=string.ascii_letters + string.digits, seed=7):
    return "".join(random.Random(seed).choices(alphabet, k=length))


def _pem(name, headers=""):
    body = "\n".join(_any(64, seed=seed) for seed in range(20))
    return f"-----BEGIN {name}-----\n{headers}{body}\n-----END {name}-----\n"


def _jwt(**header):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part(header)}.{part({'sub': 'someone at home'})}.{_any(43)}"


# Made here, as tokens that stand in a file would be reported wherever that is pushed.
TOKENS = {
    "aws-access-key": ["AKIA" + _any(16, _BASE32), "ASIA" + _any(16, _BASE32)],
    "private-key": [
        _pem("PRIVATE KEY"),
        _pem("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,0011\n\n"),
        _pem("OPENSSH PRIVATE KEY"),
        _pem("PGP PRIVATE KEY BLOCK", "Version: 1\n\n"),
        json.dumps({"type": "service_account", "private_key": _pem("PRIVATE KEY")}),
    ],
    "github-token": [
        *(f"gh{kind}_{_any(36)}" for kind in "pousr"),
        f"github_pat_{_any(22)}_{_any(59)}",
    ],
    "gitlab-token": ["glpat-" + _any(20), "gldt-" + _any(20)],
    "slack-token": [
        f"xoxb-{_any(12, string.digits)}-{_any(13, string.digits)}-{_any(24)}",
        f"https://hooks.slack.com/services/T{_any(8, _BASE32)}/B{_any(10, _BASE32)}/{_any(24)}",
    ],
    "google-key": ["AIza" + _any(35), "GOCSPX-" + _any(28)],
    "stripe-key": ["sk_live_" + _any(24), "rk_live_" + _any(99), "whsec_" + _any(32)],
    "npm-token": ["npm_" + _any(36)],
    "pypi-token": ["pypi-AgE" + _any(160)],
    "age-key": ["AGE-SECRET-KEY-1" + _any(58, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L")],
    "jwt": [_jwt(alg="RS256"), _jwt(typ="JWT", alg="HS256", kid=_any(200))],
    "prefect-key": [Identity.generate().encode(), SigningKey.generate().encode()],
}


def found(*pieces):
    search = TokenSearch()
    for piece in pieces:
        search.feed(piece)
    return [one.name.rpartition("-")[0] for one in search.finish()]


def test_every_kind_has_an_example():
    """The tests that follow try all of them."""
    assert set(TOKENS) == set(KINDS)


HOLDS = {"str": str, "bytes": str.encode, "within": lambda token: {"a": [f"x = {token!r}"]}}
BEHIND = {"str": str, "bytes": str.encode, "within": lambda token: f"Bearer {token}"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hold", HOLDS)
def test_a_token_in_a_payload_is_refused_for_an_image(kind, hold):
    """Whatever its length makes of the bytes beside it in a pickle, and whatever it is part of."""
    for token in TOKENS[kind]:
        held = HOLDS[hold](token)
        with Flow("holds") as flow:
            task(lambda held=held: len(held))()
        with pytest.raises(SecretError, match=rf"allow it: --allow-secret-like {kind}-") as caught:
            package(flow, (), None)
        assert "(a default value of the task '<lambda>')" in str(caught.value)
        assert token[-20:] not in str(caught.value)
        name = str(caught.value).partition("--allow-secret-like ")[2].partition(",")[0]
        assert package(flow, (), None, [name]).payload


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_is_found_whatever_stands_behind_it_in_bytecode(kind):
    """The type of the next constant is a letter, for many."""
    for token in TOKENS[kind]:
        for hold in BEHIND.values():
            for behind in ("next", b"next", 5, None, True, 1.5, (), 1 << 40):
                assert found(marshal.dumps((hold(token), behind), 2)) == [kind]


@pytest.mark.parametrize(
    "text",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "XAKIA" + _any(16, _BASE32),
        "AKIA" + _any(40, _BASE32),
        "-----BEGIN PRIVATE KEY-----",
        "if text.startswith('-----BEGIN RSA PRIVATE KEY-----\\n'): raise ValueError",
        "ghp_short",
        "_ZN5highsghp_" + _any(40),
        "npm_config_registry_and_more_names_of_variables",
        "eyJ" + _any(30) + ".eyJ" + _any(30) + "." + _any(30),
        "xoxb-your-token-here-and-so-on",
        _any(100_000),
    ],
    ids=range(11),
)
def test_what_looks_similar_is_let_through(text):
    """An example of a manual, a part of a longer word, the text that announces a key."""
    assert found(text.encode()) == []


@pytest.mark.parametrize(
    "before",
    [
        r"\n",
        r"\\t",
        r"\x0A",
        r"\u003D",
        r"\U0000003D",
        r"\075",
        r"\0",
        "%3D",
        "%253A",
        "&#61;",
        " -p",
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_token_is_found_behind_what_other_text_writes_before_it(kind, before):
    """Escapes of JSON, Python and URLs end in letters and digits, and an option may be one letter."""
    for token in TOKENS[kind]:
        assert found(f"a=1{before}{token}\n".encode()) == [kind]
        assert found(b"." * 30, before.encode(), token.encode(), bytes(40_000)) == [kind]


@given(st.lists(st.integers(0, 40_000), max_size=6), st.integers(0, 60_000))
def test_tokens_are_found_across_seams(sizes, position):
    """However a payload is cut into pieces, each token in it is found, once, under one name."""
    rest = b"\0" * position + b" ".join(TOKENS[kind][0].encode() for kind in KINDS)
    pieces = []
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    assert sorted(found(*pieces, rest)) == sorted(KINDS)


KEY = TOKENS["aws-access-key"][0]
GITHUB = TOKENS["github-token"][0]
NPM = "npm_" + _any(36, string.ascii_lowercase)


class HasAttribute(Task):
    """Keeps a token in itself."""

    def __init__(self):
        super().__init__()
        self.key = [KEY]

    def run(self):
        """Use it."""
        return len(self.key)


def _with_global():
    space = {"TOKEN": {"aws": KEY}, "__name__": "etl"}
    exec("def load():\n    return len(TOKEN)", space)
    return task(space["load"])()


def _with_text():
    space = {"__name__": "etl"}
    exec(f"def load():\n    return len({KEY!r})", space)
    return task(space["load"])()


@pytest.mark.parametrize(
    ("make", "place"),
    [
        (HasAttribute(), "the attribute key of the task 'HasAttribute'"),
        (_with_global, "the global TOKEN of etl"),
        (_with_text, "the text of the task 'load'"),
    ],
)
def test_the_place_is_told(make, place):
    """Which global of which module, or which part of which task."""
    with Flow("holds") as flow:
        make()
    with pytest.raises(SecretError) as caught:
        package(flow, (), None)
    assert f"what looks like an AWS access key ID ({place}) in the flow's payload" in str(
        caught.value
    )


def test_a_token_in_the_name_of_a_file_is_told_there(tmp_path, monkeypatch, caplog):
    """And not where the command line, which does not travel, has it as well."""
    (tmp_path / f"{KEY}.csv").write_text("a\n")
    monkeypatch.setattr(sys, "argv", ["prefect", f"{KEY}.csv"])
    with Flow("etl") as flow:
        task(lambda: sys.version)()
    kept = {"include": [f"{KEY}.csv"], "include_from": tmp_path}
    with caplog.at_level(logging.WARNING):
        PickleEnvironment(**kept).build(flow)
    where = "AWS access key ID (the name of a file that travels with it)"
    assert where in caplog.text
    with pytest.raises(SecretError) as caught:
        ContainerEnvironment("./no-base", **kept).create_dockerfile(tmp_path / "x", flow=flow)
    assert where in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_no_token_is_among_the_globals_of_a_manifest(kind):
    """Whose values are printed: there it is a digest, also where it may be in the payload."""
    for token in TOKENS[kind]:
        space = {"VALUE": {"a": token}, "__name__": "etl"}
        exec("def load():\n    return len(VALUE)", space)
        with Flow("holds") as flow:
            task(space["load"])()
        manifest = pickle_flow(flow).manifest
        assert next(iter(manifest.globals.values())).startswith("sha256:")
        assert token not in manifest.to_json().decode()


def test_a_sealed_flow_warns(tmp_path, caplog):
    """In memory and in a file, however large; not of what was allowed."""
    token, ballast = KEY, bytes(5_000_000)
    with Flow("holds") as flow:
        task(lambda: (token, len(ballast)))()
    environment = PickleEnvironment()
    with caplog.at_level(logging.WARNING):
        environment.build(flow)
        environment.build_to(tmp_path / "x.flow", flow)
        package(flow, (), environment.keyring).files(
            ImageFacts("", "", "linux/amd64", "3.11", (), "")
        )
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 3
    assert all("the sealed flow 'holds' holds what looks like an AWS" in text for text in messages)
    assert KEY not in str(messages)
    name = messages[0].partition("--allow-secret-like ")[2].partition(",")[0]
    caplog.clear()
    PickleEnvironment(allow_secret_like=[name]).build(flow)
    assert caplog.records == []


@pytest.mark.parametrize("attached", [None, False, True])
@pytest.mark.parametrize(
    ("place", "where"),
    [
        ({"setup": [f"curl -H 'Authorization: {GITHUB}' https://host"]}, "the set-up commands"),
        ({"python_dependencies": [f"x @ git+https://{GITHUB}@host/x"]}, "the dependencies"),
        ({"image": f"host/{NPM}"}, "the base's name"),
    ],
)
def test_a_token_beside_the_flow_is_refused(place, where, attached):
    """In a set-up command, sealed or not: everybody sees the image's history."""
    environment = ContainerEnvironment(**{"image": "python:3.11", **place})
    with Flow("etl") as flow:
        task(lambda: 1)()
    if attached:
        flow.environment = environment  # which is pickled with it
    with pytest.raises(SecretError, match=f"an? (GitHub|npm) token in {where}"):
        environment.build(None if attached is None else flow)


def test_a_token_in_the_name_to_push_to_is_refused():
    """A registry keeps names in its log, and shows them."""
    environment = ContainerEnvironment("python:3.11")
    with pytest.raises(SecretError, match="an npm token in the name to push to") as caught:
        environment.push(f"localhost:1/{NPM}")
    assert NPM not in str(caught.value)


def test_a_token_is_no_name_of_a_secret():
    """Who mistakes one for the other is told, and the token is not quoted."""
    for make in (
        PickleEnvironment,
        lambda secrets: ContainerEnvironment("python", secrets=secrets),
    ):
        with pytest.raises(ValueError, match="a GitHub token is given as the name") as caught:
            make(secrets=["AWS_SECRET_ACCESS_KEY", GITHUB])
        assert GITHUB not in str(caught.value)


def test_no_pattern_is_compiled_before_something_looks_like_a_token():
    """All of them together take longer than the rest of the module, and every build imports it."""
    program = """
import base64, dataclasses, hashlib, json, logging, prefect.errors, re
re.compile = re._compile = None
from prefect.secrets.tokens import TokenSearch
search = TokenSearch()
search.feed(b"nothing that looks like one" * 9)
assert search.finish() == []
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_names_are_checked():
    """What no build has told cannot be allowed."""
    assert parse_names(["jwt-0123abcd", "jwt-0123abcd"]) == ("jwt-0123abcd",)
    for wrong in (["jwt"], ["jwt-0123ABCD"], ["token-0123abcd"], [5]):
        with pytest.raises(ValueError, match="cannot name what looks like a secret"):
            PickleEnvironment(allow_secret_like=wrong)
    with pytest.raises(TypeError, match="is a list"):
        ContainerEnvironment("python", allow_secret_like="jwt-0123abcd")
