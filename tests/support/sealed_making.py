"""Sealed flows with further sections, and sealed flows taken apart."""

import io
import struct

from prefect.sealed.format import MAGIC
from prefect.sealed.writing import SealedWriter


def sealed_with(manifest, payload, further, keys, signing_key=None) -> bytes:
    """Seal a flow with further sections, given by their names in the format's order."""
    file = io.BytesIO()
    writer = SealedWriter(file, manifest, keys, signing_key=signing_key, further=list(further))
    writer.write(payload)
    for name, content in further.items():
        writer.begin(name)
        writer.write(content)
    writer.finish()
    return file.getvalue()


def blocks(sealed: bytes) -> tuple[bytes, bytes, bytes]:
    """Split a sealed flow into its core, its wraps, and all that follows them."""
    position = len(MAGIC)
    found = []
    for _ in range(2):
        (length,) = struct.unpack_from(">I", sealed, position)
        found.append(sealed[position + 4 : position + 4 + length])
        position += 4 + length
    return found[0], found[1], sealed[position:]


def joined(core: bytes, wraps: bytes, rest: bytes, magic: bytes = MAGIC) -> bytes:
    """Put the parts together again, with right lengths."""
    lengths = [struct.pack(">I", len(block)) + block for block in (core, wraps)]
    return b"".join((magic, *lengths, rest))
