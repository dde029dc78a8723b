"""How a registry is told who asks: Basic, or a Bearer token from the server that it names.

The token protocols are those of Docker's registry: a GET with Basic authentication, or a POST of
OAuth2 for who logged in with an identity token (docs of distribution, `spec/auth`).
"""

from __future__ import annotations

import json
import re
import threading
import time
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from prefect.errors import RegistryError, RegistryLoginError
from prefect.frozen import field, frozen
from prefect.patterns import pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from prefect.oci.registry.credentials import Credentials
    from prefect.oci.registry.hosts import Origin, Rules

_CLIENT = "prefect"
_DEFAULT_SECONDS = 60  # of a token's life, where the server does not say
_SHARE = 0.8  # of its life after which a token is not used any more
_TOKEN = pattern(r"[!-~]+")
# The header WWW-Authenticate (RFC 9110, 11.6.1).
_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = pattern(rf'({_NAME})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|({_NAME}))')
_SCHEME = pattern(rf"({_NAME})(?=[ \t]|,|$)")
_TOKEN68 = pattern(r"[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))")
_LONGEST = 16384


class Answer(NamedTuple):
    """What a server said, its body bounded and in memory; the headers' names in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Authentication:
    """Answers the challenges of one registry; several threads may share it.

    Args:
        base: the registry's own origin, the only one that is sent its headers.
        scopes: what a token is asked for, the most important first.
        find: finds the credentials; called once, when the registry first wants some.
        ask: sends a request without authentication: method, URL, headers, body.
    """

    def __init__(
        self,
        base: Origin,
        rules: Rules,
        scopes: tuple[str, ...],
        find: Callable[[], Credentials | None],
        ask: Callable[[str, str, Mapping[str, str], bytes | None], Answer],
    ) -> None:
        self._base, self._rules, self._ask = base, rules, ask
        self._scopes, self._find = list(scopes), find
        self._credentials: Credentials | None = None
        self._searched = False
        self._challenge: Challenge | None = None
        self._header: str | None = None
        self._until = float("inf")
        self._secrets: set[str] = set()
        self._lock = threading.RLock()

    def header(self) -> str | None:
        """Return the value of the Authorization header, or None before any challenge.

        Raises:
            RegistryLoginError: a token has run out, and the server gives no new one.
        """
        with self._lock:
            if time.monotonic() > self._until:
                self._get_token()
            return self._header

    def challenged(self, header: str, used: str | None) -> None:
        """Take a challenge (the WWW-Authenticate of a 401) into account.

        Args:
            used: the header that the refused request had.

        Raises:
            RegistryLoginError: there is no good answer to it.
        """
        with self._lock:
            if self._header != used:
                return  # another thread has just answered it
            offered = {challenge.scheme: challenge for challenge in parse_challenges(header)}
            if bearer := offered.get("bearer"):
                self._challenge = bearer
                self._get_token()
            elif "basic" in offered:
                self._use_password()
            else:
                raise RegistryLoginError(
                    f"The registry {self._rules.registry} wants another authentication than Basic "
                    "or Bearer, which are all that registries are meant to use"
                )

    def add(self, scope: str) -> None:
        """Want one more permission; the next request gets a token that has it.

        Raises:
            RegistryError: the server gives no token for so much; the former one stays.
        """
        with self._lock:
            if scope in self._scopes:
                return
            self._scopes.append(scope)
            if self._challenge is None:  # Basic, or nobody asked yet
                return
            try:
                self._get_token()
            except RegistryError:
                self._scopes.remove(scope)
                raise

    def mask(self, text: str) -> str:
        """Return a server's words without the secrets that it was sent, should it repeat them."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    def refused(self) -> RegistryLoginError:
        """Return an error that says whether credentials are missing or wrong, and what to do."""
        registry = self._rules.registry
        credentials = self._known() if self._searched else None
        problem = (
            f"refuses the credentials in {credentials.source}" if credentials else "wants a login"
        )
        return RegistryLoginError(
            f"The registry {registry} {problem}: log in with `docker login {registry}` or "
            f"`podman login {registry}`"
        )

    def _known(self) -> Credentials | None:
        if not self._searched:
            self._credentials = self._find()
            self._searched = True
            if found := self._credentials:
                secrets = (found.password, found.identity_token, found.basic().split()[1])
                self._secrets.update(secret for secret in secrets if secret)
        return self._credentials

    def _use_password(self) -> None:
        credentials = self._known()
        if credentials is None:
            raise self.refused()
        if not credentials.password:
            raise RegistryLoginError(
                f"The registry {self._rules.registry} wants a password, and {credentials.source} "
                "has an identity token alone: log in again"
            )
        header = credentials.basic()
        if header == self._header:
            raise self.refused()
        self._header, self._until, self._challenge = header, float("inf"), None

    def _get_token(self) -> None:
        if self._challenge is None:
            return
        parameters = self._challenge.parameters
        realm = parameters.get("realm", "")
        if "://" not in realm:
            raise RegistryLoginError(
                f"The registry {self._rules.registry} wants a token, and does not say from where"
            )
        realm = self._rules.follow(str(self._base), realm, "a token server")
        credentials = self._known()
        query = [("service", parameters["service"])] if "service" in parameters else []
        if credentials and credentials.identity_token:
            form = [
                ("grant_type", "refresh_token"),
                *query,
                ("client_id", _CLIENT),
                ("scope", " ".join(self._scopes)),
                ("refresh_token", credentials.identity_token),
            ]
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = self._ask("POST", realm, headers, urlencode(form).encode())
        else:
            headers = {"Authorization": credentials.basic()} if credentials else {}
            # One parameter for each scope: some servers look at the first alone.
            query += [("scope", scope) for scope in self._scopes]
            mark = "&" if "?" in realm else "?"
            answer = self._ask("GET", f"{realm}{mark}{urlencode(query)}", headers, None)
        self._take(answer)

    def _take(self, answer: Answer) -> None:
        if answer.status in {400, 401, 403}:
            raise self.refused()
        try:
            fields = json.loads(answer.body)
            token = fields.get("token") or fields["access_token"]
            seconds = float(fields.get("expires_in") or _DEFAULT_SECONDS)
            # A header's value, of which http.client would quote a wrong one in its error.
            usable = isinstance(token, str) and _TOKEN.fullmatch(token)
        except (
            ArithmeticError,
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            RecursionError,
        ):
            usable = None
        if answer.status != 200 or not usable:  # noqa: PLR2004
            raise RegistryLoginError(
                f"The token server of {self._rules.registry} gave no token (status "
                f"{answer.status}). Try again later, or log in again"
            ) from None
        self._header = f"Bearer {token}"
        self._secrets.add(token)
        self._until = time.monotonic() + _SHARE * seconds


@frozen
class Challenge:
    """One way to authenticate; names are in lower case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def parse_challenges(header: str) -> list[Challenge]:
    """Take a header apart; what is malformed is left out, with whatever follows it."""
    challenges: list[Challenge] = []
    rest = header[:_LONGEST].lstrip(" \t,")
    while rest:
        # `name = value` belongs to the challenge before; a lone name begins another one.
        if challenges and (found := _PARAMETER.match(rest)):
            name, quoted, bare = found.groups()
            value = bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            parameters = {name.lower(): value, **challenges[-1].parameters}
            challenges[-1] = Challenge(challenges[-1].scheme, parameters)
        elif found := _SCHEME.match(rest):
            challenges.append(Challenge(found[1].lower()))
            after = rest[found.end() :].lstrip(" \t")
            if (data := _TOKEN68.match(after)) and not _PARAMETER.match(after):
                found, rest = data, after
        else:
            break
        rest = rest[found.end() :].lstrip(" \t,")
    return challenges
