"""Wheels that travelled with a flow: importable for as long as it runs, if they are not installed here."""

from __future__ import annotations

import csv
import io
import sys
from contextlib import contextmanager, suppress
from importlib import invalidate_caches
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.engine.executors.base import ARCHIVES
from prefect.errors import ArtifactError, CompatibilityError
from prefect.installed import distribution_directories, normal_name
from prefect.patterns import pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from zipfile import ZipFile

    from prefect.payload.manifest import Manifest
    from prefect.pylock import Lock

_LIBRARIES = pattern(r"[^/]+\.data/(?:pure|plat)lib/(.+)")
_INFO = pattern(r"([^/]+)-([^/-]+)\.dist-info/RECORD")


@contextmanager
def importable_wheels(directory: Path) -> Iterator[None]:
    """Have what wheels hold be found by imports, and by `importlib.metadata`, for a while.

    It is found before what is installed here, unless that is the same in version and content. A
    module that was imported already stays what it is.

    Args:
        directory: has the wheels, and gets what is in them.

    Raises:
        CompatibilityError: a wheel has machine code that is not for here.
        ArtifactError: one is no wheel.
        OSError: the disk is full.
    """
    site = directory / "site-packages"
    site.mkdir()
    archives: list[Path] = []
    for name in fitting(path.name for path in directory.glob("*.whl")):
        wheel = directory / name
        _unpack(wheel, site)
        if _is_built_for_it(wheel):  # Dask tells archives by their names
            archives.append(wheel.with_suffix(".zip"))
            archives[-1].hardlink_to(wheel)
    place = str(site)
    sys.path.insert(0, place)
    invalidate_caches()
    ARCHIVES.extend(archives)
    try:
        yield
    finally:
        for archive in archives:
            ARCHIVES.remove(archive)
        with suppress(ValueError):  # somebody else took it out
            sys.path.remove(place)
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None) or "").startswith(f"{place}/"):
                del sys.modules[name]


def _is_built_for_it(wheel: Path) -> bool:
    """Tell whether a wheel was built for the flow, as no index has it: then nothing in it is packed."""
    import zipfile  # noqa: PLC0415 - as below

    with zipfile.ZipFile(wheel) as archive:
        packed = any(member.compress_type for member in archive.infolist())
    return not packed and wheel.name.endswith("-none-any.whl")


def _unpack(wheel: Path, site: Path) -> None:
    for name, content in files_of(wheel, absent=True):
        target = site / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def files_of(wheel: Path, *, absent: bool = False) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a wheel on disk as `wheel_files` does.

    Args:
        absent: yield nothing where the same is installed here.

    Raises:
        ArtifactError: it is none.
    """
    import zipfile  # noqa: PLC0415 - slow to import, and few flows bring wheels

    try:
        with zipfile.ZipFile(wheel) as archive:
            if not absent or not _is_installed(archive):
                yield from wheel_files(archive)
    except ArtifactError:
        raise
    except (zipfile.BadZipFile, ValueError, KeyError) as error:
        raise ArtifactError(f"The wheel {wheel.name} is none: {error}") from error


def wheel_files(wheel: ZipFile) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a wheel as they are installed: paths below site-packages, and contents.

    Raises:
        ArtifactError: one would be outside of it.
    """
    for member in wheel.infolist():
        if member.is_dir():
            continue
        name = member.filename
        if match := _LIBRARIES.fullmatch(name):
            name = match[1]
        if name.startswith("/") or ".." in name.split("/"):
            raise ArtifactError(f"The wheel {wheel.filename} has a file outside of itself: {name}")
        yield name, wheel.read(member)


def own_distributions(manifest: Manifest, lock: Lock) -> frozenset[str]:
    """Return the user's own of what travels as wheels, by normalised names; the rest an index has.

    Such a wheel stands in the lock with the hash that it has; what was taken along of an index was put
    together again, and has another.
    """
    hashes = {entry["sha256"] for entry in manifest.wheels.values()}
    return frozenset(
        one.name for one in lock.packages if any(file.sha256 in hashes for file in one.files)
    )


def fitting(names: Iterable[str]) -> list[str]:
    """Return, of each distribution's wheels, the one that fits this Python and machine best.

    Raises:
        CompatibilityError: there is a distribution none of whose wheels fits.
        ArtifactError: a name is no wheel's.
    """
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        found.setdefault(normal_name(name.partition("-")[0]), []).append(name)
    return [_best(wheels) for wheels in found.values()]


def _best(wheels: list[str]) -> str:
    if len(wheels) == 1 and wheels[0].endswith("-none-any.whl"):
        return wheels[0]
    # For machine code alone.
    from packaging.tags import sys_tags  # noqa: PLC0415
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename  # noqa: PLC0415

    try:
        tags = {name: parse_wheel_filename(name)[3] for name in wheels}
    except InvalidWheelFilename as error:
        raise ArtifactError(f"This flow brings what is no wheel: {error}") from error
    for tag in sys_tags():
        for name, own in tags.items():
            if tag in own:
                return name
    raise CompatibilityError(
        f"This flow brings {', '.join(wheels)}, whose machine code is not for this Python and machine. "
        "Run it where it fits, or build it for this place: --for and --python, or -r PATH/NAME.whl"
    )


def _is_installed(archive: ZipFile) -> bool:
    """Tell whether what a wheel holds is installed here, by its RECORD and the one here."""
    record = next((name for name in archive.namelist() if _INFO.fullmatch(name)), "")
    match = _INFO.fullmatch(record)
    if match is None:
        raise ValueError("it has no RECORD")
    wanted = (normal_name(match[1]), match[2])
    for name, version, directory in distribution_directories():
        if name == wanted[0]:
            if version != wanted[1]:
                return False
            try:
                here = Path(directory, "RECORD").read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                return False
            return _hashes(archive.read(record).decode()) <= _hashes(here)
    return False


def _hashes(record: str) -> set[tuple[str, str]]:
    """Return the paths and hashes that a RECORD lists, but for what is about the distribution."""
    rows = (row for row in csv.reader(io.StringIO(record)) if row)
    return {(row[0], row[1]) for row in rows if ".dist-info/" not in row[0]}
