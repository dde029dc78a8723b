"""Where the container engine is, and what else docker's variables and files say of talking to it.

The first of these that is set decides, as for the command `docker`:

1. `DOCKER_HOST`, with `DOCKER_TLS_VERIFY`, `DOCKER_TLS` and `DOCKER_CERT_PATH`;
2. `DOCKER_CONTEXT`, the name of one of docker's contexts;
3. `currentContext` of docker's config.json, which `docker context use` sets;
4. the socket /var/run/docker.sock.

Docker's files are in `DOCKER_CONFIG`, by default ~/.docker.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from prefect.errors import ContainerEngineUnavailableError, ImageContentError
from prefect.files import read_small
from prefect.frozen import field, frozen
from prefect.oci import documents
from prefect.patterns import pattern

DEFAULT = "unix:///var/run/docker.sock"

_SCHEMES = frozenset({"unix", "tcp", "http", "https", "ssh"})
_NAME = pattern(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # a token of RFC 9110
_PORTS = {False: 2375, True: 2376}  # without TLS, and with it
_SAMPLES = "unix:///run/user/1000/docker.sock, tcp://HOST:2376 or ssh://USER@HOST"
# Docker's names for proxies in its config.json, and the variables that containers get of each.
_PROXIES = {
    "httpProxy": ("HTTP_PROXY", "http_proxy"),
    "httpsProxy": ("HTTPS_PROXY", "https_proxy"),
    "ftpProxy": ("FTP_PROXY", "ftp_proxy"),
    "noProxy": ("NO_PROXY", "no_proxy"),
    "allProxy": ("ALL_PROXY", "all_proxy"),
}


@frozen
class TLS:
    """How a container engine is known over TLS, and we to it.

    Attributes:
        ca, certificate, key: PEM files; None where there is none.
        verify: whether the engine's certificate must be right; docker has a way to say that it need not.
    """

    ca: Path | None
    certificate: Path | None
    key: Path | None
    verify: bool

    @classmethod
    def in_directory(cls, directory: Path, *, verify: bool) -> TLS:
        """Take those of docker's names for the files that exist."""
        files = [directory / name for name in ("ca.pem", "cert.pem", "key.pem")]
        ca, certificate, key = (path if path.exists() else None for path in files)
        return cls(ca, certificate, key, verify)


@frozen
class Endpoint:
    """A container engine's address, checked.

    Attributes:
        url: unix:///path, http[s]://host:port[/prefix] or ssh://[user@]host[:port][/path of a socket].
        source: who named it, for messages.
        headers: what docker's config.json wants in each request.
        proxies: variables for containers, of docker's config.json.
    """

    url: str
    source: str
    tls: TLS | None = None
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    proxies: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def parts(self) -> SplitResult:
        """The address taken apart."""
        return urlsplit(self.url)


def find_endpoint() -> Endpoint:
    """Return the container engine that variables and files name.

    Raises:
        ContainerEngineUnavailableError: they name none that there is, or are malformed.
    """
    home = _docker_directory()
    config = _read(home / "config.json") if home else {}
    named, source, tls = _named(home, config)
    url = _checked(named, source, secure=tls is not None)
    if url.startswith(("unix:", "ssh:")):
        tls = None  # the way there has its own protection
    elif url.startswith("https:") and tls is None:
        tls = TLS(None, None, None, verify=True)
    try:
        proxies = documents.expect(config.get("proxies") or {}, dict, "proxies")
        proxies = _texts(proxies.get(named, proxies.get("default")), "A proxy")
        headers = _texts(config.get("HttpHeaders"), "A header")
    except ImageContentError as error:
        raise _malformed((home or Path()) / "config.json", error) from None
    variables = {
        variable: value
        for name, value in proxies.items()
        for variable in _PROXIES.get(name, ())
        if value
    }
    return Endpoint(url, source, tls, headers, variables)


def _named(home: Path | None, config: dict[str, Any]) -> tuple[str, str, TLS | None]:
    if url := os.environ.get("DOCKER_HOST"):
        return url, "of DOCKER_HOST", _tls_of_variables(home)
    name, source = os.environ.get("DOCKER_CONTEXT"), "which DOCKER_CONTEXT names"
    if not name:
        name, source = config.get("currentContext"), "which `docker context use` chose"
    if not name or name == "default":
        return DEFAULT, "the default: neither DOCKER_HOST nor a context names another", None
    if home is None or not isinstance(name, str):
        raise ContainerEngineUnavailableError(f"There is no docker context {name!r}, {source}")
    return _in_context(home / "contexts", name, source)


