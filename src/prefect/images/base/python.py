"""Finding the Python and the C library of a base image in its files, without running them."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Protocol

from prefect.errors import ImageError
from prefect.oci.platforms import machine_of
from prefect.patterns import pattern

if TYPE_CHECKING:
    from collections.abc import Mapping

OLDEST = (3, 11)
_NEWEST = 40  # no minor release of Python 3 will have a greater number soon
# As container engines set it for an image that sets none.
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What a search may ask for, by paths without a leading slash.
WANTED = pattern(
    r"(?:^|/)(?:(?:python|pypy)[\d.]*|lib(?:64)?/(?:python|pypy)3\.\d+/os\.pyc?"
    r"|lib(?:64|32)?/(?:[\w-]+/)?libc\.so\.6|lib(?:64|32)?/(?:[\w-]+/)?libc-2\.\d+\.so"
    r"|lib/ld-musl-\w+\.so\.1)$"
)
_GLIBC = pattern(rb"GNU C Library [^\n]{0,200}?version (\d+)\.(\d+)")


class Files(Protocol):
    """The files of an image."""

    def follow(self, path: str) -> str | None:
        """Return the absolute path of what a path leads to, or None if there is nothing."""

    def read(self, path: str) -> bytes:
        """Return a file's content, or raise FileNotFoundError."""


def declared_python(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """Return interpreter and series where the config tells them, as the official images' does.

    Others have a variable of that name, too: their files are asked, as are those of an old Python,
    so that it is refused as such.
    """
    version = re.match(r"3\.(\d+)\.", environment.get("PYTHON_VERSION", ""))
    official = not {"GPG_KEY", "PYTHON_SHA256"}.isdisjoint(environment)
    first = environment.get("PATH", "").startswith("/usr/local/bin:")
    if not (version and official and first) or int(version[1]) < OLDEST[1]:
        return None
    return f"/usr/local/bin/python3.{version[1]}", f"3.{version[1]}"


def declared_version(environment: Mapping[str, str]) -> str | None:
    """Return the whole version of the Python that `declared_python` tells of, such as "3.11.9"."""
    version = environment.get("PYTHON_VERSION", "")
    known = declared_python(environment) and re.fullmatch(r"3\.\d+\.\d+\w*", version, re.ASCII)
    return version if known else None


def find_python(files: Files, environment: Mapping[str, str], name: object) -> tuple[str, str]:
    """Find the interpreter that `python3` starts, and its series.

    Raises:
        ImageError: there is none, or it is no CPython that flows can use; it says what to do.
    """
    directories = (environment.get("PATH") or DEFAULT_PATH).split(":")
    for program in ("python3", "python"):
        for directory in directories:
            found = files.follow(posixpath.join("/", directory, program))
            if found is not None:
                return found, _checked_series(files, found, name)
    raise ImageError(
        f"The base image {name} has no Python (no python3 or python on its PATH). Choose one that "
        "has it, such as python:3.11-slim"
    )


def find_libc(
    files: Files, architecture: str, interpreter: str, name: object
) -> tuple[int, int] | None:
    """Return the version of the glibc that an image's programs use, or None for musl.

    Raises:
        ImageError: it has neither, or a glibc that does not tell its version.
    """
    machine = machine_of(architecture)
    musl = files.follow(f"/lib/ld-musl-{machine}.so.1")
    places = [f"/lib/{machine}-linux-gnu", f"/usr/lib/{machine}-linux-gnu"]  # Debian's
    places += ["/lib64", "/usr/lib64", "/lib", "/usr/lib"]
    glibc = next((p for d in places if (p := files.follow(f"{d}/libc.so.6"))), None)
    if glibc is not None and musl is not None:  # a system of one, with the other as a package
        try:
            program = files.read(interpreter)
        except FileNotFoundError:
            program = b""
        musl = musl if b"/ld-musl-" in program[:4096] else None
    if musl is not None:
        return None
    if glibc is not None and (match := _GLIBC.search(files.read(glibc))):
        return int(match[1]), int(match[2])
    raise ImageError(
        f"The C library of the base image {name} cannot be told: it has neither glibc nor musl "
        "where they are expected. Choose another base, such as python:3.11-slim"
    )


def _checked_series(files: Files, interpreter: str, name: object) -> str:
    program = posixpath.basename(interpreter)
    head = files.read(interpreter)[:4]
    if head[:2] == b"#!":
        raise ImageError(
            f"{interpreter} in the base image {name} is a script that starts some Python. Put the "
            "directory of that Python first on the image's PATH"
        )
    if program.startswith("pypy"):
        raise ImageError(
            f"The base image {name} has {program}; flows need CPython. Choose another base, such "
            "as python:3.11-slim"
        )
    if re.fullmatch(r"python3\.\d+t", program):
        raise ImageError(
            f"The base image {name} has {program}, a Python without the lock of its interpreter, for "
            "which most wheels are not made. Choose another base, such as python:3.11-slim"
        )
    series = _series(files, interpreter)
    if series is None:
        raise ImageError(
            f"The base image {name} has a Python, {interpreter}, that does not tell its version: "
            "its standard library is not beside it. Choose another base, such as python:3.11-slim"
        )
    minor = int(series.split(".")[1])
    if minor < OLDEST[1]:
        raise ImageError(
            f"The base image {name} has CPython {series}; flows need CPython "
            f"{OLDEST[0]}.{OLDEST[1]} or newer. Choose another base, such as python:3.11-slim"
        )
    return series


def _series(files: Files, interpreter: str) -> str | None:
    if match := re.fullmatch(r"python(3\.\d+)", posixpath.basename(interpreter)):
        return match[1]
    prefix = posixpath.dirname(posixpath.dirname(interpreter))
    found = [
        f"3.{minor}"
        for minor in range(_NEWEST)
        for lib in ("lib", "lib64")
        if files.follow(f"{prefix}/{lib}/python3.{minor}/os.py")
    ]
    return found[0] if len(set(found)) == 1 else None
