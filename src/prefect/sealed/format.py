"""What stands around the sections of a sealed flow: parsed strictly, written canonically.

Everything here is readable by anyone, and nothing of it is authenticated yet; docs/sealed-flow.md
is the specification. No length is believed before it was compared with its limit.
"""

from __future__ import annotations

import base64
import json
import struct
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from prefect.errors import FormatError
from prefect.frozen import frozen, replace
from prefect.patterns import pattern
from prefect.sealed.keys import signers as signatures
from prefect.sealed.keys.encryption import EncryptionKey
from prefect.sealed.keys.recipients import Recipient
from prefect.sealed.keys.text import decode_base64

if TYPE_CHECKING:
    import re

    from prefect.sealed.source import Source

MAGIC: Final = b"prefect sealed flow 1\n"
MAGIC_2: Final = b"prefect sealed flow 2\n"  # of a file with further sections, as long as the other
MANIFEST, PAYLOAD, FILES, WHEELS = "manifest", "payload", "files", "wheels"
FURTHER: Final = (FILES, WHEELS)
FLOW_PAYLOAD: Final = "flow+cloudpickle"
MAX_BLOCK_BYTES: Final = 64 * 1024
MAX_WRAPS: Final = 16
MAX_SIGNATURES: Final = 16
MAX_SECTION_BYTES: Final = {MANIFEST: 2**28, PAYLOAD: 2**40, FILES: 2**40, WHEELS: 2**40}
MIN_SECTION_BYTES: Final = 72
MAC_BYTES: Final = 64
U32: Final = struct.Struct(">I")

_MAGICS: Final = (MAGIC, MAGIC_2)
_ALWAYS: Final = (MANIFEST, PAYLOAD)
_SUITE: Final = "cobblestone256-sha256"
_WRAPPED_BYTES: Final = {EncryptionKey.algorithm: 40, Recipient.algorithm: 1168}
_PAYLOAD_TYPE: Final = pattern(r"[a-z0-9+.-]{1,64}")
_LENGTH: Final = pattern(r"[0-9a-f]{16}")
_SHA256: Final = pattern(r"[0-9a-f]{64}")
_KEY_ID: Final = pattern(r"[0-9a-f]{16}")


@frozen
class Section:
    """A section's name, and its ciphertext: how long it is, and its digest."""

    name: str
    length: int
    sha256: bytes


@frozen
class Core:
    """What the payload is, and what the sections are: the part that is signed.

    Args:
        sections: the manifest, the payload, and those of `FURTHER` that there are, in this order.
    """

    payload_type: str
    sections: tuple[Section, ...]

    @property
    def magic(self) -> bytes:
        """The first line of a file with such sections, which tells the version."""
        return MAGIC_2 if self._has_further else MAGIC

    @property
    def _has_further(self) -> bool:
        return len(self.sections) > len(_ALWAYS)

    def to_json(self) -> bytes:
        """Return the core's canonical JSON; sections have names where there are further ones."""
        sections = [
            {"length": f"{section.length:016x}", "sha256": section.sha256.hex()}
            | ({"name": section.name} if self._has_further else {})
            for section in self.sections
        ]
        return _canonical({"payload": self.payload_type, "sections": sections, "suite": _SUITE})

    @classmethod
    def from_json(cls, data: bytes) -> Core:
        """Read canonical JSON.

        Raises:
            FormatError: it is not exactly what `to_json` writes.
        """
        core = _object(_strict_json(data, "core"), "core", {"payload", "sections", "suite"})
        if core["suite"] != _SUITE:
            raise FormatError(
                "This sealed flow uses a suite that this release lacks. Upgrade prefect"
            )
        payload_type = _text(core["payload"], _PAYLOAD_TYPE, "payload's type")
        return cls(payload_type, _sections(core["sections"]))


@frozen
class Wrap:
    """The data key, wrapped for one holder; `kid` is a hint which key fits."""

    alg: str
    kid: str
    key: bytes


@frozen
class Signature:
    """A signature over the core; `kid` is a hint whose."""

    kid: str
    sig: bytes


