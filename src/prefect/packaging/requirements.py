"""Python dependencies, locked with hashes by uv for the Python and platform they will run on."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.errors import RequirementsError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prefect.oci.store import Store

# What PEP 440 calls a version, without the local part that no index has.
_VERSION = re.compile(r"(\d+!)?\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?")
_INSTALLED = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)(-py[\d.]+)?\.(dist|egg)-info")
_FRESH = 24 * 3600  # seconds
_SEPARATORS = re.compile(r"[\s,=]+|file://")
_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
# The newest glibc for which uv knows a platform of its own; wheels for older ones fit as well.
_NEWEST_GLIBC = 40
_FORMAT = 1  # counts up when uv is asked in another way
_OLDEST_GLIBC = 31


def lock(
    requirements: Iterable[str], *, python: str, platform: str, store: Store | None = None
) -> str:
    """Resolve requirements to a text of "name==version --hash=…" lines without any URL.

    Where the requirements leave a choice, the version that is installed here is taken, so that
    what runs elsewhere is what was tried here.

    requirements: PEP 508 lines, such as "pandas>=2".
    python: series of the Python that will install them, such as "3.11".
    platform: uv's name of the platform, from `platform_name`.
    store: remembers the answer for a day, as long as the requirements, what is installed here, uv
        and its variables stay the same. A release is thus taken up the day after, where neither a
        requirement nor an installed version says which to take; clearing the cache asks anew.

    Raises:
        RequirementsError: they contradict each other, or something does not exist; the message
            is the resolver's.
    """
    wanted = sorted({line.strip(" \t") for line in requirements if line.strip()})
    for line in wanted:
        _check(line)
    installed = _installed()
    key = "" if store is None else _lock_key(wanted, installed, python, platform)
    if store is not None and isinstance(text := store.recall(key, max_age=_FRESH), str):
        return text
    text = _resolve(wanted, installed, python, platform)
    if store is not None:
        store.remember(key, text)
    return text


def _resolve(wanted: list[str], installed: list[str], python: str, platform: str) -> str:
    with tempfile.TemporaryDirectory(prefix="prefect-lock-") as directory:
        source, output = Path(directory, "requirements.in"), Path(directory, "requirements.lock")
        source.write_text("".join(f"{line}\n" for line in wanted))
        # uv reads an output that is already there as a set of preferences.
        output.write_text("".join(f"{line}\n" for line in installed))
        command = [uv_program(), "pip", "compile", str(source), "--output-file", str(output)]
        command += ["--generate-hashes", "--no-header", "--no-annotate", "--quiet"]
        command += ["--no-emit-index-url", "--no-emit-find-links"]
        # Any interpreter will do: named, so that uv does not search the machine for that version.
        command += ["--python", sys.executable]
        command += ["--python-version", python, "--python-platform", platform]
        done = subprocess.run(  # noqa: S603 - a fixed program; lines stand in a file
            command, capture_output=True, text=True, env=uv_environment(), check=False
        )
        if done.returncode:
            reason = done.stderr.replace(f"{directory}/", "").strip()
            raise RequirementsError(
                f"The dependencies {', '.join(wanted)} cannot be resolved for Python {python} on "
                f"{platform}:\n{reason}"
            )
        return output.read_text()


def platform_name(machine: str, glibc: tuple[int, int] | None) -> str:
    """Return uv's name for a Linux of this machine type and C library (None means musl)."""
    if glibc is None:
        return f"{machine}-unknown-linux-musl"
    major, minor = glibc
    if major != 2 or minor < _OLDEST_GLIBC:  # noqa: PLR2004 - glibc has been 2.x since 1997
        return f"{machine}-manylinux_2_{28 if minor >= 28 else 17}"  # noqa: PLR2004
    return f"{machine}-manylinux_2_{min(minor, _NEWEST_GLIBC)}"


def requirement_name(line: str) -> str:
    """Return the normalised name of the distribution that a requirement line asks for."""
    match = _NAME.match(line)
    return re.sub(r"[-_.]+", "-", match[1]).lower() if match else ""


def uv_environment() -> dict[str, str]:
    """Return the environment variables for uv: this process's, without what is not uv's business."""
    # uv may run build scripts of what it resolves, which our keys are none of the business of.
    own = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    # uv fails where its cache cannot be, which to a build is a matter of speed.
    if "UV_CACHE_DIR" not in own and not _has_cache():
        own["UV_NO_CACHE"] = "1"
    # A project's own uv settings are about that project, not about this image.
    return own | {"UV_NO_CONFIG": "1", "NO_COLOR": "1"}


def _has_cache() -> bool:
    try:
        place = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # there is no home
        return False
    while not place.exists():
        place = place.parent
    return place.is_dir() and os.access(place, os.W_OK | os.X_OK)


def uv_program() -> str:
    """Return the path of uv.

    Raises:
        RequirementsError: it is not installed.
    """
    try:
        from uv import find_uv_bin  # noqa: PLC0415 - images do without
    except ImportError as error:
        raise RequirementsError(
            "uv resolves the dependencies and is not installed: pip install uv"
        ) from error
    return str(find_uv_bin())


def _check(line: str) -> None:
    if "://" in line or re.search(r"\s@\s", line):
        raise RequirementsError(
            f"{requirement_name(line)!r} is asked for by an address. A lock has hashes and no "
            "addresses, which may hold passwords: publish it to an index, or install it in the base"
        )
    odd = not line.isprintable() or not requirement_name(line)
    if odd or line.startswith(("-", "#", "/", ".")):
        raise RequirementsError(
            f"{line!r} is not a requirement: write a name and, where it matters, a version, "
            "such as 'pandas>=2'"
        )
    if requirement_name(line) == "prefect":
        raise RequirementsError(
            "prefect must not be among the dependencies: every image gets the very prefect that "
            "builds it"
        )


def _lock_key(wanted: list[str], installed: list[str], python: str, platform: str) -> str:
    # Which index answers is a matter of variables, whose values may be passwords.
    variables = sorted(
        (name, value, [_stamp(part) for part in _paths(value)])
        for name, value in os.environ.items()
        if name.startswith(("UV_", "PIP_"))
    )
    program = Path(uv_program()).stat()
    uv = [program.st_size, program.st_mtime_ns]
    inputs = [_FORMAT, wanted, installed, python, platform, uv, variables]
    return f"lock {hashlib.sha256(json.dumps(inputs).encode()).hexdigest()}"


def _paths(value: str) -> list[str]:
    """Return what may be a path in a variable: all of it, an item of a list, a file's URL."""
    return sorted({value, *_SEPARATORS.split(value)} - {""})


def _stamp(value: str) -> int | None:
    """Return when the file or directory that a variable names was changed, such as constraints."""
    try:
        return Path(value).stat().st_mtime_ns
    except (OSError, ValueError):
        return None


def _installed() -> list[str]:
    found: dict[str, str] = {}
    # The names of the directories say it all, and opening what is in them takes a hundred times
    # as long (the PyPA's specification "Recording installed projects").
    for directory in sys.path:
        with suppress(OSError):
            for entry in sorted(os.listdir(directory or ".")):  # noqa: PTH208 - names alone
                match = _INSTALLED.fullmatch(entry)
                # Linux distributions have versions of their own making.
                if match and _VERSION.fullmatch(version := match["version"].replace("_", "-")):
                    found.setdefault(requirement_name(match["name"]), version)
    return sorted(f"{name}=={version}" for name, version in found.items() if name != "prefect")
