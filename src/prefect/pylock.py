"""Locked requirements as they travel: the text of a pylock.toml (PEP 751), written and read.

A manifest may be anybody's, so one form alone is read: that which `Lock.text` writes, line by line, in a
time that grows with the text. Files stand there by name, size and digest: no address says where they
came from, and whoever installs them asks the index of their own.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from prefect.errors import FormatError
from prefect.frozen import field, frozen, ordered
from prefect.patterns import pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Of Debian 10, RHEL 8 and later, for which nearly all wheels of today are built.
USUAL_GLIBC = (2, 28)
# 300 packages for nine targets take less than a MiB.
LARGEST_LOCK = 8 << 20
_MOST_PACKAGES = 5_000
_MOST_TARGETS = 32
_SHOWN = {"linux": "linux", "darwin": "macos"}
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_VARIABLES = ("python_version", "sys_platform", "platform_machine")
_EQUAL = pattern(
    r"(python_version|sys_platform|platform_machine) == '([a-z0-9_.]{1,40})'", re.ASCII
)
_SERIES = pattern(r"3\.\d{1,3}", re.ASCII)
_NAME = pattern(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
_VERSION = pattern(r"[\w.!+-]{1,100}", re.ASCII)
_FILE_NAME = pattern(r"[A-Za-z0-9][\w.!+-]{0,250}(\.whl|\.tar\.gz|\.zip)", re.ASCII)
_FILE = pattern(
    r'\{ path = "([^"]+)",(?: size = (\d{1,15}),)? hashes = \{ sha256 = "([0-9a-f]{64})" \} \}',
    re.ASCII,
)
_HEAD = 'lock-version = "1.0"\ncreated-by = "prefect"\n'


@ordered
class Target:
    """A Python and a platform for which requirements are locked.

    Args:
        python: its series, such as "3.11".
        system: as `sys.platform` has it, such as "linux" or "darwin".
        machine: as `platform.machine()` has it there, such as "x86_64".
        glibc: for which wheels are chosen on Linux, None for musl. No marker tells it, and a lock
            does not either: it is none of what makes two targets equal.
    """

    python: str
    system: str
    machine: str
    glibc: tuple[int, int] | None = field(default=USUAL_GLIBC, compare=False)

    @property
    def platform(self) -> str:
        """The platform as registries name it, such as "linux/amd64"."""
        system = _SHOWN.get(self.system, self.system)
        return f"{system}/{_ARCHITECTURES.get(self.machine, self.machine)}"

    def variables(self) -> dict[str, str]:
        """Return the variables of PEP 508's markers that tell this target from others."""
        return dict(zip(_VARIABLES, (self.python, self.system, self.machine), strict=True))

    def __str__(self) -> str:
        return f"Python {self.python} on {self.platform}"


@frozen
class File:
    """A wheel, or a source distribution.

    Args:
        name: of the file.
        size: in bytes; None where the index does not tell.
        sha256: of its content, in hexadecimal digits.
    """

    name: str
    size: int | None
    sha256: str

    @property
    def is_wheel(self) -> bool:
        """Whether it is a wheel, which is installed without running anything of it."""
        return self.name.endswith(".whl")

    def __str__(self) -> str:
        # PEP 751 wants an address or a path: this is where a file is that was put beside its lock.
        size = "" if self.size is None else f" size = {self.size},"
        return f'{{ path = "{self.name}",{size} hashes = {{ sha256 = "{self.sha256}" }} }}'


@frozen
class Package:
    """A distribution in one version.

    Args:
        name: normalised.
        version: of it.
        files: sorted; wheels, and at most one source distribution.
        targets: for which it is needed.
    """

    name: str
    version: str
    files: tuple[File, ...]
    targets: frozenset[Target]

    def line(self) -> str:
        """Return it as a requirement line, with the hashes of its files and without a marker."""
        hashes = "".join(
            f" --hash=sha256:{digest}" for digest in sorted({f.sha256 for f in self.files})
        )
        return f"{self.name}=={self.version}{hashes}"


