"""What a base image offers: its pinned name, its Python, its C library, its user."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.errors import ImageError
from prefect.oci.references import Reference
from prefect.oci.replacing import replacing
from prefect.packaging.requirements import platform_name

if TYPE_CHECKING:
    from prefect.oci.daemon import Engine, Image

_OLDEST_PYTHON = (3, 11)
_INTERPRETERS = ("python3", "python")
_PROBE_VERSION = 1  # counts up when the probe below asks for something else
# Runs in whatever Python the base has, so it is written for all of them.
_PROBE = """
import json, platform, sys
try:
    import ensurepip, venv
    has_venv = True
except ImportError:
    has_venv = False
print(json.dumps({
    "python": list(sys.version_info[:2]),
    "implementation": platform.python_implementation().lower(),
    "machine": platform.machine(),
    "libc": platform.libc_ver(),
    "venv": has_venv,
}))
"""


@dataclass(frozen=True, slots=True)
class BaseImage:
    """A base image that was looked into.

    reference: by digest when a registry gave one, else as it was named.
    interpreter: name of its Python program.
    python: its series, such as "3.11".
    platform: uv's name of its platform.
    user: as which its containers run; "" for root.
    """

    reference: str
    interpreter: str
    python: str
    platform: str
    user: str


def inspect_base(engine: Engine, reference: Reference, image: Image) -> BaseImage:
    """Look into a base image by asking its own Python.

    Raises:
        ImageError: it has no Python, one that is too old, or one that cannot make environments.
    """
    interpreter, found = _remembered(str(image.id)) or _probe(engine, reference, image)
    major, minor = found["python"]
    python = f"{major}.{minor}"
    if (major, minor) < _OLDEST_PYTHON or found["implementation"] != "cpython":
        raise ImageError(
            f"The base image {reference} has {found['implementation']} {python}; flows need "
            f"CPython {_OLDEST_PYTHON[0]}.{_OLDEST_PYTHON[1]} or newer. Choose another base, such "
            "as python:3.11-slim"
        )
    if not found["venv"]:
        raise ImageError(
            f"The Python of the base image {reference} lacks venv and ensurepip. Add them to the "
            "base (on Debian: apt-get install python3-venv), or choose a base such as "
            f"python:{python}-slim"
        )
    libc, version = found["libc"]
    glibc = None
    if libc == "glibc":
        glibc_major, glibc_minor = version.split(".")[:2]
        glibc = (int(glibc_major), int(glibc_minor))
    return BaseImage(
        reference=pinned(reference, image),
        interpreter=interpreter,
        python=python,
        platform=platform_name(found["machine"], glibc),
        user=image.attrs.get("Config", {}).get("User") or "",
    )


def pinned(reference: Reference, image: Image) -> str:
    """Return the image's name by digest, where a registry of that name gave it one."""
    if reference.digest:
        return str(reference)
    for digest in image.attrs.get("RepoDigests") or ():
        if Reference.parse(digest).name == reference.name:
            return str(digest)
    return str(reference)


def _probe(engine: Engine, reference: Reference, image: Image) -> tuple[str, dict[str, Any]]:
    for interpreter in _INTERPRETERS:
        try:
            status, out, err = engine.run_to_end(str(image.id), [interpreter], ["-c", _PROBE])
        except FileNotFoundError:
            continue
        if status == 0:
            try:
                found = json.loads(out.splitlines()[-1])  # a base may print a greeting first
            except (ValueError, IndexError) as error:
                raise ImageError(
                    f"The Python of the base image {reference} does not tell what it is: {out!r:.200}"
                ) from error
            _remember(str(image.id), interpreter, found)
            return interpreter, found
        raise ImageError(f"The Python of the base image {reference} does not run:\n{err or out}")
    raise ImageError(
        f"The base image {reference} has no Python ({' or '.join(_INTERPRETERS)} on its PATH). "
        "Choose one that has it, such as python:3.11-slim"
    )


def _memory(image_id: str) -> Path:
    # An image's id is the digest of its content: what was found once is true for ever.
    cache = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(cache, "prefect", "base-images", f"{image_id.removeprefix('sha256:')}.json")


def _remembered(image_id: str) -> tuple[str, dict[str, Any]] | None:
    try:
        version, interpreter, found = json.loads(_memory(image_id).read_text())
    except (OSError, ValueError, RuntimeError):  # the last where there is no home directory
        return None
    return (interpreter, found) if version == _PROBE_VERSION else None


def _remember(image_id: str, interpreter: str, found: dict[str, Any]) -> None:
    # A cache that cannot be written costs time and nothing else.
    with suppress(OSError, RuntimeError), replacing(_memory(image_id)) as file:
        file.write(json.dumps([_PROBE_VERSION, interpreter, found]).encode())
