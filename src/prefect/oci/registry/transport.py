"""Requests to one registry: the only place where oci speaks HTTP.

Every request is retried, authenticated and, if it only reads, redirected here; whoever calls gets
an answer of a status that it expects, or an error that says what to do.
"""

from __future__ import annotations

import json
import ssl
import threading
from dataclasses import dataclass  # noqa: TID251 - it has a slot for weak references
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakMethod, WeakValueDictionary

import urllib3
from urllib3 import exceptions

from prefect.errors import (
    ImageContentError,
    RegistryError,
    RegistryLoginError,
    RegistryNotFoundError,
)
from prefect.oci.registry.authentication import Answer, Authentication
from prefect.oci.registry.connections import pool_of
from prefect.oci.registry.credentials import find_credentials
from prefect.oci.registry.hosts import Origin, Rules, api_of
from prefect.oci.registry.retries import PASSING, PassingError, Retries, seconds_of
from prefect.printable import printable
from prefect.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Body: TypeAlias = "bytes | Callable[[], Iterator[bytes]] | None"

BROKEN = (exceptions.HTTPError, OSError)  # how a connection that breaks shows itself
ERROR_BYTES = 1 << 16  # of an error's body, which are looked at

_TOKEN_BYTES = 1 << 20
_HOPS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _BAD_REQUEST = 401, 403, 404, 400
_TIMEOUT = urllib3.Timeout(connect=15, read=120)  # seconds, for each read
_REASON = 200  # characters of a server's words
_HEADERS = {"User-Agent": f"prefect/{__version__}", "Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True, weakref_slot=True)
class _Found:
    """Where a registry's API is, and the challenge with which it answered; "" for none."""

    base: Origin
    challenge: str


_FOUND: WeakValueDictionary[tuple[str, tuple[str, ...]], _Found] = WeakValueDictionary()


class Transport:
    """Speaks to one registry, for one repository; several threads may share it.

    Args:
        registry: as references name it.
        actions: what is done there, "pull" or "pull,push", which is what a token is asked for.
        insecure: whether plain http is allowed; see `Rules`.
        retries: how failures that may pass are tried again.

    Attributes:
        stopped: set it, and nothing is tried again.

    Raises:
        RegistryError: the registry's name is no address, or a loopback one does not answer.
        RegistryLoginError: one on loopback wants credentials that are not here.
    """

    def __init__(
        self,
        registry: str,
        repository: str,
        actions: str,
        *,
        insecure: bool | None = None,
        retries: Retries | None = None,
    ) -> None:
        self.registry, self.repository = registry, repository
        self.retries = retries or Retries()
        self.stopped = threading.Event()
        self.rules = Rules(api_of(registry), insecure)
        try:
            Origin.parse(f"https://{self.rules.registry}")
        except ValueError:
            raise RegistryError(f"{registry} is no address of a registry") from None
        self._pools: dict[Origin, urllib3.PoolManager] = {}
        self._lock = threading.Lock()
        key = (self.rules.registry, self.rules.schemes())
        # As long as somebody speaks to a registry, it is not asked again how.
        self._found = _FOUND.get(key) or self.retries.run(self._find_base, self.stopped)
        _FOUND[key] = self._found
        self.base, challenge = self._found.base, self._found.challenge
        # Weakly, so that this and what it knows of the registry go with the last who uses it.
        ask = WeakMethod(self._ask_token_server)

        def ask_token_server(
            method: str, url: str, headers: Mapping[str, str], body: bytes | None
        ) -> Answer:
            asking = ask()
            assert asking is not None  # noqa: S101 - who authenticates holds this
            return asking(method, url, headers, body)

        self.authentication = Authentication(
            self.base,
            self.rules,
            (f"repository:{repository}:{actions}",),
            lambda: find_credentials(registry, repository),
            ask_token_server,
        )
        if challenge:
            self.authentication.challenged(challenge, None)

    def url(self, path: str) -> str:
        """Return the URL of a path below the repository's own."""
        return f"{self.base}/v2/{self.repository}/{path}"

    def exchange(
        self,
        method: str,
        url: str,
        doing: str,
        expect: frozenset[int],
        *,
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        limit: int = ERROR_BYTES,
    ) -> Answer:
        """Send a request, again if need be, and take its answer into memory.

        Args:
            doing: for errors, such as "read the manifest".
            expect: the statuses that are no failure.
            limit: bytes of the answer's body.

        Raises:
            RegistryLoginError: credentials are missing or wrong.
            RegistryNotFoundError: status 404, where that is not expected.
            RegistryError: any other status, a broken connection, a redirect that is not allowed.
            ImageContentError: the answer is longer than its limit.
        """

        def once() -> Answer:
            response = self.send(method, url, doing, expect, headers=headers, body=body)
            try:
                content = read_bounded(response, limit)
            except BROKEN as error:
                raise self.broken(error, doing) from error
            finally:
                response.close()
            if content is None:
                raise ImageContentError(
                    f"The registry {self.registry} sent more than {limit} bytes where it should "
                    f"{doing}: refused"
                )
            return Answer(response.status, response.headers, content)

        return self.retries.run(once, self.stopped)

    def send(
        self,
        method: str,
        url: str,
        doing: str,
        expect: frozenset[int],
        *,
        headers: Mapping[str, str] | None = None,
        body: Body = None,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request once; the answer's body is to be read and closed by the caller.

        Raises:
            PassingError: a failure that is worth another try.
            RegistryLoginError: credentials are missing or wrong.
            RegistryNotFoundError: status 404, where that is not expected.
            RegistryError: any other status, a broken connection, a redirect that is not allowed.
        """
        try:
            response = self._follow(method, url, headers or {}, body)
        except BROKEN as error:
            raise self.broken(error, doing) from error
        if response.status in expect:
            return response
        raise self.failure(response, doing)

    def broken(self, error: Exception, doing: str) -> RegistryError:
        """Return the error for a connection that broke: one that may pass, or one that does not."""
        start = f"The registry {self.registry} cannot {doing}"
        inner = error.__cause__ or error.__context__ or error
        for cause in (error, *error.args, inner):
            if isinstance(cause, ssl.SSLCertVerificationError):
                where = self.rules.registry
                return RegistryError(
                    f"{start}: its certificate is not trusted ({cause.verify_message}). Put the "
                    f"authority's certificate into ~/.config/containers/certs.d/{where}/ca.crt or "
                    f"/etc/docker/certs.d/{where}/ca.crt, or name it in SSL_CERT_FILE"
                )
        if isinstance(error, exceptions.NameResolutionError):
            return RegistryError(f"{start}: its address is not known. Check the registry's name")
        # Without the error's own words, which may quote addresses with signatures in them.
        reason = {
            "NewConnectionError": "nothing answers at its address",
            "ConnectTimeoutError": "nothing answers at its address in time",
            "ReadTimeoutError": "it took too long to answer",
            "ProxyError": "the proxy of HTTPS_PROXY does not let it through",
            "SSLError": "it does not speak TLS as it should",
        }.get(type(error).__name__, "the connection broke")
        return PassingError(f"{start}: {reason}")

    def _find_base(self) -> _Found:
        """Find the scheme that the registry speaks, and a challenge if it made one.

        Nothing secret is sent meanwhile. Where only https will do, nothing is sent at all.
        """
        schemes = self.rules.schemes()
        origins = [Origin.parse(f"{scheme}://{self.rules.registry}") for scheme in schemes]
        if len(origins) == 1:
            return _Found(origins[0], "")
        for origin in origins:
            try:
                response = self._pool(origin).urlopen(
                    "GET", f"{origin}/v2/", headers=_HEADERS, redirect=False, retries=False,
                    preload_content=False, timeout=_TIMEOUT,
                )  # fmt: skip
            except BROKEN as error:
                failure, cause = self.broken(error, "be reached"), error
                continue
            discard(response)
            # Servers that speak TLS say "bad request", or nothing, to who does not.
            if origin.scheme == "https" or response.status != _BAD_REQUEST:
                challenge = response.status == _UNAUTHORIZED
                return _Found(origin, _challenge_of(response) if challenge else "")
        raise failure from cause

    def _pool(self, origin: Origin) -> urllib3.PoolManager:
        with self._lock:
            if origin not in self._pools:
                self._pools[origin] = pool_of(origin)
            return self._pools[origin]

    def _follow(
        self, method: str, url: str, headers: Mapping[str, str], body: Body
    ) -> urllib3.BaseHTTPResponse:
        """Send a request, answering challenges and following redirects."""
        own, challenges, hops = True, 0, 0
        while True:
            origin = Origin.parse(url)
            own = own and origin == self.base
            used = self.authentication.header() if own else None
            fields = {**_HEADERS, **headers, **({"Authorization": used} if used else {})}
            response = self._request(origin, method, url, fields, body)
            if response.status == _UNAUTHORIZED and own:
                discard(response)
                if challenges == 2:  # noqa: PLR2004 - a stale token, then a fresh one
                    raise self.authentication.refused()
                challenges += 1
                self.authentication.challenged(_challenge_of(response), used)
            elif response.status in _REDIRECTS and method in {"GET", "HEAD"}:
                discard(response)
                hops += 1
                if hops > _HOPS:
                    raise RegistryError(f"The registry {self.registry} redirects in circles")
                url = self.rules.follow(url, response.headers.get("Location", ""), "a redirect")
            else:
                return response

    def _request(
        self, origin: Origin, method: str, url: str, headers: Mapping[str, str], body: Body
    ) -> urllib3.BaseHTTPResponse:
        return self._pool(origin).urlopen(
            method, url, headers=headers, body=body() if callable(body) else body, redirect=False,
            retries=False, preload_content=False, decode_content=False, timeout=_TIMEOUT,
        )  # fmt: skip

    def _ask_token_server(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        doing = "get a token from its token server"

        def once() -> Answer:
            try:
                response = self._request(
                    Origin.parse(url), method, url, {**_HEADERS, **headers}, body
                )
                try:
                    content = read_bounded(response, _TOKEN_BYTES)
                finally:
                    response.close()
            except BROKEN as error:
                raise self.broken(error, doing) from error
            if response.status in PASSING:
                raise self.failure(response, doing)
            return Answer(response.status, response.headers, content or b"")

        return self.retries.run(once, self.stopped)

    def failure(self, response: urllib3.BaseHTTPResponse, doing: str) -> RegistryError:
        """Return the error for an answer of a status that was not expected, and close it."""
        reason = self._reason(response)
        start = f"The registry {self.registry} cannot {doing}: status {response.status}{reason}"
        if response.status in {_UNAUTHORIZED, _FORBIDDEN}:
            return RegistryLoginError(
                f"{start}. Log in as somebody who may, with `docker login {self.registry}` or "
                f"`podman login {self.registry}`"
            )
        if response.status == _NOT_FOUND:
            return RegistryNotFoundError(f"{start}. Check the name and tag")
        if response.status in PASSING:
            return PassingError(start, seconds_of(response.headers.get("Retry-After")))
        return RegistryError(start)

    def _reason(self, response: urllib3.BaseHTTPResponse) -> str:
        """Return the registry's own words (distribution-spec 1.1, "Error Codes"), made harmless."""
        try:
            error = json.loads(read_bounded(response, ERROR_BYTES) or b"")["errors"][0]
            words = f"{error['code']}: {error.get('message') or ''}"
        except (*BROKEN, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return ""
        finally:
            response.close()
        words = printable(self.authentication.mask(words))
        return f" ({words.rstrip(': ')[:_REASON]})"


def read_bounded(response: urllib3.BaseHTTPResponse, limit: int) -> bytes | None:
    """Return a body of at most `limit` bytes, or None if it is longer."""
    if (response.length_remaining or 0) > limit:
        return None
    data = bytearray()
    while chunk := response.read(limit + 1 - len(data), decode_content=False):
        data += chunk
        if len(data) > limit:
            return None
    return bytes(data)


def _challenge_of(response: urllib3.BaseHTTPResponse) -> str:
    return ", ".join(response.headers.getlist("WWW-Authenticate"))


def discard(response: urllib3.BaseHTTPResponse) -> None:
    """Read what little there is, so that the connection can be used again; else close it."""
    try:
        read_bounded(response, ERROR_BYTES)
    except BROKEN:
        pass  # the status has been read, which is all that was wanted
    finally:
        response.close()