@frozen
class Lock:
    """Requirements with all that they need in turn, for some targets.

    Args:
        targets: sorted.
        packages: sorted by name and version; of one name, there is one for a target at most.
    """

    targets: tuple[Target, ...]
    packages: tuple[Package, ...]

    @classmethod
    def of(cls, resolved: Mapping[Target, Iterable[Package]]) -> Lock:
        """Put what was locked for each of some targets together.

        Args:
            resolved: the packages for each target, whatever targets they name.
        """
        files: dict[tuple[str, str], set[File]] = {}
        needed: dict[tuple[str, str], set[Target]] = {}
        for target, packages in resolved.items():
            for one in packages:
                files.setdefault((one.name, one.version), set()).update(one.files)
                needed.setdefault((one.name, one.version), set()).add(target)
        return cls(
            tuple(sorted(resolved)),
            tuple(
                Package(name, version, _sorted(files[name, version]), frozenset(targets))
                for (name, version), targets in sorted(needed.items())
            ),
        )

    def for_target(self, target: Target) -> list[Package]:
        """Return the packages for a target, sorted by name; none where it is not locked for it."""
        return [one for one in self.packages if target in one.targets]

    def marker(self, package: Package) -> str:
        """Return for which targets a package is, as PEP 508 writes it; "" where for all."""
        return _marker(package.targets, self.targets)

    def text(self) -> str:
        """Return the text of a pylock.toml, which says the same for the same thing."""
        lines = [
            _HEAD,
            f'requires-python = ">={min((t.python for t in self.targets), key=_series)}"\n',
        ]
        markers = ", ".join(f'"{_conjunction(target.variables())}"' for target in self.targets)
        lines.append(f"environments = [{markers}]\n")
        if not self.packages:
            lines.append("packages = []\n")
        for one in self.packages:
            lines.append(f'\n[[packages]]\nname = "{one.name}"\nversion = "{one.version}"\n')
            if marker := self.marker(one):
                lines.append(f'marker = "{marker}"\n')
            lines += [f"sdist = {file}\n" for file in one.files if not file.is_wheel]
            if wheels := [file for file in one.files if file.is_wheel]:
                lines += ["wheels = [\n", *(f"    {wheel},\n" for wheel in wheels), "]\n"]
        return "".join(lines)


def shown(targets: Iterable[Target]) -> str:
    """Return targets as people read them: "Python 3.11, 3.13 on linux/amd64, macos/arm64"."""
    series: dict[str, list[str]] = {}
    for target in sorted(targets):
        series.setdefault(target.platform, []).append(target.python)
    platforms: dict[tuple[str, ...], list[str]] = {}
    for platform, pythons in sorted(series.items()):
        platforms.setdefault(tuple(pythons), []).append(platform)
    return "; ".join(
        f"Python {', '.join(pythons)} on {', '.join(names)}" for pythons, names in platforms.items()
    )


@lru_cache(2)  # a run asks several times, and a lock may have hundreds of packages
def read(text: str) -> Lock:
    """Read what `Lock.text` wrote.

    Raises:
        FormatError: it is anything else, or far too long.
    """
    if len(text) > LARGEST_LOCK:
        raise FormatError("The lock of the manifest is longer than any flow's")
    head, *blocks = text.split("\n[[packages]]\n")
    match = re.fullmatch(
        re.escape(_HEAD)
        + r'requires-python = ">=[0-9.]{3,6}"\nenvironments = \[(.+)\]\n(?:packages = \[\]\n)?',
        head,
    )
    if match is None:
        raise _malformed()
    targets = tuple(_target(marker) for marker in _strings(match[1]))
    if len(targets) > _MOST_TARGETS or len(blocks) > _MOST_PACKAGES:
        raise FormatError("The lock of the manifest has more packages or targets than any flow's")
    lock = Lock(targets, tuple(_package(block, targets) for block in blocks))
    _require_canonical(lock, text)
    return lock


