"""The JSON of images, as it comes from people who are not trusted.

What passes here can be read by the rest of the package without another check: members have the
types that the OCI image specification 1.1 gives them, digests are digests, sizes are not negative.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

from prefect.errors import ImageContentError
from prefect.frozen import frozen
from prefect.oci.digests import DIGEST
from prefect.oci.platforms import Platform

_T = TypeVar("_T")
_MOST_VALUES = 1 << 18  # of one document; each takes some hundred bytes of memory
_DEPTH = 64  # of values within values: far from where Python's own stack ends


@frozen
class Descriptor:
    """What an index or a manifest says of a blob (descriptor.md)."""

    media_type: str
    digest: str
    size: int
    annotations: dict[str, str]
    platform: Platform | None = None


def parse(data: bytes, what: str) -> Any:
    """Take JSON apart.

    Args:
        what: its name in messages.

    Raises:
        ImageContentError: it is no JSON in UTF-8, gives a name twice, or is nested too deeply.
    """
    if sum(map(data.count, (b",", b"[", b"{"))) > _MOST_VALUES:
        raise ImageContentError(f"{what} has far more values than the JSON of an image")
    try:
        value = json.loads(data.decode(), object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ImageContentError(f"{what} is not the JSON of an image: {error}") from error
    level = [value]
    for _ in range(_DEPTH):
        level = [inner for each in level for inner in _members(each)]
        if not level:
            return value
    raise ImageContentError(f"{what} is not the JSON of an image: it is nested too deeply")


def parse_object(data: bytes, what: str) -> dict[str, Any]:
    """Take a JSON object apart.

    Raises:
        ImageContentError: as in `parse`, or it is not an object.
    """
    return expect(parse(data, what), dict, what)


def expect(value: Any, kind: type[_T], what: str) -> _T:
    """Return a value that must be of a kind.

    Raises:
        ImageContentError: it is of another.
    """
    # JSON knows no subclasses, and True is not a number there.
    if type(value) is not kind:
        raise ImageContentError(f"{what} is {_shown(value)}, which is not what belongs there")
    return value


def descriptor(value: Any, what: str) -> Descriptor:
    """Take a descriptor apart.

    Raises:
        ImageContentError: it is none.
    """
    fields = expect(value, dict, what)
    digest = expect(fields.get("digest"), str, f"{what}'s digest")
    if not DIGEST.fullmatch(digest):
        raise ImageContentError(f"{what}'s digest {_shown(digest)} is not sha256:<64 hex>")
    size = expect(fields.get("size"), int, f"{what}'s size")
    if not 0 <= size < 1 << 63:
        raise ImageContentError(f"{what}'s size cannot be {size}")
    platform = fields.get("platform")
    return Descriptor(
        expect(fields.get("mediaType"), str, f"{what}'s mediaType"),
        digest,
        size,
        _texts(fields.get("annotations"), f"{what}'s annotations"),
        None if platform is None else platform_of(expect(platform, dict, what), what),
    )


def check_config(data: bytes, what: str) -> dict[str, Any]:
    """Return an image's config (config.md) as an object, once it is known to be one.

    Raises:
        ImageContentError: it is not; or it is the config of something else than an image.
    """
    config = parse_object(data, what)
    platform_of(config, what)
    rootfs = expect(config.get("rootfs"), dict, f"{what}'s rootfs")
    for each in expect(rootfs.get("diff_ids"), list, f"{what}'s diff_ids"):
        if not DIGEST.fullmatch(expect(each, str, f"{what}'s diff_id")):
            raise ImageContentError(f"{what}'s diff_id {_shown(each)} is not sha256:<64 hex>")
    settings = expect(config.get("config") or {}, dict, f"{what}'s config")
    _texts(settings.get("Labels"), f"{what}'s labels")
    for name in ("Env", "Entrypoint", "Cmd"):
        for each in expect(settings.get(name) or [], list, f"{what}'s {name}"):
            expect(each, str, f"{what}'s {name}")
    for each in expect(config.get("history") or [], list, f"{what}'s history"):
        expect(each, dict, f"{what}'s history")
    return config


def platform_of(fields: dict[str, Any], what: str) -> Platform:
    """Return the platform that a config or a descriptor's platform names.

    Raises:
        ImageContentError: it names none.
    """
    parts = [fields.get("os"), fields.get("architecture"), fields.get("variant") or None]
    try:
        return Platform.parse("/".join(expect(p, str, what) for p in parts if p is not None))
    except ValueError as error:
        raise ImageContentError(f"{what} names no platform: {_shown(parts)}") from error


def _texts(value: Any, what: str) -> dict[str, str]:
    texts: dict[str, str] = expect({} if value is None else value, dict, what)
    for each in texts.values():
        expect(each, str, what)
    return texts


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Of two members with one name, other programs take the other.
    if len(made := dict(pairs)) != len(pairs):
        raise ValueError("a name is given twice in an object")
    return made


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not a number")


def _members(value: Any) -> list[Any]:
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [each for each in values if isinstance(each, dict | list)]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 100 else f"{text[:100]}..."  # noqa: PLR2004
