"""`prefect.oci.registry.credentials`."""

import base64
import gc
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect.errors import RegistryLoginError
from prefect.oci.registry import credentials
from prefect.oci.registry.credentials import Credentials, find_credentials

SECRET = "never to be seen"


def entry(user: str, password: str = SECRET) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
def config(home):
    """Return a function that writes a file with settings and returns its path."""

    def write(settings: object, path: str = ".docker/config.json") -> Path:
        file = home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        text = settings if isinstance(settings, str) else json.dumps(settings)
        file.write_text(text)
        return file

    return write


@pytest.fixture
def helper(tmp_path, monkeypatch):
    """Return a function that puts a credential helper on the path."""

    def install(name: str, script: str) -> None:
        directory = tmp_path / "bin"
        directory.mkdir(exist_ok=True)
        program = directory / f"docker-credential-{name}"
        program.write_text(f'#!/bin/sh\nread -r server\n[ "$1" = get ] || exit 9\n{script}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")

    return install


def users(*names: str, repository: str = "a/b") -> list[str | None]:
    found = [find_credentials(name, repository) for name in names]
    return [credentials and credentials.username for credentials in found]


def test_without_files_there_are_none():
    """Nobody has to be logged in."""
    assert find_credentials("r.example", "a") is None


def test_files_are_looked_at_in_order(config, home, monkeypatch):
    """REGISTRY_AUTH_FILE alone; else DOCKER_CONFIG, podman's two files, docker's own."""
    auths = {"auths": {"r.example": entry("docker")}}
    config(auths)
    assert users("r.example") == ["docker"]
    config({"auths": {"r.example": entry("podman")}}, ".config/containers/auth.json")
    assert users("r.example") == ["podman"]
    config({"auths": {"r.example": entry("runtime")}}, "run/containers/auth.json")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / "run"))
    assert users("r.example") == ["runtime"]
    config({"auths": {"r.example": entry("chosen")}}, "other/config.json")
    monkeypatch.setenv("DOCKER_CONFIG", str(home / "other"))
    assert users("r.example") == ["chosen"]
    only = config({"auths": {"q.example": entry("only")}}, "auth.json")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(only))
    assert users("r.example", "q.example") == [None, "only"]


def test_keys_are_as_tools_write_them(config):
    """With scheme, path or port, in capitals; Docker Hub has one key for all of its names."""
    config(
        {
            "auths": {
                "https://url.example/v1/": entry("url"),
                "http://plain.example:5000": entry("plain"),
                "v2.example/v2/": entry("v2"),
                "Big.example": entry("big"),
                "https://index.docker.io/v1/": entry("hub"),
            }
        }
    )
    names = ("url.example", "plain.example:5000", "v2.example", "BIG.example")
    assert users(*names) == ["url", "plain", "v2", "big"]
    assert users("docker.io", "index.docker.io", "registry-1.docker.io") == ["hub"] * 3
    assert users("plain.example", "example", "x.url.example") == [None] * 3


def test_the_most_specific_key_wins(config):
    """Podman's namespaces and repositories go before their registry's own key."""
    keys = ("r.example", "r.example/a", "r.example/a/b", "r.example/a/bc", "docker.io/library")
    config({"auths": {key: entry(key) for key in keys}})
    found = {name: users("r.example", repository=name) for name in ("a/b", "a/c", "ab", "a/b/c")}
    assert found == {
        "a/b": ["r.example/a/b"],
        "a/c": ["r.example/a"],
        "ab": ["r.example"],
        "a/b/c": ["r.example/a/b"],
    }
    assert users("docker.io", repository="library/python") == ["docker.io/library"]


def test_an_entry_without_auth_is_none(config):
    """Docker leaves empty entries for what a helper keeps; they are passed over."""
    config({"auths": {"r.example": {}, "https://r.example": entry("other"), "q.example": {}}})
    assert users("r.example", "q.example") == ["other", None]


def test_names_and_tokens_may_stand_by_themselves(config):
    """`username` and `password`, `identitytoken`, and the name `<token>` are all understood."""
    config(
        {
            "auths": {
                "a.example": {"username": "u", "password": "p:q"},
                "b.example": {**entry("0000", ""), "identitytoken": "t"},
                "c.example": entry("<token>", "t"),
            }
        }
    )
    assert find_credentials("a.example").password == "p:q"
    assert find_credentials("b.example").identity_token == "t"
    found = find_credentials("c.example")
    assert (found.username, found.password, found.identity_token) == ("", "", "t")


