"""Writing a sealed flow as a stream: what is encrypted is never held whole, nor put on disk."""

from __future__ import annotations

import hashlib
import hmac
import io
import os
from typing import TYPE_CHECKING, BinaryIO, Final

from cryptography.cobblestone import Cobblestone256Encryptor

from prefect.errors import ArtifactError, InvalidKeyError, SignaturePolicyError
from prefect.sealed.format import (
    FLOW_PAYLOAD,
    FURTHER,
    MAC_BYTES,
    MANIFEST,
    MAX_SECTION_BYTES,
    MAX_WRAPS,
    PAYLOAD,
    Core,
    Section,
    Signature,
    Wrap,
    block,
    signatures_to_json,
    wraps_to_json,
)
from prefect.sealed.keys.encryption import KEY_BYTES, EncryptionKey, derive
from prefect.sealed.keys.recipients import Recipient
from prefect.sealed.source import PIECE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from prefect.sealed.keys.parsing import WrappingKey
    from prefect.sealed.keys.signers import SigningKey

# An encryptor holds back less than a chunk of 16 KiB and adds 16 bytes to each, 56 to the first.
_SPARE_BYTES: Final = 64 * 1024


class SealedWriter:
    """Seals one flow into a seekable binary file, from where that file stands.

    Room for the header is left at the beginning and filled in by `finish`: until then the file
    is no sealed flow. A writer is itself a file to write the payload to, such as by a pickler, and
    then, each after `begin`, the further sections.

    Args:
        keys: who may open it, 1 to 16 encryption keys and recipients.
        signing_key: needed where there are recipients.
        payload_type: what the payload is.
        further: names of the sections that follow the payload: "files", "wheels" or both, in this
            order. With any, the file has version 2, else 1.

    Raises:
        TypeError: something among the keys is no key to seal with.
        InvalidKeyError: there is no key, or there are more than 16.
        SignaturePolicyError: there are recipients, and no signing key.
        ArtifactError: the manifest is larger than 256 MiB.
        ValueError: `further` names other sections, or in another order.
    """

    def __init__(
        self,
        file: BinaryIO,
        manifest: bytes,
        keys: WrappingKey | Iterable[WrappingKey],
        *,
        signing_key: SigningKey | None = None,
        payload_type: str = FLOW_PAYLOAD,
        further: Sequence[str] = (),
    ) -> None:
        holders = wrapping_keys(keys)
        if signing_key is None and any(isinstance(key, Recipient) for key in holders):
            raise SignaturePolicyError(unsigned())
        if list(further) != [name for name in FURTHER if name in further]:
            raise ValueError(f"Further sections are {', '.join(FURTHER)}, not {list(further)}")
        self._file = file
        self._start = file.tell()
        self._data_key = os.urandom(KEY_BYTES)  # as the module secrets, which is slow to import
        self._holders = holders
        self._signing_key = signing_key
        self._payload_type = payload_type
        self._to_begin = [PAYLOAD, *further]
        # All values of the core have a fixed width: an empty one is as long as the final one.
        empty = (Section(name, 0, bytes(32)) for name in (MANIFEST, *self._to_begin))
        self._file.write(bytes(len(self._header(self._core(empty)))))
        self._finished: list[Section] = []
        self._current = _SectionEncryptor(file, self._data_key, MANIFEST)
        self._current.write(manifest)
        self.begin(PAYLOAD)

    def begin(self, name: str) -> None:
        """End the section that is written, and begin the next: what is written now is in it.

        Raises:
            ValueError: it is not the next of those that `further` named.
            ArtifactError: the section that ends is larger than 1 TiB.
        """
        if self._to_begin[:1] != [name]:
            raise ValueError(f"The next section is {self._next}, not {name!r}")
        del self._to_begin[0]
        self._finished.append(self._current.finish())
        self._current = _SectionEncryptor(self._file, self._data_key, name)

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Encrypt a piece of the section that was begun last, and return its length."""
        return self._current.write(data)

    def finish(self) -> None:
        """Write what remains: the last section's end, signatures, and at last the header.

        Raises:
            ValueError: a section that `further` named was not begun.
            ArtifactError: the last section is larger than 1 TiB.
        """
        if self._to_begin:
            raise ValueError(f"The next section, {self._next}, was not begun")
        core = self._core([*self._finished, self._current.finish()])
        keys = [self._signing_key] if self._signing_key else []
        signed = signatures_to_json([Signature(key.id, key.sign(core.to_json())) for key in keys])
        self._file.write(block(signed))
        end = self._file.tell()
        self._file.seek(self._start)
        self._file.write(self._header(core))
        self._file.seek(end)

    @property
    def _next(self) -> str:
        return repr(self._to_begin[0]) if self._to_begin else "none"

    def _core(self, sections: Iterable[Section]) -> Core:
        return Core(self._payload_type, tuple(sections))

    def _header(self, core: Core) -> bytes:
        core_json = core.to_json()
        wraps = wrap_for(self._holders, self._data_key, core_json)
        return header(core.magic, core_json, wraps, self._data_key)


class _SectionEncryptor:
    """Encrypts one section piece by piece, and keeps account of its ciphertext."""

    def __init__(self, file: BinaryIO, data_key: bytes, name: str) -> None:
        self._file = file
        self._name = name
        self._encryptor = Cobblestone256Encryptor(derive(data_key, name), section_context(name))
        self._sha256 = hashlib.sha256()
        self._length = 0
        self._room = memoryview(bytearray(PIECE_BYTES + _SPARE_BYTES))

    def write(self, data: bytes | bytearray | memoryview) -> int:
        view = memoryview(data).cast("B")
        for start in range(0, len(view), PIECE_BYTES):
            count = self._encryptor.update_into(view[start : start + PIECE_BYTES], self._room)
            self._emit(self._room[:count])
        return len(view)

    def finish(self) -> Section:
        self._emit(self._encryptor.finalize())
        if self._length > MAX_SECTION_BYTES[self._name]:
            largest = "256 MiB" if self._name == MANIFEST else "1 TiB"
            raise ArtifactError(
                f"A sealed flow holds no {self._name} above {largest}, and this one would have "
                f"{self._length} bytes. Let tasks load such data when they run"
            )
        return Section(self._name, self._length, self._sha256.digest())

    def _emit(self, ciphertext: bytes | memoryview) -> None:
        self._sha256.update(ciphertext)
        self._length += len(ciphertext)
        self._file.write(ciphertext)


def wrapping_keys(keys: WrappingKey | Iterable[WrappingKey]) -> list[WrappingKey]:
    """Return the keys that a file is sealed for, each once.

    Raises:
        TypeError: something among them is no key to seal with.
        InvalidKeyError: there are none, or more than 16.
    """
    listed = [keys] if isinstance(keys, EncryptionKey | Recipient) else list(dict.fromkeys(keys))
    for key in listed:
        if not isinstance(key, EncryptionKey | Recipient):
            raise TypeError(f"A flow is sealed for keys and recipients, not {type(key).__name__}")
    if not 0 < len(listed) <= MAX_WRAPS:
        raise InvalidKeyError(f"A flow is sealed for 1 to {MAX_WRAPS} keys, not {len(listed)}")
    return listed


def wrap_for(keys: Sequence[WrappingKey], data_key: bytes, core: bytes) -> list[Wrap]:
    """Return a file's data key, wrapped once for each key and for this core."""
    return [Wrap(key.algorithm, key.id, key.wrap(data_key, core)) for key in keys]


