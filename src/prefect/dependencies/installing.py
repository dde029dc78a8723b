"""Locked distributions as files for an image's prefix: uv installs, nothing here resolves.

uv installs for another Python and platform into a staging directory. Its files are copies, compared with
the RECORD that lists them, for uv's cache may be edited: what is in virtual environments are hard links
into it. What uv wrote for this machine, the interpreter in
console scripts and its series in paths, becomes the image's own while the files are listed.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import posixpath
import re
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.dependencies import records
from prefect.dependencies.targets import c_library_told
from prefect.dependencies.uv import (
    UNREACHABLE,
    call,
    installing_environment,
    is_unreachable,
    refuse_disk,
    source_options,
    uv_program,
)
from prefect.errors import IndexUnreachableError, RequirementsError
from prefect.frozen import frozen
from prefect.oci.layers.writing import Entry
from prefect.patterns import pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from prefect.dependencies.lock import Distribution

_SERIES = f"python{sys.version_info.major}.{sys.version_info.minor}"
# Where uv puts packages and headers depends on how this Python was built.
_PACKAGES = pattern(rf"(?:local/)?lib(?:64)?/{re.escape(_SERIES)}/(?:site|dist)-packages/")
_HEADERS = pattern(rf"include/(site/)?{re.escape(_SERIES)}/")
# What uv writes where the interpreter's path is too long for a first line, or has a space.
_LONG = pattern(rb"#!/bin/sh\n'''exec' [^\n]* \"\$0\" \"\$@\"\n' '''\n")
_LEFT_BY_UV = frozenset({".lock", ".gitignore", "CACHEDIR.TAG"})
_ENVIRONMENT = pattern(r"pyvenv\.cfg|bin/(python[\d.]*|activate.*)|flow(/.*)?")
# What uv itself finds: files for elsewhere than site-packages that the RECORD lacks, and other nonsense.
_MALFORMED = pattern(
    r"Failed to install: \S+ \(([A-Za-z0-9._-]+)==[^)]*\)\s[^\n]*(?:`RECORD`|wheel is invalid)"
)
_OTHER_HASH = pattern(r"Hash mismatch for `([^`]+)`")


def install(
    distributions: Sequence[Distribution],
    directory: Path,
    *,
    python: str,
    platform: str,
    prefix: str,
    sources: Collection[str] = (),
    links: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Installed]:
    """Install distributions into a new directory; return each one's files for the prefix, by name.

    A file belongs to the distribution whose RECORD lists it. Where two list one path with other
    contents, they are installed again, each by itself, so that what belongs to one never depends on
    which others there are. Both then have the file, and in the image that counts whose layer, or name
    in one layer, comes later. A file that is in no RECORD is refused.

    Args:
        directory: on the file system of the result; the entries' files stay in it.
        prefix: where the image has them, such as "/opt/prefect".
        sources: names of those that are built here where they have no wheel that fits.
        links: a directory that has their wheels; no index is asked then.
        progress: gets lines of uv's while it downloads.

    Raises:
        RequirementsError: there is no wheel for this Python and platform, or it is malformed, or
            cannot be had; what was built is for this machine alone; or a file is not what its RECORD
            says, or in none.
        DiskFullError, SettingError: uv's cache has no space, or cannot be used.
        OSError: the directory has no space.
    """
    put = partial(
        _install, directory=directory, python=python, platform=platform, prefix=prefix,
        progress=progress, links=links,
    )  # fmt: skip
    built: dict[str, Installed] = {}
    for one in distributions:
        if one.name in sources:
            try:
                built |= put([one])
            except _NoWheelError:
                built |= put([one], build=True)
    rest = [one for one in distributions if one.name not in sources]
    return built | (put(rest) if rest else {})


@frozen
class Installed:
    """A distribution's files.

    Args:
        unproven: paths of those for which its RECORD has no hash: nothing says what they should be.
    """

    entries: Sequence[Entry] = ()
    unproven: Sequence[str] = ()


class _NoWheelError(RequirementsError):
    """There is no wheel for the image's Python and platform."""


