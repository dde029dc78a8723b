"""Keeping secret values out of artifacts: what is packaged is searched for them.

cloudpickle copies a module's globals: a token in one of them, or the very key that is to open the
file, would come to rest in the artifact. docs/threat-model.md says which spellings are found.
"""

from __future__ import annotations

import base64
import os
import re
import sys
from typing import TYPE_CHECKING, Any, Protocol

from prefect.errors import SecretError
from prefect.secrets.spellings import SHORTEST, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from prefect.secrets.secret import Secret
    from prefect.secrets.tokens import TokenSearch

# From this length on a spelling occurs by chance nowhere, however it is folded.
_DISTINCTIVE = 8
# A shorter line of a value may stand anywhere, such as `port: 5432`.
_SHORTEST_LINE = 12
_MOST_LINES = 16
_SEARCHED_AT_ONCE = 1024 * 1024
_WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
# One text for many spellings: upper and lower case, both alphabets of base64; and, without NULs, the
# ASCII of UTF-16 and UTF-32, as arrays of characters have it, without white space what is in lines.
_FOLD = bytes(range(256)).lower().translate(bytes.maketrans(b"-_", b"+/"))
_BLANK = b"\0 \t\r\n"
# In folded text: escapes of JSON, Python, URLs and HTML, also within each other. Each begins with a
# literal character, which makes looking for them quick; compiled when the first is looked for.
_ESCAPE = rb"\\(?:(?:u00|x)([0-9a-f]{2})|[nrt])"
_PERCENT = rb"%(?:25)*([0-9a-f]{2})"
_ENTITY = rb"&(?:amp;)*(?:#0*([0-9]{1,7})|#x0*([0-9a-f]{1,6})|(amp|lt|gt|quot|apos));"
_NAMED = {b"amp": b"&", b"lt": b"<", b"gt": b">", b"quot": b'"', b"apos": b"'"}
_LONGEST_ESCAPE = 10  # of one byte, such as &amp;#115;
# Where no so many printable characters stand together there are no escapes: in large arrays.
_PRINTABLE = bytes.maketrans(bytes(range(0x21, 0x7F)), b"x" * 94)
_TEXT = b"x" * 20
_LARGE = 64 * 1024


PAYLOAD = "the flow's payload"
MANIFEST = "the flow's manifest"
SOURCES = "the source lines of the flow's functions, which its manifest has"
_INSTEAD = "within a task read os.environ['NAME'] or Secret('NAME').value"
_FIXES = {
    PAYLOAD: f"Keep it out of tasks and of the globals of their modules; {_INSTEAD}",
    SOURCES: f"Take it out of their text, comments and defaults included; {_INSTEAD}",
}


def in_file(path: str) -> str:
    """Return what a file that travels is called, as a part."""
    return f"the file {path}"


class Forbidden:
    """What may not occur in an artifact: spellings of values, each with what its value is called.

    Args:
        values: what each is called, by the value: text, or the bytes of a key.
    """

    def __init__(self, values: Mapping[str | bytes, str]) -> None:
        # Searched for in the bytes as they are, folded, and folded without escapes: in the last, a
        # value may lose what only looks like an escape, as the n of DOMAIN\name.
        self.exact: dict[bytes, str] = {}
        self.folded: dict[bytes, str] = {}
        self.plain: dict[bytes, str] = {}
        for value, name in values.items():
            if len(value) < SHORTEST:
                continue
            self._add(_spellings(value), name)
            for line in _lines(value):
                self._add(_texts(line), f"A line of {name[0].lower()}{name[1:]}")

    def __bool__(self) -> bool:
        return bool(self.exact or self.folded)

    def _add(self, spellings: set[bytes], name: str) -> None:
        for spelling in spellings:
            folded = _folded(spelling)
            if len(folded) < _DISTINCTIVE:
                self.exact[spelling] = name
                continue
            self.folded[folded] = name
            plain = _without_escapes(folded)
            if len(plain) >= _DISTINCTIVE:
                self.plain[plain] = name

    def search(self) -> _Search:
        """Return a search for all of them in bytes that come piece by piece."""
        return _Search(self)


class _Search:
    def __init__(self, values: Forbidden) -> None:
        self._values = values
        self._tails = [b"", b""]
        self._kept = (
            max(map(len, values.exact), default=0),
            max(map(len, values.folded), default=0) * _LONGEST_ESCAPE,
        )

    def find(self, data: bytes | memoryview) -> str | None:
        """Return what is found in the next piece, or across its seam with the former."""
        view = memoryview(data)
        for start in range(0, len(view), _SEARCHED_AT_ONCE):
            if found := self._find(bytes(view[start : start + _SEARCHED_AT_ONCE])):
                return found
        return None

    def _find(self, piece: bytes) -> str | None:
        found = None
        if self._values.exact:
            found = _first(self._values.exact, self._joined(0, piece))
        if self._values.folded and not found:
            text = self._joined(1, _folded(piece))
            found = _first(self._values.folded, text)
            if not found and (len(text) < _LARGE or _TEXT in text.translate(_PRINTABLE)):
                found = _first(self._values.plain, _without_escapes(text))
        return found

    def _joined(self, number: int, piece: bytes) -> bytes:
        text = self._tails[number] + piece
        self._tails[number] = text[-self._kept[number] :]
        return text


