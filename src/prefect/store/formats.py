"""A value as bytes and back, in the form that suits it.

    text    a str, as UTF-8
    bytes   bytes, as they are
    json    what JSON gives back as it is, and is small
    arrow/  a frame of pandas, polars or pyarrow that Arrow has all of, as an Arrow file
    pickle  everything else: a pickle of protocol 5, and the buffers of arrays and frames beside it

Equal values have equal bytes where that can be had: small pickles are brought to their canonical form, so
that neither the order of sets nor the identity of strings makes two of one value.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import pickle
from contextlib import suppress
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

from prefect.errors import PicklingError, ResultUnavailableError, StoreError
from prefect.payload.values import pickled
from prefect.store.frames import LIBRARIES, PREFIX, arrow, frame, modules_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    Part = bytes | memoryview

FORMATS = ("text", "bytes", "json", "pickle", *(f"{PREFIX}{each}" for each in LIBRARIES))
_PROTOCOL = 5
_MOST_JSON = 200
"""Values within one that JSON is tried for; more of them are quicker as a pickle."""
_CANONICAL = 1 << 16
"""Bytes of a pickle up to which it is brought to its canonical form, which takes a while."""


class Encoded(NamedTuple):
    """A value as bytes.

    Args:
        format: one of `FORMATS`.
        parts: the bytes; of a pickle with buffers, these come after it.
        digest: "sha256:..." of the form and all parts.
        same: what is equal for equal values, in any process; "" where nothing is.
        named: the classes and functions that it names, and which decide what is done with it.
        modules: without which it cannot be loaded; None where they are not known.
        counted: the bytes that `same` is a digest of.
    """

    format: str
    parts: Sequence[Part]
    digest: str
    same: str
    named: Sequence[Any] = ()
    modules: Collection[str] | None = ()
    counted: Sequence[Part] = ()

    @property
    def size(self) -> int:
        """Of all parts, in bytes."""
        return sum(len(part) for part in self.parts)


def encode(value: Any) -> Encoded:
    """Return a value as bytes.

    Raises:
        StoreError: it cannot be pickled; says why.
    """
    kind = type(value)
    if kind is str:
        try:
            return _encoded("text", [value.encode()])
        except UnicodeEncodeError:  # half of a surrogate pair: Python alone has it
            return _pickled(value)
    if kind is bytes:
        return _encoded("bytes", [value])
    if _is_json(value):
        # Most inputs are numbers, and the encoder takes a while to begin.
        text = str(value) if kind is int else _to_json(value)
        return _encoded("json", [text.encode()])
    if (found := arrow(value)) is not None:
        return _encoded(found[0], [found[1]], modules=modules_of(found[0]))
    return _pickled(value)


def _encoded(
    form: str,
    parts: Sequence[Part],
    named: Sequence[Any] = (),
    same: Sequence[Part] | None = None,
    modules: Collection[str] | None = (),
) -> Encoded:
    digest = digest_of(form, parts)
    alike = digest if same is None else digest_of(form, same)
    return Encoded(form, parts, digest, alike, named, modules, parts if same is None else same)


def digest_of(form: str, parts: Sequence[Part]) -> str:
    """Return "sha256:..." of a form and its parts."""
    made = hashlib.sha256(f"{form} {' '.join(str(len(part)) for part in parts)}\n".encode())
    for part in parts:
        made.update(part)
    return f"sha256:{made.hexdigest()}"


class _Pickler(pickle.Pickler):
    """Notes the classes and functions that it meets, and the modules of all that has one."""

    def __init__(self, file: io.BytesIO, buffers: list[pickle.PickleBuffer]) -> None:
        super().__init__(file, protocol=_PROTOCOL, buffer_callback=buffers.append)
        self.named: list[Any] = []
        self.modules: set[str] = set()

    def reducer_override(self, value: Any) -> Any:
        """Note one, and go on as ever. Numbers, texts and collections are not asked about."""
        if isinstance(value, type | FunctionType):
            self.named.append(value)
        if type(module := getattr(value, "__module__", None)) is str:
            self.modules.add(module)
        return NotImplemented


def _pickled(value: Any) -> Encoded:
    buffers: list[pickle.PickleBuffer] = []
    named: Sequence[Any] = ()
    try:
        file = io.BytesIO()
        pickler = _Pickler(file, buffers)
        pickler.dump(value)
        data, named = file.getvalue(), pickler.named
        raw: list[Part] = [buffer.raw() for buffer in buffers]
        if b"__main__" in data:  # whose classes are nowhere to be imported from later
            return _encoded("pickle", [pickled(value)], named, [_canonical(data), *raw], None)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - of a value's own code
        try:
            data = pickled(value)
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001 - the same; the first one says more
            raise StoreError(
                f"A value of type {type(value).__qualname__!r} cannot be pickled: "
                f"{type(error).__name__}: {error}"
            ) from error
        made = _encoded("pickle", [data])
        # Classes by value differ each time.
        return Encoded(made.format, made.parts, made.digest, "", modules=None)
    whole = [_canonical(data) if not raw else data, *raw]
    return _encoded("pickle", whole, named, modules=pickler.modules)


def _canonical(data: bytes) -> bytes:
    if len(data) > _CANONICAL:
        return data
    from prefect.payload.canonical.writing import canonical  # noqa: PLC0415 - for few values

    with suppress(PicklingError):  # of a form that pickle itself does not write
        return canonical(data)
    return data


def decode(form: str, parts: Sequence[bytearray | bytes | memoryview]) -> Any:
    """Return the value of some parts, whose digest was compared. Of a pickle, this runs code.

    Raises:
        ResultUnavailableError: it cannot be loaded here; says why.
    """
    try:
        return _DECODERS[form](parts)
    except ModuleNotFoundError as error:
        top = (error.name or "").partition(".")[0]
        raise ResultUnavailableError(
            f"A stored value cannot be loaded here: ModuleNotFoundError: {error}. Install {top} here; a flow that is "
            f"packaged brings it if built with -r {top}"
        ) from error
    except Exception as error:
        raise ResultUnavailableError(
            f"A stored value cannot be loaded here: {type(error).__name__}: {error}"
        ) from error


_DECODERS: dict[str, Callable[[Sequence[Any]], Any]] = {
    "text": lambda parts: bytes(parts[0]).decode(),
    "bytes": lambda parts: bytes(parts[0]),
    "json": lambda parts: json.loads(bytes(parts[0])),
    "pickle": lambda parts: pickle.loads(parts[0], buffers=parts[1:]),  # noqa: S301 - see above
    **{form: lambda parts, form=form: frame(form, parts[0]) for form in FORMATS if PREFIX in form},  # type: ignore[misc]
}


def _is_json(value: Any) -> bool:
    left = _MOST_JSON

    def fits(value: Any) -> bool:
        nonlocal left
        left -= 1
        kind = type(value)
        if left < 0:
            return False
        if kind is list:
            return all(map(fits, value))
        if kind is dict:
            return all(type(key) is str and fits(key) and fits(each) for key, each in value.items())
        check = _ATOMS.get(kind)
        return check is not None and check(value)

    return fits(value)


_to_json = json.JSONEncoder(separators=(",", ":")).encode


_ATOMS: dict[type, Callable[[Any], bool]] = {
    type(None): lambda _: True,
    bool: lambda _: True,
    int: lambda value: -(1 << 63) <= value < 1 << 63,
    float: math.isfinite,
    str: lambda value: value.isascii() or _is_text(value),
}


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