@frozen
class Layout:
    """All of a sealed flow but its sections, as anyone can read it.

    Args:
        authenticated: the bytes that the header's MAC covers.
        sections_at: where the first section begins; the others follow it.
    """

    core: Core
    core_json: bytes
    wraps: list[Wrap]
    authenticated: bytes
    mac: bytes
    sections_at: int
    signatures: list[Signature]

    @property
    def placed(self) -> dict[str, tuple[Section, int]]:
        """Each section by its name, and where it begins."""
        lengths = [section.length for section in self.core.sections]
        starts = accumulate(lengths, initial=self.sections_at)
        return {
            section.name: (section, start)
            for section, start in zip(self.core.sections, starts, strict=False)
        }

    @property
    def signatures_at(self) -> int:
        """Where the block of signatures begins."""
        return self.sections_at + sum(section.length for section in self.core.sections)


def read_layout(source: Source) -> Layout:
    """Read what stands around the sections, and check that the file is complete.

    Raises:
        FormatError: it is no sealed flow, is malformed, or has another length than it says.
    """
    line = source.read(0, len(MAGIC))
    if line not in _MAGICS:
        raise FormatError(_not_sealed(line))
    core_json, position = _read_block(source, len(line))
    core = Core.from_json(core_json)
    if core.magic != line:
        raise _malformed("it does not have the sections of its version")
    wraps_json, position = _read_block(source, position)
    wraps = wraps_from_json(wraps_json)
    mac = source.read(position, MAC_BYTES)
    layout = Layout(
        core=core,
        core_json=core_json,
        wraps=wraps,
        authenticated=line + block(core_json) + block(wraps_json),
        mac=mac,
        sections_at=position + MAC_BYTES,
        signatures=[],
    )
    if source.size < layout.signatures_at + U32.size:
        raise FormatError(
            f"This sealed flow is incomplete: {source.size} bytes are here of more than "
            f"{layout.signatures_at}. Copy it again"
        )
    signatures_json, end = _read_block(source, layout.signatures_at)
    if source.size > end:
        raise FormatError(f"This sealed flow has {source.size - end} bytes after its end")
    return replace(layout, signatures=signatures_from_json(signatures_json))


def is_sealed(data: bytes) -> bool:
    """Tell whether the bytes begin as a sealed flow of any version does."""
    return data.startswith(MAGIC[: MAGIC.rindex(b" ")])


def wraps_to_json(wraps: list[Wrap]) -> bytes:
    """Return the canonical JSON of wraps."""
    return _canonical([{"alg": w.alg, "key": _base64(w.key), "kid": w.kid} for w in wraps])


def wraps_from_json(data: bytes) -> list[Wrap]:
    """Read the canonical JSON of wraps.

    Raises:
        FormatError: it is not exactly what `wraps_to_json` writes.
    """
    listed = _strict_json(data, "list of wrapped keys")
    if not isinstance(listed, list) or not 0 < len(listed) <= MAX_WRAPS:
        raise _malformed(f"it does not have 1 to {MAX_WRAPS} wrapped keys")
    wraps = []
    for item in listed:
        wrap = _object(item, "wrapped key", {"alg", "key", "kid"})
        alg = wrap["alg"]
        if not isinstance(alg, str) or alg not in _WRAPPED_BYTES:
            raise FormatError("This sealed flow wraps its key in an unknown way. Upgrade prefect")
        key = _bytes(wrap["key"], _WRAPPED_BYTES[alg], "wrapped key")
        wraps.append(Wrap(alg, _text(wrap["kid"], _KEY_ID, "key id"), key))
    return wraps


def signatures_to_json(listed: list[Signature]) -> bytes:
    """Return the canonical JSON of signatures."""
    return _canonical(
        [{"alg": signatures.ALGORITHM, "kid": s.kid, "sig": _base64(s.sig)} for s in listed]
    )


def signatures_from_json(data: bytes) -> list[Signature]:
    """Read the canonical JSON of signatures.

    Raises:
        FormatError: it is not exactly what `signatures_to_json` writes.
    """
    listed = _strict_json(data, "list of signatures")
    if not isinstance(listed, list) or len(listed) > MAX_SIGNATURES:
        raise _malformed(f"it does not have 0 to {MAX_SIGNATURES} signatures")
    parsed = []
    for item in listed:
        signature = _object(item, "signature", {"alg", "kid", "sig"})
        if signature["alg"] != signatures.ALGORITHM:
            raise FormatError("This sealed flow is signed in an unknown way. Upgrade prefect")
        sig = _bytes(signature["sig"], signatures.SIGNATURE_BYTES, "signature")
        parsed.append(Signature(_text(signature["kid"], _KEY_ID, "key id"), sig))
    return parsed