def _first(spellings: Mapping[bytes, str], text: bytes) -> str | None:
    return next((name for spelling, name in spellings.items() if spelling in text), None)


def forbidden(secrets: Iterable[Secret], keys: Iterable[bytes] = ()) -> Forbidden:
    """Return what may not occur in an artifact.

    Args:
        secrets: those that have a value here are searched for.
        keys: private keys, in the spelling in which a program would hold them.
    """
    values: dict[str | bytes, str] = dict.fromkeys(keys, "A key of the environment")
    for secret in secrets:
        values[secret.find() or ""] = f"The value of the secret {secret.name}"
    return Forbidden(values)


class InPieces(Protocol):
    """Something too large to be held whole, such as a file."""

    def pieces(self) -> Iterable[bytes]:
        """Yield its bytes, piece by piece."""


def pieces_of(content: bytes | InPieces) -> Iterable[bytes]:
    """Return the bytes of something, in one piece or several."""
    return [content] if isinstance(content, bytes) else content.pieces()


def refuse_at_rest(values: Forbidden, parts: Mapping[str, bytes | InPieces]) -> None:
    """Refuse to package bytes in which a forbidden value occurs.

    Args:
        parts: the bytes, by what they are called, such as "the lock".

    Raises:
        SecretError: names the secret and the part, never the value.
    """
    if values:
        for part, content in parts.items():
            search = values.search()
            for piece in pieces_of(content):
                if name := search.find(piece):
                    raise _at_rest(name, part)


class PartSearch:
    """A file before another that refuses a part in which a forbidden value occurs.

    It does for a stream what `refuse_at_rest` does for bytes, and raises the same error: what
    was written until then is to be thrown away.

    Args:
        file: gets what passes; None where it goes nowhere from here.
        values: are refused.
        tokens: is fed with what passes.
        part: what it is called.
    """

    def __init__(
        self, file: Any, values: Forbidden, tokens: TokenSearch, part: str = PAYLOAD
    ) -> None:
        self._file = file
        self._tokens = tokens
        self._part = part
        self._search = values.search() if values else None

    def write(self, data: bytes | memoryview) -> int:
        """Search the next piece, also across its seam with the former, and hand it on."""
        if self._search is not None and (name := self._search.find(data)):
            raise _at_rest(name, self._part)
        self._tokens.feed(data)
        return len(data) if self._file is None else int(self._file.write(data))


def _at_rest(name: str, part: str) -> SecretError:
    fix = _FIXES.get(part, "Whoever has that can read it: keep it out of there")
    return SecretError(f"{name} occurs in {part} and would come to rest in the artifact. {fix}")


def _folded(data: bytes) -> bytes:
    return data.translate(_FOLD, _BLANK)


def _without_escapes(folded: bytes) -> bytes:
    """Return folded text with the characters that escapes stand for, and without backslashes."""
    text = re.sub(_ESCAPE, _byte, folded).replace(b"\\", b"")
    return re.sub(_ENTITY, _character, re.sub(_PERCENT, _byte, text))


def _byte(escape: re.Match[bytes]) -> bytes:
    return _folded(bytes.fromhex((escape[1] or b"00").decode()))


def _character(entity: re.Match[bytes]) -> bytes:
    if entity[3]:
        return _NAMED[entity[3]]
    number = int(entity[1]) if entity[1] else int(entity[2], 16)
    return _folded(chr(min(number, sys.maxunicode)).encode("utf-8", "surrogatepass"))


def _lines(value: str | bytes) -> list[str]:
    """Return the lines of a value that has several, as each may stand behind a `#` of its own."""
    lines = value.splitlines() if isinstance(value, str) else []
    if len(lines) < 2:  # noqa: PLR2004 - then it is the value
        return []
    # What begins and ends a key in PEM is no secret.
    own = {line for line in map(str.strip, lines) if not line.startswith("-----")}
    return sorted((line for line in own if len(line) >= _SHORTEST_LINE), key=len)[-_MOST_LINES:]


def _spellings(value: str | bytes) -> set[bytes]:
    """Return the ways in which a value may stand in an artifact."""
    data = os.fsencode(value)
    found = {data} if isinstance(value, bytes) else _texts(value)
    if len(data) < _DISTINCTIVE:
        return found
    return found | {data.hex().encode(), *_base64(data)}


def _texts(value: str) -> set[bytes]:
    """Return text as files, pickles, and arrays of characters hold it."""
    # Folding knows the case of ASCII alone, and makes its UTF-16 the same as its UTF-8.
    folds = len(_folded(os.fsencode(value))) >= _DISTINCTIVE
    cases = {value, value.upper(), value.lower()} if folds and not value.isascii() else {value}
    found = set()
    for text in {text for case in cases for text in quoted(case)}:
        found |= {os.fsencode(text), text.encode("utf-8", "surrogatepass")}
        if not (folds and text.isascii()):
            found |= {text.encode(codec, "surrogatepass") for codec in _WIDE}
    return found


def _base64(data: bytes) -> set[bytes]:
    """Return what of base64 depends on the value alone, whatever stands before and after it."""
    found = set()
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + data)
        found.add(encoded[(0, 2, 3)[before] : (before + len(data)) * 8 // 6])
    return found