def _install(
    distributions: Sequence[Distribution],
    directory: Path,
    *,
    python: str,
    platform: str,
    prefix: str,
    progress: Callable[[str], None] | None,
    links: Path | None,
    build: bool = False,
) -> dict[str, Installed]:
    stage = Path(tempfile.mkdtemp(dir=directory, prefix="stage-"))
    interpreter = os.path.abspath(sys.executable)  # noqa: PTH100 - and no links resolved: it is quoted
    run_uv(distributions, stage, interpreter, python, platform, progress, links, build=build)
    staged = dict(_walk(stage))
    if build:
        _require_pure(staged)
    for name in _LEFT_BY_UV:
        staged.pop(name, None)
    names = {one.name for one in distributions}
    owners = {name: paths for name, paths in records.owners(staged).items() if name in names}
    listed: dict[str, set[str]] = {}
    for paths in owners.values():
        for path, fingerprint in paths.items():
            listed.setdefault(path, set()).add(fingerprint)
    for path in [path for path in staged.keys() - listed.keys() if records.stands_beside(path)]:
        del staged[path]
    result: dict[str, Installed] = {}
    if len(names) == 1:
        (name,) = names
        records.require_listed(name, owners.setdefault(name, {}), staged)
    else:
        strays = staged.keys() - listed.keys()
        disputed = {path for path, fingerprints in listed.items() if len(fingerprints) > 1}
        for one in distributions:
            # By itself, one whose file is in no RECORD is refused by its name.
            if strays or not disputed.isdisjoint(owners.get(one.name, ())):
                result |= _install(
                    [one], directory, python=python, platform=platform, prefix=prefix,
                    progress=progress, links=links,
                )  # fmt: skip
    for name in owners.keys() - result.keys():
        unproven = records.require_recorded(name, owners[name], staged)
        own = sorted(owners[name].keys() & staged.keys())
        entries = _entries(name, own, staged, interpreter, python, prefix)
        result[name] = Installed(entries, unproven)
    return result


def run_uv(
    distributions: Iterable[Distribution],
    stage: Path,
    interpreter: str,
    python: str,
    platform: str,
    progress: Callable[[str], None] | None,
    links: Path | None,
    *,
    build: bool,
) -> None:
    """Have uv install distributions, each checked by its hashes, below a directory.

    Args:
        stage: the directory.
        interpreter: path of the Python that scripts are to name.
        python: series of the Python that they are for.
        platform: uv's name of the platform that they are for.
        progress: gets lines of uv's while it downloads.
        links: a directory that has their wheels; no index is asked then.
        build: whether build scripts may run.

    Raises:
        RequirementsError: there is no wheel, it is malformed, or cannot be had.
        IndexUnreachableError: no index answers.
        DiskFullError, SettingError: uv's cache has no space, or cannot be used.
    """
    lock = stage.with_name(f"{stage.name}.lock")
    lock.write_text("".join(one.text for one in distributions))
    command = [uv_program(), "pip", "install", "--prefix", str(stage), "--python", interpreter]
    command += ["--python-version", python, "--python-platform", platform, "--no-deps"]
    command += ["--link-mode", "copy"]
    command += source_options(one.name for one in distributions if build)
    if links is not None:  # and nothing of them stays in uv's cache, where no build finds it again
        command += ["--no-index", "--find-links", str(links), "--no-cache"]
    command += ["--require-hashes", "--requirements", str(lock)]
    environment = installing_environment(builds=build) | {"UV_COMPILE_BYTECODE": "0"}
    if reason := call(command, environment, progress):
        refuse_disk(reason, stage)
        reason = reason.replace(f"{stage.parent}/", "")
        where = f"The dependencies cannot be installed for Python {python} on {platform}."
        told = f"uv says:\n{reason}"
        if is_unreachable(reason):
            raise IndexUnreachableError(f"{where} {UNREACHABLE} {told}")
        if altered := _MALFORMED.search(reason):
            cause = f"Perhaps {records.cleaning(altered[1])}."
            raise RequirementsError(f"{where} {cause} {told}")
        if other := _OTHER_HASH.search(reason):
            raise RequirementsError(
                f"{where} The file of {other[1]} that fits has none of the hashes that are locked: the lock "
                "was made for another Python or platform, or the file of another index, or an altered one, "
                f"is taken. Lock anew, with --relock (relock=True) or the project's own tool. {told}"
            )
        if "wheel" not in reason:
            raise RequirementsError(f"{where} {told}")
        raise _NoWheelError(
            f"{where} Only wheels can be installed for another machine."
            f"{c_library_told(platform, python)} Ask for a version "
            "that has one, or for a base image with another Python; allow what is plain Python to be "
            "built here from its source, with --allow-source NAME, or "
            "ContainerEnvironment(..., allow_source=[NAME]); or let a container engine build the image "
            f"from `create_dockerfile`, whose pip can build from source. {told}"
        )


