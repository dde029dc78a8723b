"""Keeping tokens that nobody declared out of artifacts: what looks like one is searched for.

Only forms count that their issuers made recognisable, by a prefix of their own. A random password has
none, and is found where it is declared as a secret.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import re
from typing import TYPE_CHECKING

from prefect.errors import SecretError
from prefect.frozen import field, frozen
from prefect.secrets.places import place_in
from prefect.secrets.search import pieces_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from prefect.core.flow import Flow
    from prefect.secrets.search import InPieces

_PIECE = 1024 * 1024
_MOST_TOLD = 5
_LONGEST = 16 * 1024  # of a token
# Every token has a run of this many such characters, and large arrays have none.
_RUN = b"x" * 20
_CAPITALS, _DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
_LETTERS = _CAPITALS + _CAPITALS.lower()
_RUNS = bytes.maketrans(f"{_LETTERS}{_DIGITS}_+/=.-".encode(), b"x" * 68)
# What ends in a letter or digit and is no part of the word behind it: a character as other text writes
# it (\n, \x3D, \u003D, \075, %3D, %253D), and an option such as -p.
_APART = (
    rb"(?:\\(?:[a-z]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[0-7]{1,3})"
    rb"|%(?:25)?[0-9A-Fa-f]{2}|(?<![A-Za-z0-9])-[A-Za-z])\Z"
)
# Before a length in one byte, and in four: in a pickle SHORT_BINUNICODE and SHORT_BINBYTES, BINUNICODE
# and BINBYTES; in marshalled code a str and bytes.
_SHORT, _LONG = (b"\x8c", b"C"), {b"X", b"B", b"u", b"s"}
_LONGEST_BEFORE = 200  # of what stands before a token in the same text
_BEFORE = 10  # bytes before a token that tell whether it is one


@frozen
class _Form:
    """What tokens of one kind look like.

    Args:
        kind: one word, the beginning of a finding's name.
        what: as a message calls it.
        anchors: bytes of which each such token has one; looking for them is quick.
        pattern: all of a token. It is compiled where an anchor is found: together they take longer
            than the rest of this module.
        within: bytes that make it part of a longer word, right before it. Most forms are so distinctive
            that they count behind any letter.
    """

    kind: str
    what: str
    anchors: tuple[bytes, ...]
    pattern: bytes
    within: tuple[bytes, ...]


def _form(kind: str, what: str, anchors: str, pattern: str, *, within: str = "") -> _Form:
    found = tuple(anchor.encode() for anchor in anchors.split("|"))
    return _Form(
        kind, what, found, pattern.encode(), tuple(bytes([one]) for one in within.encode())
    )


_FORMS = (
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-prefixes
    # The AWS documentation's own examples end in EXAMPLE. What has capitals
    # and digits before it is a longer word.
    _form(
        "aws-access-key", "an AWS access key ID", "AKIA|ASIA",
        r"A[KS]IA(?![A-Z0-9]{9}EXAMPLE)[A-Z2-7]{16}", within=_CAPITALS + _DIGITS,
    ),
    # RFC 7468, section 10 and 11; RFC 1421 (headers); RFC 9580, section 6.2 (PGP). The text above
    # a key alone is no key: programs that read keys have it.
    _form(
        "private-key", "a private key in PEM", "PRIVATE KEY",
        r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:\s|\\+[nr]){1,8}"
        r"(?:[A-Za-z-]{1,32}: [^\n\\]{1,120}(?:\s|\\+[nr]){1,8}){0,4}[A-Za-z0-9+/]{32}"
        r"[A-Za-z0-9+/=\s\\]{0,12000}",
    ),
    # https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/
    # https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/about-authentication-to-github#githubs-token-formats
    _form(
        "github-token", "a GitHub token", "ghp_|gho_|ghu_|ghs_|ghr_|github_pat_",
        r"(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59})",
        # So mangled names of C++ go on behind words in "gh".
        within=_LETTERS + _DIGITS,
    ),
    # https://docs.gitlab.com/security/tokens/#token-prefixes
    _form(
        "gitlab-token", "a GitLab token", "glpat-|gldt-|glrt-|glptt-|glcbt-|glsoat-|glagent-|gloas-",
        r"gl(?:pat|dt|rt|ptt|cbt|soat|agent|oas)-[A-Za-z0-9_.-]{20,320}",
    ),
    # https://docs.slack.dev/authentication/tokens, and /messaging/sending-messages-using-incoming-webhooks
    _form(
        "slack-token", "a Slack token", "xox|xapp-|hooks.slack.com/",
        r"(?:xox[abpr]-[0-9]{6,}-[A-Za-z0-9-]{16,255}|xoxe(?:\.xox[bp])?-[0-9]-[A-Za-z0-9]{64,255}"
        r"|xapp-[0-9]-[A-Z0-9]{6,}-[0-9]{6,}-[a-f0-9]{32,}"
        r"|hooks\.slack\.com/services/T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/[A-Za-z0-9]{24})",
    ),
    # https://docs.cloud.google.com/docs/authentication/api-keys, and of OAuth clients; forms as in
    # https://docs.github.com/en/code-security/reference/secret-security/supported-secret-scanning-patterns
    _form(
        "google-key", "a Google API key or client secret", "AIza|GOCSPX-",
        r"(?:AIza[A-Za-z0-9_-]{35}|GOCSPX-[A-Za-z0-9_-]{28})",
    ),
    # https://docs.stripe.com/keys#obtain-api-keys, and /webhooks#verify-official-libraries
    _form(
        "stripe-key", "a Stripe key", "k_live_|whsec_",
        r"(?:[sr]k_live_[A-Za-z0-9]{24,250}|whsec_[A-Za-z0-9]{32,64})",
    ),
    # https://github.blog/security/new-npm-access-tokens-format-with-new-prefix-npm_/
    _form("npm-token", "an npm token", "npm_", r"npm_[A-Za-z0-9]{36}"),
    # A macaroon of version 2 in base64: https://github.com/rescrv/libmacaroons/blob/master/doc/format.txt
    _form("pypi-token", "a PyPI token", "pypi-AgE", r"pypi-AgE[A-Za-z0-9_-]{50,1000}"),
    # https://c2sp.org/age, "The X25519 recipient type" and "The hybrid recipient type" (Bech32)
    _form(
        "age-key", "an age secret key", "AGE-SECRET-KEY-",
        r"AGE-SECRET-KEY-(?:PQ-)?1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58,}",
    ),
    # RFC 7519 with a signature, RFC 7515, section 3.1
    _form(
        "jwt", "a JSON web token", "eyJ",
        r"eyJ[A-Za-z0-9_-]{10,1000}\.eyJ[A-Za-z0-9_-]{10,8000}\.[A-Za-z0-9_-]{20,2000}",
    ),
    # docs/sealed-flow.md: the texts of private keys. An encryption key has no form of its own.
    _form(
        "prefect-key", "a private key of prefect", "prefect-identity-1:|prefect-signing-key-1:",
        r"prefect-(?:identity|signing-key)-1:[A-Za-z0-9+/]{43,128}=?",
    ),
)  # fmt: skip
KINDS = tuple(form.kind for form in _FORMS)
_NAME = rf"(?:{'|'.join(KINDS)})-[0-9a-f]{{8}}"


@frozen
class Finding:
    """Something that looks like a token.

    Args:
        name: by which this very token, and no other, can be allowed.
        what: its kind, for people.
        token: the token itself, which is shown nowhere.
    """

    name: str
    what: str
    token: bytes = field(repr=False, compare=False)


class TokenSearch:
    """Looks for tokens in bytes that come piece by piece."""

    def __init__(self) -> None:
        self._found: dict[str, Finding] = {}
        self._tail = b""
        self._start = 0  # where in the tail nothing was searched yet

    def feed(self, data: bytes | memoryview) -> None:
        """Search the next piece. What begins near its end may go on in the one after it."""
        view = memoryview(data)
        for start in range(0, len(view), _PIECE):
            text = self._tail + bytes(view[start : start + _PIECE])
            end = max(len(text) - _LONGEST, self._start)
            self._search(text, end)
            cut = max(end - _BEFORE, 0)
            self._tail, self._start = text[cut:], end - cut

    def finish(self) -> list[Finding]:
        """Return what was found, each token once."""
        self._search(self._tail, len(self._tail))
        return list(self._found.values())

    def _search(self, text: bytes, end: int) -> None:
        if _RUN in text.translate(_RUNS):
            self._found.update((one.name, one) for one in _tokens(text, self._start, end))


def refuse_tokens(
    parts: Mapping[str, bytes | InPieces],
    allowed: Collection[str],
    flow: Flow | None = None,
    files: Collection[str] = (),
) -> None:
    """Refuse to put into an image, in the open, what looks like a token.

    Args:
        parts: the bytes, by what they are called, such as "the lock".
        allowed: names of findings that somebody has looked at.
        flow: where what is found in the payload may come from.
        files: paths of those that travel with it.

    Raises:
        SecretError: says what was found, where, and under which name; never the token.
    """
    found: dict[str, str] = {}
    for part, content in parts.items():
        search = TokenSearch()
        for piece in pieces_of(content):
            search.feed(piece)
        for one in search.finish():
            found.setdefault(one.name, f"{_told(one, flow, files)} in {part}")
    if lines := [text for name, text in found.items() if name not in allowed]:
        names = [name for name in found if name not in allowed]
        raise SecretError(
            f"This image would hold {'; '.join(lines[:_MOST_TOLD])}. Everybody who has the image "
            "could read it: declare it as a secret, and read it within a task. If a look shows that "
            f"it is none, allow it: {_how(names)}"
        )


def warn_of_tokens(
    found: Iterable[Finding], allowed: Collection[str], flow: Flow, files: Collection[str]
) -> None:
    """Log a warning of what looks like a token in a flow that is sealed, with files of these paths."""
    found = [one for one in found if one.name not in allowed]
    if found:
        lines = "; ".join(_told(one, flow, files) for one in found[:_MOST_TOLD])
        logging.getLogger("prefect.environments").warning(
            "Warning: the sealed flow %r holds %s. Everybody who can open it can read it: declare it "
            "as a secret, and read it within a task. If a look shows that it is none, allow it: %s",
            flow.name, lines, _how([one.name for one in found]),
        )  # fmt: skip


def _told(one: Finding, flow: Flow | None, files: Collection[str]) -> str:
    place = place_in(flow, lambda data: one.token in data, files) if flow is not None else ""
    return f"what looks like {one.what}{place}"


def _how(names: list[str]) -> str:
    options = " ".join(f"--allow-secret-like {name}" for name in names[:_MOST_TOLD])
    return f"{options}, or allow_secret_like=[...] of the environment"


def refuse_as_names(names: Iterable[str]) -> None:
    """Refuse a token where the name of a secret is to be: names are in the open.

    Raises:
        ValueError: says which kind of token it is, never the token.
    """
    search = TokenSearch()
    search.feed("\n".join(names).encode())
    for one in search.finish():
        raise ValueError(
            f"What looks like {one.what} is given as the name of a secret. Give the name of the "
            "environment variable that holds it"
        )


def parse_names(names: Iterable[str] | None) -> tuple[str, ...]:
    """Return the names of findings that are allowed, sorted.

    Raises:
        TypeError: it is a single str.
        ValueError: something cannot be the name of a finding.
    """
    if isinstance(names, str):
        raise TypeError(f"allow_secret_like is a list: write allow_secret_like=[{names!r}]")
    allowed = sorted(set(names or ()))
    if odd := [repr(name) for name in allowed if not re.fullmatch(_NAME, str(name))]:
        raise ValueError(
            f"{odd[0]} cannot name what looks like a secret: take the name that the refused build "
            f"has told, such as {KINDS[0]}-0123abcd"
        )
    return tuple(allowed)


def _tokens(text: bytes, start: int, end: int) -> Iterator[Finding]:
    """Yield the tokens that begin between two positions."""
    for form in _FORMS:
        if not any(anchor in text for anchor in form.anchors):
            continue
        for match in re.compile(form.pattern).finditer(text, start):
            if match.start() >= end:
                break
            if (token := _whole(text, match, form.within)) and (
                form.kind != "jwt" or _is_signed(token)
            ):
                mark = hashlib.sha256(token).hexdigest()[:8]
                yield Finding(f"{form.kind}-{mark}", form.what, token)


def _whole(text: bytes, match: re.Match[bytes], within: tuple[bytes, ...]) -> bytes | None:
    """Return a match that is no part of a longer word.

    In a pickle, and in the bytecode in it, stand beside a str the bytes of its length and of what
    comes next, which may be letters.
    """
    start, end = match.span()
    first, last = _span_of_text(text, start, end)
    before = text[max(start - _BEFORE, 0) : start]
    if first != start and before.endswith(within) and not re.search(_APART, before):
        return None
    if last is not None and last <= end:
        return text[start:last] if match.re.fullmatch(text[start:last]) else None
    return None if text[end : end + 1].isalnum() else match[0]


def _span_of_text(text: bytes, start: int, end: int) -> tuple[int | None, int | None]:
    """Return where the str, or bytes, begins and ends that has what stands from start to end.

    It begins at the start, or it ends before the end: other bytes are not taken for a length.
    """
    for first in range(start, max(start - _LONGEST_BEFORE, 1), -1):
        # A C in the midst of text is a letter.
        if text[first - 2 : first - 1] in (_SHORT if first == start else _SHORT[:1]):
            size = text[first - 1]
        elif text[max(first - 5, 0) : first - 4] in _LONG:
            size = int.from_bytes(text[first - 4 : first], "little")
        else:
            continue
        if first == start or start < first + size <= end:
            return first, first + size
    return None, None


def _is_signed(token: bytes) -> bool:
    header = token.partition(b".")[0]
    try:
        values = json.loads(base64.urlsafe_b64decode(header + b"=" * (-len(header) % 4)))
    except ValueError:
        return False
    return isinstance(values, dict) and isinstance(values.get("alg"), str)
