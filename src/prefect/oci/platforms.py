"""Platforms as registries name them: `os/architecture[/variant]`, such as "linux/arm64"."""

from __future__ import annotations

import platform as host
from dataclasses import dataclass

# What operating systems call their processors, and what variant they mean by it.
_ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i386": ("386", ""),
    "i686": ("386", ""),
}
_IMPLIED = {"arm64": "v8", "arm": "v7"}  # variants that most images leave out


@dataclass(frozen=True, slots=True)
class Platform:
    """An operating system and a processor."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Take "linux/arm64", "linux/arm/v7" or a machine's own "linux/x86_64" apart.

        Raises:
            TypeError: it is not a str.
            ValueError: it names no operating system or no processor.
        """
        if not isinstance(text, str):
            raise TypeError(f"A platform is a str such as 'linux/amd64', not {text!r}")
        parts = text.lower().split("/")
        if len(parts) not in {2, 3} or not all(part.isalnum() or "_" in part for part in parts):
            raise ValueError(
                f"{text!r} is no platform: write one such as linux/amd64 or linux/arm64"
            )
        architecture, variant = _ARCHITECTURES.get(parts[1], (parts[1], ""))
        if len(parts) == 3:  # noqa: PLR2004
            variant = parts[2]
        if variant == _IMPLIED.get(architecture):
            variant = ""
        return cls(parts[0], architecture, variant)

    @classmethod
    def of_host(cls) -> Platform:
        """Return Linux on this machine's processor, whatever its own operating system is."""
        return cls.parse(f"linux/{host.machine()}")

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)
