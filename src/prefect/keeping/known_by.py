"""What a value, a text or code is known by in keys and records: a digest from which no secret can be guessed.

Somebody who can read a store could try what a short secret in a digested value may be. What holds one counts by a keyed
digest, whose key rests in no store: that of `PREFECT_STORE_KEY`, or else one of this user on this machine.
"""

from __future__ import annotations

import hmac
import os
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.errors import StoreError
from prefect.files import create
from prefect.secrets.masking import holds_secret, is_masking
from prefect.store.store import KEY_VARIABLE, default_store

if TYPE_CHECKING:
    from prefect.store.formats import Encoded

_FILE = "digests.key"
_BYTES = 32


def known_by(encoded: Encoded) -> str:
    """Return the digest that a value is known by: equal for equal values, if anything is."""
    digest = encoded.same or encoded.digest
    if is_masking() and any(holds_secret(part) for part in encoded.parts):
        return _keyed(digest.encode())
    return digest


def text_known_by(text: str) -> str:
    """Return what a text is known by: it, or a keyed digest where it holds a secret."""
    data = text.encode("utf-8", "surrogatepass")
    return _keyed(data) if holds_secret(data) else text


def code_known_by(piece: bytes) -> bytes:
    """Return what a piece of code counts by: the same for it."""
    return _keyed(piece).encode() if holds_secret(piece) else piece


def _keyed(data: bytes) -> str:
    key = _key(os.environ.get(KEY_VARIABLE) or "", _place())
    return f"sha256:{hmac.new(key, data, 'sha256').hexdigest()}"


def _place() -> str:
    try:
        return default_store()
    except StoreError:  # without a home the key is this process's
        return ""


@lru_cache(maxsize=4)
def _key(shared: str, place: str) -> bytes:
    """Return the key: of the store's where that has one, else the user's, which is made when it is first needed."""
    if shared:
        return shared.encode()
    if place:
        path = Path(place) / _FILE
        with suppress(OSError):
            if not path.exists():
                with suppress(FileExistsError):  # another process was quicker
                    create(path, os.urandom(_BYTES))
            key = path.read_bytes()
            if len(key) == _BYTES:
                return key
    return os.urandom(_BYTES)