def _require_pure(staged: Mapping[str, Path]) -> None:
    """Refuse what was compiled here, for this machine's C library."""
    for path, file in staged.items():
        if path.endswith(".dist-info/WHEEL"):
            tags = re.findall(r"^Tag: *(\S+)", file.read_text(), flags=re.MULTILINE)
            if not all(tag.endswith("-none-any") for tag in tags):
                raise RequirementsError(
                    f"{records.distribution_name(posixpath.basename(posixpath.dirname(path)))} was built for "
                    f"this machine ({', '.join(tags)}), and images have another C library: let a "
                    "container engine build the image from `create_dockerfile`, or ask for a version "
                    "that has a wheel"
                )


def _walk(directory: Path) -> Iterator[tuple[str, Path]]:
    for base, directories, files in os.walk(directory):
        # A wheel's own bytecode is of unknown origin; ours is made from the sources.
        directories[:] = [name for name in directories if name != "__pycache__"]
        below = Path(base).relative_to(directory).as_posix()
        start = "" if below == "." else f"{below}/"
        for name in files:
            yield f"{start}{name}", Path(base, name)


def _entries(
    name: str,
    paths: Sequence[str],
    staged: Mapping[str, Path],
    interpreter: str,
    python: str,
    prefix: str,
) -> list[Entry]:
    root = prefix.strip("/")
    entries, rewritten, record = [], {}, None
    for path in paths:
        target = _image_path(path, python)
        if _ENVIRONMENT.fullmatch(target):
            raise RequirementsError(
                f"{name} would replace {prefix}/{target}, which is not a package's to replace: "
                "leave it out"
            )
        file = staged[path]
        if target.endswith(".dist-info/RECORD"):
            record = path
            continue
        content: bytes | Path = file
        executable = bool(file.stat().st_mode & 0o100)
        if target.startswith("bin/") and (script := _script(file, interpreter, prefix)):
            content = rewritten[path] = script
        entries.append(Entry(f"{root}/{target}", content, executable))
    if record is not None:
        target = _image_path(record, python)
        content = _record(record, staged[record], rewritten, python)
        entries.append(Entry(f"{root}/{target}", content))
    return sorted(entries, key=lambda entry: entry.path)


def _image_path(path: str, python: str) -> str:
    path = _PACKAGES.sub(f"lib/python{python}/site-packages/", path, count=1)
    return _HEADERS.sub(rf"include/\1python{python}/", path, count=1)


def _script(file: Path, interpreter: str, prefix: str) -> bytes | None:
    """Return a script for the image's interpreter; None if it is not for this machine's."""
    with file.open("rb") as opened:
        if opened.read(2) != b"#!":
            return None
    text, here = file.read_bytes(), os.fsencode(interpreter)
    if long := _LONG.match(text):
        rest = text[long.end() :]
    elif re.match(rb"#!" + re.escape(here) + rb"[\s]", text):
        arguments, _, rest = text[2 + len(here) :].partition(b"\n")
        if arguments.strip():
            rest = b" ".join([b"", *arguments.split()]) + b"\n" + rest
            return f"#!{prefix}/bin/python".encode() + rest
    else:
        return None
    return f"#!{prefix}/bin/python\n".encode() + rest


def _record(path: str, file: Path, rewritten: Mapping[str, bytes], python: str) -> bytes:
    """Return a RECORD for the image: its own paths, and hashes of what was rewritten."""
    site = posixpath.dirname(posixpath.dirname(path))
    new_site = posixpath.dirname(posixpath.dirname(_image_path(path, python)))
    rows = []
    for row in records.rows(file):
        if "/__pycache__/" in f"/{row[0]}":
            continue
        staged = posixpath.normpath(posixpath.join(site, row[0]))
        rest = row[1:]
        if staged in rewritten:
            digest = base64.urlsafe_b64encode(hashlib.sha256(rewritten[staged]).digest())
            rest = [f"sha256={digest.decode().rstrip('=')}", str(len(rewritten[staged]))]
        if not staged.startswith(f"{site}/"):
            row[0] = posixpath.relpath(_image_path(staged, python), new_site)
        rows.append([row[0], *rest])
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(sorted(rows))
    return text.getvalue().encode()