@pytest.mark.parametrize(
    "settings",
    [
        "{",
        "[]",
        f'{{"auths": "{SECRET}',
        "[" * 100_000,
        {"auths": {"r.example": SECRET}},
        {"auths": {"r.example": {"auth": SECRET}}},
        {"auths": {"r.example": {"auth": base64.b64encode(SECRET.encode()).decode()}}},
        {"auths": {"r.example": {"auth": base64.b64encode(b"\xff:\xff").decode()}}},
        {"auths": {"r.example": {"auth": 7}}},
        {"auths": {"r.example": {"username": 7, "password": "x"}}},
        {"credsStore": "../../bin/evil"},
        {"credHelpers": {"r.example": ["x"]}},
    ],
)
def test_a_malformed_file_is_named_not_quoted(settings, config):
    """The error has the file's path, and no word of what is in it, nor has any of its causes."""
    path = config(settings)
    gc.collect()  # what other tests have left is not to be found where the stack is at its end
    with pytest.raises(RegistryLoginError, match=str(path)) as caught:
        find_credentials("r.example", "a")
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_unreadable_file_is_named(home):
    """A directory in the place of a file is an error that names it."""
    (home / ".docker" / "config.json").mkdir(parents=True)
    with pytest.raises(RegistryLoginError, match=r"config\.json cannot be read: Is a directory"):
        find_credentials("r.example")


def test_empty_files_and_odd_tables_are_nothing(config):
    """An empty file, and tables that are no tables, are as if there were none."""
    config("")
    assert find_credentials("r.example") is None
    config({"auths": None, "credHelpers": [], "HttpHeaders": {}})
    assert find_credentials("r.example") is None


def test_helpers_go_before_entries(config, helper):
    """The helper of a registry goes before the one of all, and that before what the file has."""
    answer = (
        'printf \'{"ServerURL": "%s", "Username": "NAME %s", "Secret": "s"}\' "$server" "$server"'
    )
    helper("one", answer.replace("NAME", "one"))
    helper("all", answer.replace("NAME", "all"))
    config(
        {
            "credHelpers": {"r.example": "one"},
            "credsStore": "all",
            "auths": {"r.example": entry("file"), "q.example": entry("file")},
        }
    )
    assert users("r.example", "q.example") == ["one r.example", "all q.example"]
    assert users("docker.io") == ["all https://index.docker.io/v1/"]


def test_a_helper_may_have_nothing(config, helper):
    """What the store does not have is looked for in the file."""
    helper("empty", "echo credentials not found in native keychain; exit 1")
    config({"credsStore": "empty", "auths": {"r.example": entry("file")}})
    assert users("r.example", "q.example") == ["file", None]


def test_a_helper_may_give_an_identity_token(config, helper):
    """The name `<token>` says that the secret is one."""
    helper("token", 'echo \'{"Username": "<token>", "Secret": "t"}\'')
    config({"credsStore": "token"})
    assert find_credentials("r.example").identity_token == "t"


def test_a_missing_helper_is_named(config):
    """The error says which program is missing, and which file wants it."""
    path = config({"credHelpers": {"r.example": "absent"}})
    with pytest.raises(RegistryLoginError, match="docker-credential-absent") as caught:
        find_credentials("r.example")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "script",
    [f"echo {SECRET}; exit 3", f"echo {SECRET} >&2; exit 1", f"echo {SECRET}", "echo '[]'",
     'echo \'{"Username": 7, "Secret": "x"}\'', "kill -9 $$"],
)  # fmt: skip
def test_a_helper_that_fails_is_named_not_quoted(script, config, helper):
    """What a broken helper printed is not repeated: it may be a secret."""
    helper("broken", script)
    config({"credsStore": "broken"})
    with pytest.raises(RegistryLoginError, match="docker-credential-broken failed") as caught:
        find_credentials("r.example")
    assert SECRET not in str(caught.value)


def test_a_helper_that_never_answers_is_left(config, helper, monkeypatch):
    """A helper that waits for somebody is an error after a while."""
    monkeypatch.setattr(credentials, "_HELPER_SECONDS", 0.2)
    helper("slow", "exec sleep 60")
    config({"credsStore": "slow"})
    with pytest.raises(RegistryLoginError, match="TimeoutExpired"):
        find_credentials("r.example")


def test_a_repr_shows_no_secret():
    """Name, password and token are in no repr."""
    shown = repr(Credentials("the user", SECRET, SECRET, "a file"))
    assert SECRET not in shown
    assert "the user" not in shown


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)


@given(TEXT.filter(lambda text: ":" not in text and text != "<token>"), TEXT)
def test_what_a_login_writes_is_found(user, password):
    """Any name and password come back from base64, and go into a header."""
    found = credentials._entry(entry(user, password), "r.example", "a file")
    assert (found.username, found.password) == (user, password)
    sent = base64.b64decode(found.basic().removeprefix("Basic ")).decode()
    assert sent == f"{user}:{password}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(["auths", "x"]),
        JSON | st.dictionaries(st.sampled_from(["r.example", "r.example/a", "https://r.example"]),
            JSON | st.dictionaries(st.sampled_from(["auth", "identitytoken", "username"]), JSON)),
    )
)  # fmt: skip
def test_no_file_makes_it_crash(settings):
    """Whatever JSON is in a file, credentials, none, or our own error come of it."""
    try:
        found = credentials._in_file(settings, "a file", "r.example", "a/b")
    except RegistryLoginError:
        return
    assert found is None or isinstance(found, Credentials)
