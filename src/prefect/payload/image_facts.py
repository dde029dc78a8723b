"""What a manifest tells of the image that its flow is in: known once the base and the lock are."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from prefect.errors import FormatError
from prefect.frozen import as_dict, frozen
from prefect.patterns import pattern

_LARGEST_LOCK = 8 << 20
_TEXTS = {
    "base": pattern(r"[^\s\x00-\x1f]{0,1000}"),
    "digest": pattern(r"(sha256:[0-9a-f]{64})?", re.ASCII),
    "platform": pattern(r"[a-z0-9]{1,30}/[a-z0-9_]{1,30}(/[a-z0-9_.]{1,30})?", re.ASCII),
    "python": pattern(r"3\.\d{1,3}(\.[\w.+]{1,30})?", re.ASCII),
}
_PIN = pattern(
    r"([a-z0-9]+(?:-[a-z0-9]+)*)==([\w.!+-]{1,100})((?: --hash=[a-z0-9_]{3,20}:[0-9a-f]{32,128})+)",
    re.ASCII,
)


@frozen
class Pin:
    """A distribution in the one version that an image has.

    Args:
        name: normalised.
        version: of it.
        hashes: sorted, as "sha256:…": the image has a file of one of them.
    """

    name: str
    version: str
    hashes: tuple[str, ...]

    def line(self) -> str:
        """Return it as a requirement line."""
        return f"{self.name}=={self.version}{''.join(f' --hash={one}' for one in self.hashes)}"


@frozen
class ImageFacts:
    """An image, as far as its flow's manifest tells of it.

    Args:
        base: the base's name, where the flow's environment has another one; else "", so that one base
            makes one image, however it is called.
        digest: by which the base is had again, such as "sha256:…"; "" where its source tells none.
        platform: such as "linux/amd64".
        python: version of the image's Python, such as "3.11.9"; its series where the base does not
            tell more.
        setup: shell commands that ran in the base first.
        lock: what is installed on the base, as lines "name==version --hash=sha256:…", sorted by name.
    """

    base: str
    digest: str
    platform: str
    python: str
    setup: tuple[str, ...]
    lock: str

    @classmethod
    def read(cls, values: Any) -> ImageFacts | None:
        """Take what `to_dict` returned for facts of an image; None for a flow in no image.

        Raises:
            FormatError: it is anything else.
        """
        if values is None:
            return None
        names = {*_TEXTS, "setup", "lock"}
        if (
            not isinstance(values, dict)
            or values.keys() != names
            or not all(
                isinstance(values[name], str) and form.fullmatch(values[name])
                for name, form in _TEXTS.items()
            )
            or not isinstance(values["setup"], list)
            or not all(isinstance(line, str) for line in values["setup"])
            or not isinstance(values["lock"], str)
        ):
            raise FormatError(
                "What the manifest tells of its image does not have the types it needs"
            )
        _pins(values["lock"])
        return cls(**{**values, "setup": tuple(values["setup"])})

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**as_dict(self), "setup": list(self.setup)}

    def pins(self) -> tuple[Pin, ...]:
        """Return what is installed on the base, sorted by name."""
        return _pins(self.lock)


@lru_cache(maxsize=2)  # a run asks several times, and a lock may have hundreds of lines
def _pins(text: str) -> tuple[Pin, ...]:
    found = map(_PIN.fullmatch, text.splitlines() if len(text) <= _LARGEST_LOCK else ())
    pins = tuple(
        Pin(match[1], match[2], tuple(match[3].split(" --hash=")[1:])) for match in found if match
    )
    names = [pin.name for pin in pins]
    if names != sorted(set(names)) or text != "".join(f"{pin.line()}\n" for pin in pins):
        raise FormatError("What the manifest tells of the image's lock is not what prefect writes")
    return pins