def _tls_of_variables(home: Path | None) -> TLS | None:
    verify = bool(os.environ.get("DOCKER_TLS_VERIFY"))
    if not verify and not os.environ.get("DOCKER_TLS"):
        return None
    named = os.environ.get("DOCKER_CERT_PATH")
    if named and not Path(named).is_dir():
        raise ContainerEngineUnavailableError(
            f"There is no directory {named}, which DOCKER_CERT_PATH names: it is to hold ca.pem, "
            "cert.pem and key.pem"
        )
    return TLS.in_directory(Path(named) if named else home or Path("/nonexistent"), verify=verify)


def _in_context(contexts: Path, name: str, source: str) -> tuple[str, str, TLS | None]:
    key = hashlib.sha256(name.encode()).hexdigest()
    path = contexts / "meta" / key / "meta.json"
    if not path.exists():
        raise ContainerEngineUnavailableError(
            f"There is no docker context {name!r}, {source}: `docker context ls` lists them. Choose "
            "another, or set DOCKER_HOST"
        )
    found = _read(path)
    try:
        endpoints = documents.expect(found.get("Endpoints") or {}, dict, "Endpoints")
        engine = documents.expect(endpoints.get("docker") or {}, dict, "docker")
        url = documents.expect(engine.get("Host") or DEFAULT, str, "Host")
    except ImageContentError as error:
        raise _malformed(path, error) from None
    directory = contexts / "tls" / key / "docker"
    careless = engine.get("SkipTLSVerify") is True
    secure = directory.is_dir() or careless
    tls = TLS.in_directory(directory, verify=not careless) if secure else None
    return url, f"of the docker context {name!r}, {source}", tls


def _checked(url: str, source: str, *, secure: bool) -> str:
    """Return an address in full, or refuse one that is none."""
    full = url if "://" in url or url.startswith("/") else f"tcp://{url}"
    try:
        parts = urlsplit(full)
        host, port = parts.hostname, parts.port
        plain = all(c.isprintable() and not c.isspace() for c in full)
    except ValueError:
        plain = False
    if not plain or parts.scheme not in _SCHEMES or parts.query or parts.fragment:
        raise _no_address(url, source)
    if parts.scheme == "unix":
        if parts.netloc or not parts.path.startswith("/"):
            raise _no_address(url, source)
        return full
    if not host or parts.password is not None or (parts.scheme != "ssh" and parts.username):
        raise _no_address(url, source)
    if parts.scheme == "ssh":
        return full
    scheme = "https" if secure or parts.scheme == "https" else "http"
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}:{port or _PORTS[scheme == 'https']}{parts.path.rstrip('/')}"


def _no_address(url: str, source: str) -> ContainerEngineUnavailableError:
    # Without what may be a password in it.
    shown = url.rpartition("@")[2]
    return ContainerEngineUnavailableError(
        f"{shown!r} ({source}) is no address of a container engine that can be used here: set "
        f"DOCKER_HOST to one such as {_SAMPLES}"
    )


def _docker_directory() -> Path | None:
    if directory := os.environ.get("DOCKER_CONFIG"):
        return Path(directory)
    try:
        return Path.home() / ".docker"
    except RuntimeError:  # a user without a home
        return None


def _read(path: Path) -> dict[str, Any]:
    try:
        return documents.parse_object(read_small(path), path.name)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ImageContentError) as error:
        raise _malformed(path, error) from error


def _malformed(path: Path, error: Exception) -> ContainerEngineUnavailableError:
    reason = getattr(error, "strerror", None) or error
    return ContainerEngineUnavailableError(
        f"The file {path} of docker cannot be used: {reason}. Mend or remove it"
    )


def _texts(told: Any, what: str) -> dict[str, str]:
    """Return names with texts that can stand in a header or a variable."""
    texts = documents.expect(told or {}, dict, what)
    if not all(map(_NAME.fullmatch, texts)):
        raise ImageContentError(f"{what} has a name that it cannot have")
    for text in texts.values():
        if not (documents.expect(text, str, what).isascii() and text.isprintable()):
            raise ImageContentError(f"{what} has characters that cannot be sent")
    return texts
