"""Requirement lines as a command is given them: each by itself, or in files of such lines."""

from __future__ import annotations

from pathlib import Path

import click

from prefect.errors import PrefectError
from prefect.files import read_small_text
from prefect.patterns import pattern

_PACKAGES = (".whl", ".tar.gz", ".zip")
_NAMES_FILE = pattern(r"(?:-r|--requirement)[\s=]+(\S.*)")
_CONTINUED = "\0"  # in no requirement


def requirement_lines(requirements: tuple[str, ...]) -> list[str] | None:
    """Return requirement lines, also those of files; None where there are none.

    Raises:
        click.ClickException: a file cannot be read, is not there, or has options of pip's.
    """
    if not requirements:
        return None
    from prefect.dependencies.own import near, own_line  # noqa: PLC0415 - for these alone

    lines: list[str] = []
    for requirement in requirements:
        path = Path(requirement)
        own = own_line(requirement)
        if path.is_file() and not path.name.endswith(_PACKAGES):
            lines += _lines_of(path, ())
        elif own is not None and own.path is not None:
            if not own.path.exists():
                raise click.UsageError(f"-r {requirement}: there is no {own.path}{near(own.path)}")
            lines.append(_anchored(requirement))
        elif path.suffix == ".txt":
            raise click.UsageError(f"There is no requirements file {requirement}{near(path)}")
        else:
            lines.append(requirement)
    return lines


def _lines_of(path: Path, above: tuple[Path, ...]) -> list[str]:
    """Return the requirement lines of a file, and of those that it names by -r."""
    try:
        text = read_small_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise click.FileError(str(path), str(error)) from error
    lines: list[str] = []
    number = 1
    for each in text.replace("\\\n", _CONTINUED).split("\n"):
        where = f"{path}, line {number}"
        number += 1 + each.count(_CONTINUED)
        line = each.replace(_CONTINUED, " ").strip().partition(" #")[0].strip()
        if not line or line.startswith("#"):
            continue
        if named := _NAMES_FILE.fullmatch(line):
            other = path.parent / named[1]
            if not other.is_file():
                raise click.UsageError(f"{where}: there is no requirements file {other}")
            if other.resolve() not in above:
                lines += _lines_of(other, (*above, path.resolve()))
        else:
            lines.append(_line_of(line, path.parent, where))
    return lines


def _line_of(line: str, directory: Path, where: str) -> str:
    from prefect.dependencies.own import own_line, require_here  # noqa: PLC0415 - as above
    from prefect.dependencies.requirements import (  # noqa: PLC0415 - the same
        check_requirement,
        parse_requirement,
    )

    anchored = _anchored(line, directory)
    own = own_line(anchored)
    try:
        if own is None:
            check_requirement(line)
            parse_requirement(line)
        else:
            require_here(own)
    except PrefectError as error:
        raise click.UsageError(f"{where}: {error}") from error
    return anchored


def _anchored(line: str, *directories: Path) -> str:
    from prefect.dependencies.own import anchored  # noqa: PLC0415 - as above

    return anchored(line, *directories, Path())
