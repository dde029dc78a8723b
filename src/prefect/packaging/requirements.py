"""Python dependencies, locked with hashes by uv for the Python and platform they will run on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.errors import RequirementsError

if TYPE_CHECKING:
    from collections.abc import Iterable

# What PEP 440 calls a version, without the local part that no index has.
_VERSION = re.compile(r"(\d+!)?\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?")
_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
# The newest glibc for which uv knows a platform of its own; wheels for older ones fit as well.
_NEWEST_GLIBC = 40
_OLDEST_GLIBC = 31


def lock(requirements: Iterable[str], *, python: str, platform: str) -> str:
    """Resolve requirements to a text of "name==version --hash=…" lines without any URL.

    Where the requirements leave a choice, the version that is installed here is taken, so that
    what runs elsewhere is what was tried here.

    requirements: PEP 508 lines, such as "pandas>=2".
    python: series of the Python that will install them, such as "3.11".
    platform: uv's name of the platform, from `platform_name`.

    Raises:
        RequirementsError: they contradict each other, or something does not exist; the message
            is the resolver's.
    """
    wanted = sorted({line.strip(" \t") for line in requirements if line.strip()})
    for line in wanted:
        _check(line)
    with tempfile.TemporaryDirectory(prefix="prefect-lock-") as directory:
        source, output = Path(directory, "requirements.in"), Path(directory, "requirements.lock")
        source.write_text("".join(f"{line}\n" for line in wanted))
        # uv reads an output that is already there as a set of preferences.
        output.write_text("".join(f"{line}\n" for line in _installed()))
        command = [_uv(), "pip", "compile", str(source), "--output-file", str(output)]
        command += ["--generate-hashes", "--no-header", "--no-annotate", "--quiet"]
        command += ["--no-emit-index-url", "--no-emit-find-links"]
        # Any interpreter will do: named, so that uv does not search the machine for that version.
        command += ["--python", sys.executable]
        command += ["--python-version", python, "--python-platform", platform]
        # A project's own uv settings are about that project, not about this image.
        environment = os.environ | {"UV_NO_CONFIG": "1", "NO_COLOR": "1"}
        # uv may run build scripts of what it resolves, which our keys are none of the business of.
        environment = {k: v for k, v in environment.items() if not k.startswith("PREFECT_")}
        done = subprocess.run(  # noqa: S603 - a fixed program; lines stand in a file
            command, capture_output=True, text=True, env=environment, check=False
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


def _installed() -> list[str]:
    found = {}
    for dist in metadata.distributions():
        name, version = dist.metadata["Name"], dist.metadata["Version"]
        # Linux distributions have versions of their own making, and some metadata are broken.
        if name and version and _VERSION.fullmatch(version):
            found[requirement_name(name)] = version
    return sorted(f"{name}=={version}" for name, version in found.items() if name != "prefect")


def _uv() -> str:
    try:
        from uv import find_uv_bin  # noqa: PLC0415 - images do without
    except ImportError as error:
        raise RequirementsError(
            "uv resolves the dependencies and is not installed: pip install uv"
        ) from error
    return str(find_uv_bin())
