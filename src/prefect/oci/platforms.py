"""Platforms as registries name them: `os/architecture[/variant]`, such as "linux/arm64"."""

from __future__ import annotations

import platform as host

from prefect.frozen import frozen
from prefect.patterns import pattern

# What operating systems call the processors that registries call otherwise, and the variant meant.
_MACHINES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armv7l": ("arm", "v7"),
    "armhf": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "armel": ("arm", "v6"),
    "i386": ("386", ""),
    "i686": ("386", ""),
}
_IMPLIED = {"amd64": "v1", "arm64": "v8", "arm": "v7"}  # variants that most images leave out
_PART = pattern(r"[a-z0-9_]+(?:[-.][a-z0-9_]+)*")
_VARIANT = pattern(r"v([0-9]{1,2})(?:\.([0-9]))?")


@frozen
class Platform:
    """An operating system and a processor.

    Args:
        os: such as "linux".
        architecture: such as "amd64" or "arm64".
        variant: such as "v6"; empty where the architecture implies it.
    """

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Take "linux/arm64", "linux/arm/v7" or a machine's own "linux/x86_64" apart.

        Args:
            text: os/architecture[/variant], in any case.

        Raises:
            TypeError: it is not a str.
            ValueError: it names no operating system or no processor.
        """
        if not isinstance(text, str):
            raise TypeError(f"A platform is a str such as 'linux/amd64', not {text!r}")
        parts = text.lower().split("/")
        if len(parts) not in {2, 3} or not all(map(_PART.fullmatch, parts)):
            raise ValueError(
                f"{text!r} is no platform: write one such as linux/amd64 or linux/arm64"
            )
        architecture, variant = _MACHINES.get(parts[1], (parts[1], ""))
        if len(parts) == 3:  # noqa: PLR2004
            variant = parts[2]
            # Some write "arm/7".
            if variant.isdigit() and architecture in _IMPLIED:
                variant = f"v{variant}"
        if variant == _IMPLIED.get(architecture):
            variant = ""
        return cls(parts[0], architecture, variant)

    @classmethod
    def of_host(cls) -> Platform:
        """Return Linux on this machine's processor, whatever its own operating system is."""
        return cls.parse(f"linux/{host.machine()}")

    def runs(self) -> tuple[Platform, ...]:
        """Return the platforms whose images run on this one, the best first.

        They are what containerd's `platforms.Only` matches, in its order (containerd/platforms,
        compare.go): arm/v7 runs v7, v6 and v5; amd64/v3 runs v3, v2, v1 and, last, 386; arm64/v8.2
        runs v8.2, v8.1, v8 and, last, 32-bit arm; arm64/v9.x runs v8.{x+5} and earlier, too.
        Beyond that, a variant that nobody knows runs what names no variant, as it names no need.
        """
        own = [self.variant, *_earlier(self.architecture, self.variant)]
        found = [Platform(self.os, self.architecture, variant) for variant in own]
        if self.architecture == "amd64":
            found.append(Platform(self.os, "386"))
        elif self.architecture == "arm64":
            found += Platform(self.os, "arm", "v8").runs()
        return tuple(found)

    def preference(self, image: Platform) -> tuple[int, int, str] | None:
        """Tell how well an image's platform suits this one: the least is best, None is not at all.

        Those of `runs` in their order. One thing goes beyond containerd: who names no variant, and
        finds nothing for the plain architecture, gets its earliest variant; not so of 32-bit ARM,
        whose variants differ more.
        """
        order = self.runs()
        same = (image.os, image.architecture) == (self.os, self.architecture)
        if image in order:
            return (0 if same else 2), order.index(image), ""
        if same and not self.variant and self.architecture != "arm":
            return 1, 0, image.variant
        return None

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def machine_of(architecture: str) -> str:
    """Return what Linux, compilers and uv call a processor, such as "x86_64" of "amd64"."""
    names = (machine for machine, its in _MACHINES.items() if its == (architecture, ""))
    return next(names, architecture)


def _earlier(architecture: str, variant: str) -> list[str]:
    """Return the variants before one of the same architecture, the latest first."""
    implied = _IMPLIED.get(architecture)
    known = _VARIANT.fullmatch(variant or implied or "")
    if implied is None or known is None:
        return [""] if variant and architecture != "arm" else []
    number, minor = int(known[1]), int(known[2] or 0)
    if architecture == "arm64":
        earlier = [_dotted(number, each) for each in range(minor - 1, -1, -1)]
        if number == 9:  # noqa: PLR2004 - v9.0 came of v8.5, and v8.9 is the last of its line
            earlier += [_dotted(8, each) for each in range(min(minor + 5, 9), -1, -1)]
    else:
        first = 5 if architecture == "arm" else 1
        earlier = [f"v{each}" for each in range(number - 1, first - 1, -1)]
    return ["" if each == implied else each for each in earlier]


def _dotted(number: int, minor: int) -> str:
    return f"v{number}.{minor}" if minor else f"v{number}"