def header(magic: bytes, core: bytes, wraps: list[Wrap], data_key: bytes) -> bytes:
    """Return all that stands before the sections."""
    authenticated = magic + block(core) + block(wraps_to_json(wraps))
    return authenticated + header_mac(data_key, authenticated)


def header_mac(data_key: bytes, authenticated: bytes) -> bytes:
    """Return the MAC over all of a header that stands before it."""
    return hmac.digest(derive(data_key, "header", MAC_BYTES), authenticated, "sha512")


def section_context(name: str) -> bytes:
    """Return what binds a section's ciphertext to its place, in files of both versions."""
    return b"prefect sealed flow 1: " + name.encode()


def unsigned() -> str:
    """Return why a file for recipients is refused where nobody signs it."""
    return (
        "A flow for recipients must be signed: whoever knows their public keys could have made it. "
        "Give a signing key; `prefect keygen --signing FILE` makes one"
    )


def seal(
    manifest: bytes,
    payload: bytes,
    keys: WrappingKey | Iterable[WrappingKey],
    *,
    signing_key: SigningKey | None = None,
    payload_type: str = FLOW_PAYLOAD,
) -> bytes:
    """Encrypt manifest and payload for the holders of `keys`; sign them.

    The result is about 0.1 % larger than its parts (16 bytes for each 16 KiB) plus 700 bytes.

    `SealedWriter` does the same as a stream, and writes further sections.

    Raises:
        TypeError: something among the keys is no key to seal with.
        InvalidKeyError: there is no key, or there are more than 16.
        SignaturePolicyError: there are recipients, and no signing key.
        ArtifactError: the manifest is larger than 256 MiB, or the payload than 1 TiB.
    """
    file = io.BytesIO()
    writer = SealedWriter(file, manifest, keys, signing_key=signing_key, payload_type=payload_type)
    writer.write(payload)
    writer.finish()
    return file.getvalue()