def _require_canonical(lock: Lock, text: str) -> None:
    seen: set[tuple[str, Target]] = set()
    for one in lock.packages:
        both = {(one.name, target) for target in one.targets}
        if not both or not seen.isdisjoint(both):
            raise _malformed()
        seen |= both
    order = [(one.name, one.version) for one in lock.packages]
    if (
        order != sorted(set(order))
        or list(lock.targets) != sorted(set(lock.targets))
        or lock.text() != text
    ):
        raise _malformed()


def _package(block: str, targets: tuple[Target, ...]) -> Package:
    values: dict[str, str] = {}
    files = []
    lines = iter(block.split("\n"))
    for line in lines:
        key, _, value = line.partition(" = ")
        if key == "wheels":
            for wheel in lines:
                if wheel == "]":
                    break
                files.append(_file(wheel.removeprefix("    ").removesuffix(",")))
        elif key == "sdist":
            files.append(_file(value))
        elif line:
            values[key] = value.removeprefix('"').removesuffix('"')
    name, version = values.get("name", ""), values.get("version", "")
    if not _NAME.fullmatch(name) or not _VERSION.fullmatch(version) or not files:
        raise _malformed()
    needed = frozenset(targets)
    if "marker" in values:
        known = _alternatives(targets)
        parts = [part.strip("()") for part in values["marker"].split(" or ")]
        if not known.keys() >= set(parts):
            raise _malformed()
        needed = frozenset[Target]().union(*(known[part] for part in parts))
    return Package(name, version, _sorted(files), needed)


def _file(text: str) -> File:
    match = _FILE.fullmatch(text)
    if match is None or not _FILE_NAME.fullmatch(match[1]):
        raise _malformed()
    return File(match[1], None if match[2] is None else int(match[2]), match[3])


def _target(marker: str) -> Target:
    values = _conditions(marker)
    if values.keys() != set(_VARIABLES) or not _SERIES.fullmatch(values["python_version"]):
        raise _malformed()
    python, system, machine = (values[name] for name in _VARIABLES)
    return Target(python, system, machine)


def _conditions(marker: str) -> dict[str, str]:
    parts = marker.removeprefix("(").removesuffix(")").split(" and ")
    found = [_EQUAL.fullmatch(part) for part in parts]
    if not all(found) or len(parts) > len(_VARIABLES):
        raise _malformed()
    return {match[1]: match[2] for match in found if match}


def _strings(text: str) -> list[str]:
    try:
        return [str(each) for each in json.loads(f"[{text}]")]
    except (ValueError, RecursionError) as error:
        raise _malformed() from error


def _sorted(files: Iterable[File]) -> tuple[File, ...]:
    return tuple(sorted(files, key=lambda file: (file.name, file.sha256)))


def _malformed() -> FormatError:
    return FormatError("The lock of the manifest is not of the form that prefect writes")


def _series(python: str) -> tuple[int, ...]:
    return tuple(int(part) for part in python.split("."))


def _conjunction(conditions: dict[str, str]) -> str:
    return " and ".join(f"{name} == '{value}'" for name, value in conditions.items())


def _marker(some: frozenset[Target], every: tuple[Target, ...]) -> str:
    """Return the marker that holds for some of the targets; "" where it is every one."""
    if len(some) == len(every):
        return ""
    texts = []
    left = set(some)
    for text, held in _alternatives(every).items():
        if held <= some and not held.isdisjoint(left):
            texts.append(text)
            left -= held
    if len(texts) == 1:
        return texts[0]
    return " or ".join(f"({text})" if " and " in text else text for text in texts)


@lru_cache(8)
def _alternatives(targets: tuple[Target, ...]) -> dict[str, frozenset[Target]]:
    """Return what a marker may be put together of, and for which targets each holds.

    In the order in which they are taken: few words before many.
    """
    found: dict[str, set[Target]] = {}
    for names in (_VARIABLES[:1], _VARIABLES[1:2], _VARIABLES[1:], _VARIABLES):
        for target in sorted(targets, key=lambda t: [t.variables()[name] for name in names]):
            text = _conjunction({name: target.variables()[name] for name in names})
            found.setdefault(text, set()).add(target)
    return {text: frozenset(held) for text, held in found.items()}
