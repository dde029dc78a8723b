"""The credentials that docker and podman keep for registries: found, never stored.

Looked at in this order; the first file that has something for a registry decides:

1. `$REGISTRY_AUTH_FILE`, as podman does: where it is set, no other file is read;
2. `$DOCKER_CONFIG/config.json`, where that is set;
3. `$XDG_RUNTIME_DIR/containers/auth.json`, where `podman login` writes;
4. `$XDG_CONFIG_HOME/containers/auth.json` (`~/.config`);
5. `~/.docker/config.json`, unless DOCKER_CONFIG is set.

Within a file: `credHelpers` (the helper of this registry), `credsStore` (the helper of all), then
`auths`. Of podman's keys with namespaces, `host/namespace/repository`, the longest that fits wins.
Docker Hub's key is `https://index.docker.io/v1/`, whatever name it is asked for by.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.errors import RegistryLoginError
from prefect.files import read_small_text
from prefect.frozen import field, frozen
from prefect.oci.registry.hosts import is_docker_hub
from prefect.patterns import pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DOCKER_HUB_KEY = "https://index.docker.io/v1/"

_HUB = "docker.io"
_HELPER_NAME = pattern(r"[A-Za-z0-9._-]+")
_HELPER_SECONDS = 60
_IDENTITY = "<token>"  # in place of a user's name: the secret is an identity token
_NOT_FOUND = "credentials not found"  # how every helper begins to say so


@frozen
class Credentials:
    """A name and a password, or an identity token (OAuth2's refresh token). Its repr shows none.

    Args:
        source: the file or helper that has them, for messages.
    """

    username: str = field(repr=False)
    password: str = field(repr=False)
    identity_token: str = field(default="", repr=False)
    source: str = ""

    def basic(self) -> str:
        """Return the value of an Authorization header (RFC 7617)."""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


def find_credentials(registry: str, repository: str = "") -> Credentials | None:
    """Return the credentials for a repository of a registry, or None.

    Args:
        registry: `host[:port]`, as references name it.

    Raises:
        RegistryLoginError: a file is malformed, or the helper that it names is missing or failed.
            The message names the file or the helper, never what is in it.
    """
    for path in _files():
        if not (settings := _read(path)):
            continue
        if found := _in_file(settings, str(path), registry, repository):
            return found
    return None


def _files() -> Iterable[Path]:
    if only := os.environ.get("REGISTRY_AUTH_FILE"):
        yield Path(only)
        return
    docker = os.environ.get("DOCKER_CONFIG")
    if docker:
        yield Path(docker, "config.json")
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime, "containers", "auth.json")
    try:
        home = Path.home()
    except RuntimeError:  # a user without one
        return
    yield Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config", "containers", "auth.json")
    if not docker:
        yield home / ".docker" / "config.json"


def _read(path: Path) -> dict[str, Any]:
    try:
        text = read_small_text(path)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror or error if isinstance(error, OSError) else "it is not UTF-8"
        raise RegistryLoginError(f"The credentials in {path} cannot be read: {reason}") from None
    if not text.strip():
        return {}
    try:
        settings = json.loads(text)
    except (ValueError, RecursionError):
        settings = None
    if not isinstance(settings, dict):
        # Without the cause, which holds the whole text.
        raise RegistryLoginError(
            f"The credentials in {path} cannot be read: it is not a JSON object. Mend or remove "
            "it, then log in again"
        ) from None
    return settings


def _in_file(
    settings: Mapping[str, Any], path: str, registry: str, repository: str
) -> Credentials | None:
    server = DOCKER_HUB_KEY if is_docker_hub(registry) else registry
    helpers = _table(settings, "credHelpers")
    for key in _matching(helpers, registry, repository):
        # The helper of one registry decides, as it does for docker and podman.
        return _ask_helper(helpers[key], server, path)
    if (store := settings.get("credsStore")) and (found := _ask_helper(store, server, path)):
        return found
    auths = _table(settings, "auths")
    for key in _matching(auths, registry, repository):
        # Docker leaves empty entries for what its helper keeps.
        if found := _entry(auths[key], key, path):
            return found
    return None


def _table(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    table = settings.get(name)
    return table if isinstance(table, dict) else {}


def _matching(keys: Iterable[str], registry: str, repository: str) -> list[str]:
    """Return the keys that stand for a repository, the most specific first."""
    host = _HUB if is_docker_hub(registry) else registry.lower()
    whole = f"{host}/{repository}"
    ranked = []
    for key in keys:
        name, is_url = _normal(key)
        if name == host or f"{whole}/".startswith(f"{name}/"):
            ranked.append((-len(name), is_url, key))
    return [key for _, _, key in sorted(ranked)]


def _normal(key: str) -> tuple[str, bool]:
    """Return a key as `host[:port][/namespace]`, and whether it was written as a URL."""
    bare = re.sub(r"^https?://", "", key)
    is_url = bare != key
    host, _, path = bare.rstrip("/").partition("/")
    if is_url or path in {"v1", "v2"}:  # docker's, which have no namespaces
        path = ""
    host = _HUB if is_docker_hub(host) else host.lower()
    return (f"{host}/{path}" if path else host), is_url


def _entry(entry: Any, key: str, path: str) -> Credentials | None:
    if not isinstance(entry, dict):
        raise _malformed(key, path)
    username, password = entry.get("username") or "", entry.get("password") or ""
    if encoded := entry.get("auth"):
        try:
            pair = base64.b64decode(encoded, validate=True).decode().rstrip("\0")
        except (binascii.Error, ValueError, TypeError):
            raise _malformed(key, path) from None
        username, colon, password = pair.partition(":")
        if not colon:
            raise _malformed(key, path)
    token = entry.get("identitytoken") or ""
    if not all(isinstance(value, str) for value in (username, password, token)):
        raise _malformed(key, path)
    return _credentials(username, password, token, path)


def _credentials(username: str, password: str, token: str, source: str) -> Credentials | None:
    if username == _IDENTITY:
        username, password, token = "", "", token or password
    if token or (username and password):
        return Credentials(username, password, token, source)
    return None


def _malformed(key: str, path: str) -> RegistryLoginError:
    return RegistryLoginError(
        f"The entry {key!r} in {path} is malformed. Log in again with `docker login` or "
        "`podman login`"
    )


def _ask_helper(name: Any, server: str, path: str) -> Credentials | None:
    """Ask a credential helper (the protocol of docker-credential-helpers, command `get`)."""
    if not isinstance(name, str) or not _HELPER_NAME.fullmatch(name):
        raise RegistryLoginError(f"{path} names a credential helper with an impossible name")
    program = f"docker-credential-{name}"
    found = shutil.which(program)
    if not found:
        raise RegistryLoginError(
            f"{path} says that {program} keeps the credentials of {server}, and there is no such "
            "program on the PATH: install it, or log in again without it"
        )
    try:
        done = subprocess.run(  # noqa: S603 - the program that the user's own file names
            [found, "get"], input=server.encode(), capture_output=True, check=False,
            timeout=_HELPER_SECONDS,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _failed_helper(program, server, type(error).__name__) from None
    if done.returncode:
        if done.stdout.decode(errors="replace").strip().lower().startswith(_NOT_FOUND):
            return None
        raise _failed_helper(program, server, f"exit status {done.returncode}")
    try:
        answer = json.loads(done.stdout)
        username, secret = answer["Username"], answer["Secret"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _failed_helper(program, server, "its answer is malformed") from None
    if not isinstance(username, str) or not isinstance(secret, str):
        raise _failed_helper(program, server, "its answer is malformed")
    return _credentials(username, secret, "", program)


def _failed_helper(program: str, server: str, reason: str) -> RegistryLoginError:
    # Not what it printed: that may hold a secret.
    return RegistryLoginError(
        f"{program} failed to give the credentials of {server} ({reason}). See what it says with "
        f"`echo {server} | {program} get`"
    )
