"""Looks for a secret's value in bytes, archives and directories, however it may be spelled."""

import base64
import gzip
import io
import json
import os
import tarfile
import urllib.parse
from collections.abc import Iterator
from functools import cache
from pathlib import Path


@cache
def spellings(value: str) -> set[bytes]:
    """Return the ways in which a value may stand in a file."""
    raw = os.fsencode(value)
    found = {raw, raw.hex().encode(), raw.hex().upper().encode(), raw[::-1]}
    found.add(urllib.parse.quote(raw, safe="").encode())
    for text in (value, repr(value)[1:-1]):  # as JSON and Python quote it, also one in the other
        found |= {os.fsencode(json.dumps(text, ensure_ascii=a)[1:-1]) for a in (True, False)}
        found.add(os.fsencode(text))
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            # The characters at the edges depend on what stands beside the value.
            encoded = encode(b"\0" * shift + raw)
            found.add(encoded[4 if shift else 0 : -4])
    return found


def occurs(value: str, data: bytes) -> bool:
    """Tell whether a value stands in the data, in an archive in it, or in a compressed part."""
    if data[:2] == b"\x1f\x8b":
        return occurs(value, gzip.decompress(data))
    if data[257:262] == b"ustar":
        return any(occurs(value, part) for part in members(data))
    return any(spelling in data for spelling in spellings(value))


def members(archive: bytes) -> Iterator[bytes]:
    """Yield name and content of everything in a tar archive."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            yield f"{member.name} {member.linkname} {member.pax_headers}".encode()
            if member.isfile():
                yield tar.extractfile(member).read()


def files_with(value: str, directory: Path) -> list[Path]:
    """Return the files below a directory in which a value stands."""
    return [
        path for path in directory.rglob("*") if path.is_file() and occurs(value, path.read_bytes())
    ]