def block(data: bytes) -> bytes:
    """Return a block with its length before it.

    Raises:
        FormatError: it is larger than a reader would take.
    """
    if len(data) > MAX_BLOCK_BYTES:  # 16 wraps or signatures stay far below
        raise FormatError("A header's block would be larger than 64 KiB")
    return U32.pack(len(data)) + data


def _read_block(source: Source, position: int) -> tuple[bytes, int]:
    start = position + U32.size
    prefix = source.read(position, U32.size)
    length = U32.unpack(prefix)[0] if len(prefix) == U32.size else 0
    if len(prefix) == U32.size and not 0 < length <= MAX_BLOCK_BYTES:
        raise _malformed("a part of its header is empty or larger than 64 KiB")
    data = source.read(start, length)
    if len(prefix) < U32.size or len(data) < length:
        raise FormatError(
            "This sealed flow is incomplete: it ends within its header. Copy it again"
        )
    return data, start + length


def _not_sealed(line: bytes) -> str:
    if not line:
        return "This is not a sealed flow: it is empty"
    if any(magic.startswith(line) for magic in _MAGICS):
        return "This sealed flow is incomplete: it ends within its first line. Copy it again"
    if is_sealed(line):
        return "This sealed flow has a version that this release does not read. Upgrade prefect"
    return "This is not a sealed flow: it does not begin as `prefect build -o FILE.flow` writes it"


def _sections(items: Any) -> tuple[Section, ...]:
    if not isinstance(items, list) or len(items) < len(_ALWAYS):
        raise _malformed("it does not have two sections or more")
    if len(items) == len(_ALWAYS):
        return tuple(map(_section, items, _ALWAYS))
    keys = {"length", "name", "sha256"}
    names = [_object(item, "section", keys).pop("name") for item in items]
    further = names[len(_ALWAYS) :]
    if names != [*_ALWAYS, *(name for name in FURTHER if name in further)]:
        raise _malformed("its sections are not manifest, payload, then files, wheels or both")
    return tuple(map(_section, items, names))


def _section(item: Any, name: str) -> Section:
    section = _object(item, "section", {"length", "sha256"})
    length = int(_text(section["length"], _LENGTH, "section's length"), 16)
    if not MIN_SECTION_BYTES <= length <= MAX_SECTION_BYTES[name]:
        raise _malformed(
            f"the length of its {name} is not {MIN_SECTION_BYTES} to "
            f"{MAX_SECTION_BYTES[name]} bytes"
        )
    sha256 = bytes.fromhex(_text(section["sha256"], _SHA256, "section's digest"))
    return Section(name, length, sha256)


def _object(value: Any, what: str, keys: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or value.keys() != keys:
        raise _malformed(f"its {what} does not hold exactly {', '.join(sorted(keys))}")
    return value


def _text(value: Any, form: re.Pattern[str], what: str) -> str:
    if not isinstance(value, str) or not form.fullmatch(value):
        raise _malformed(f"a {what} is not spelled as one")
    return value


def _bytes(value: Any, length: int, what: str) -> bytes:
    raw = decode_base64(value.encode("ascii", "replace")) if isinstance(value, str) else None
    if raw is None or len(raw) != length:
        raise _malformed(f"a {what} is not {length} bytes of base64")
    return raw


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _strict_json(data: bytes, what: str) -> Any:
    """Parse JSON that has but one spelling: what is read must marshal to the same bytes."""
    try:
        value = json.loads(data)
        canonical = _canonical(value) == data
    except (ValueError, RecursionError):
        raise _malformed(f"its {what} is not JSON") from None
    if not canonical:  # duplicate keys, spare white space, other escapes, other numbers
        raise _malformed(f"its {what} is not canonical JSON")
    return value


def _malformed(how: str) -> FormatError:
    return FormatError(f"This sealed flow is malformed: {how}")
