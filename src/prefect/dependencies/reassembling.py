"""An installed distribution put together again as the wheel that it was, from its RECORD."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import sys
from configparser import ConfigParser
from configparser import Error as ConfigError
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.dependencies import records
from prefect.dependencies.wheels import Wheel, read_wheel, write_wheel
from prefect.errors import RequirementsError
from prefect.installed import normal_name

if TYPE_CHECKING:
    from collections.abc import Iterator

_WRITTEN_BY_INSTALLERS = frozenset(
    {"RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER", "REQUESTED", "direct_url.json"}
    | {"uv_cache.json", "uv_build.json"}
)


def reassemble(name: str, directory: Path) -> Wheel:
    """Put the wheel of an installed distribution together again.

    Args:
        name: of the distribution.
        directory: where the wheel is put.

    Raises:
        RequirementsError: it is not installed, or not from a wheel; it is an editable install; or a
            file is not what its RECORD says.
        OSError: a file cannot be read.
    """
    return reassemble_at(
        _directory_of(name), Path(sys.prefix), directory, origin="what is installed here"
    )


def reassemble_at(info: Path, prefix: Path, directory: Path, *, origin: str) -> Wheel:
    """Put the wheel of a distribution together again, wherever it is installed.

    Args:
        info: its directory of metadata.
        prefix: of the environment that it is installed in.
        directory: where the wheel is put.
        origin: of the wheel, as people know it.

    Raises:
        RequirementsError: a file is not what its RECORD says.
        OSError: a file cannot be read.
    """
    name = normal_name(info.name.partition("-")[0])
    site = info.parent
    programs = _entry_points(info)
    members: dict[str, tuple[bytes, bool]] = {}
    for path, told in _recorded(info):
        if "/__pycache__/" in f"/{path}" or path.startswith("__editable__"):
            continue
        if path.startswith(f"{info.name}/") and path.partition("/")[2] in _WRITTEN_BY_INSTALLERS:
            continue
        file = Path(os.path.normpath(site / path))
        target = path if not path.startswith("..") else _in_data(file, info, name, prefix)
        is_script = target.rpartition("/")[0].endswith(".data/scripts")
        if file.name in programs and (is_script or path == f"bin/{file.name}"):
            continue  # which whoever installs makes anew
        content = _read(file, told, name)
        if is_script:
            here = re.escape(os.fsencode(sys.prefix))  # whose Python installs, whatever the prefix
            content = re.sub(rb"\A#!" + here + rb"/bin/python[\d.]*", b"#!python", content)
        members[target] = content, bool(file.stat().st_mode & 0o100)
    tags = re.findall(r"^Tag: *(\S+)", (info / "WHEEL").read_text(), flags=re.MULTILINE)
    stem = info.name.removesuffix(".dist-info")
    made = directory / f"{stem}-{_compressed(tags)}.whl"
    return read_wheel(write_wheel(made, info.name, members), origin=origin)


def _directory_of(name: str) -> Path:
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError as error:
        raise RequirementsError(f"{name} is not installed here") from error
    infos = [one for one in found.files or () if str(one).endswith(".dist-info/RECORD")]
    if not infos:
        raise RequirementsError(
            f"{name} is installed here without a record of its files, and so cannot be taken along: "
            "install it again with uv or pip"
        )
    return Path(str(infos[0].locate())).parent


def _recorded(info: Path) -> Iterator[tuple[str, str]]:
    for row in records.rows(info / "RECORD"):
        yield row[0], row[1] if len(row) > 1 else ""


def _entry_points(info: Path) -> set[str]:
    parser = ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # names are as they are written
    try:
        parser.read(info / "entry_points.txt", encoding="utf-8")
    except ConfigError:
        return set()
    groups = ("console_scripts", "gui_scripts")
    return {name for group in groups if parser.has_section(group) for name in parser[group]}


def _in_data(file: Path, info: Path, name: str, prefix: Path) -> str:
    """Return where a wheel has a file that is installed elsewhere than in site-packages."""
    data = f"{info.name.removesuffix('.dist-info')}.data"
    if file.parent == prefix / "bin":
        return f"{data}/scripts/{file.name}"
    if file.is_relative_to(prefix / "include" / "site"):
        below = file.relative_to(prefix / "include" / "site").parts
        return "/".join([data, "headers", *below[2:]])
    if file.is_relative_to(prefix):
        return f"{data}/data/{file.relative_to(prefix).as_posix()}"
    raise RequirementsError(
        f"{name} has the file {file} outside of this environment, {prefix}, and so cannot be taken "
        "along: install it again, into it"
    )


def _read(file: Path, told: str, name: str) -> bytes:
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        raise RequirementsError(
            f"{file} of {name} is not there, though its RECORD lists it: install {name} again"
        ) from error
    algorithm, _, digest = told.partition("=")
    if algorithm in {"sha256", "sha384", "sha512"}:
        actual = base64.urlsafe_b64encode(hashlib.new(algorithm, content).digest()).decode()
        if actual.rstrip("=") != digest.rstrip("="):
            raise RequirementsError(
                f"{file} of {name} was changed after it was installed: install {name} again, or, as a "
                "project of your own, editably"
            )
    return content


def _compressed(tags: list[str]) -> str:
    """Return tags as a wheel's name has them: py2.py3-none-any of two."""
    parts = zip(*(tag.split("-") for tag in tags), strict=False)
    return "-".join(".".join(dict.fromkeys(part)) for part in parts)
