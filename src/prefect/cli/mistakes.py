"""What a file is that a command has no use for: said in errors, with what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from prefect.files import HEAD_BYTES, begins_as_archive
from prefect.pyz.reading import START as PYZ

if TYPE_CHECKING:
    from pathlib import Path


def not_source(path: Path) -> click.UsageError:
    """Return the error for a path that is no file of Python source.

    Raises:
        click.ClickException: it cannot be read.
    """
    return click.UsageError(
        _what_it_is(path) or f"{path} is no source of a flow: that is a file of Python, FILE.py"
    )


def is_no_source(path: Path) -> bool:
    """Tell whether a file holds what cannot be Python, whatever its ending.

    Raises:
        click.ClickException: it cannot be read.
    """
    return _of_content(path, _head(path)) is not None


def not_sealed(name: str, head: bytes) -> click.UsageError | None:
    """Return the error for a file that does not begin as a sealed flow does; None for one that does."""
    from prefect.sealed.format import MAGIC, is_sealed  # noqa: PLC0415 - cryptography, not for images

    if (
        head.startswith(PYZ) or is_sealed(head) or (head and MAGIC.startswith(head))
    ):  # perhaps a later version, or cut off
        return None
    if not head:
        return click.UsageError(f"{name} is not a sealed flow: it is empty")
    if name.endswith(".py"):
        return click.UsageError(
            f"{name} is not a sealed flow: package it with `prefect build {name}` first"
        )
    return click.UsageError(
        _of_ending(name)
        or f"{name} is not a sealed flow: it does not begin as `prefect build -o FILE.flow` writes it"
    )


def _what_it_is(path: Path) -> str | None:
    if not path.exists():
        return f"There is no file {path}"
    if path.is_dir():
        if (path / "oci-layout").is_file():
            return _image(path)
        return f"{path} is a directory: name the file in it that has the flow, {path}/FILE.py"
    if not path.is_file():
        return f"{path} is no ordinary file: write the flow's source to a FILE.py first"
    return _of_content(path, _head(path)) or _of_ending(str(path))


def _of_content(path: Path, head: bytes) -> str | None:
    from prefect.sealed.format import is_sealed  # noqa: PLC0415 - for errors alone

    if head.startswith(PYZ):
        return (
            f"{path} is a file that runs by itself already: `python {path}` runs it, `prefect info {path}` "
            "looks into it. To package the flow anew, build the FILE.py that it was made of"
        )
    if is_sealed(head):
        if path.suffix == ".py":
            return f"{path} is a sealed flow, and its ending says that it is source: rename it"
        return (
            f"{path} is a sealed flow already: `prefect run {path}` runs it, `prefect info {path}` "
            "looks into it. To package the flow anew, build the FILE.py that it was made of"
        )
    if begins_as_archive(head):
        return _image(path)
    if b"\0" in head:
        return f"{path} is no source of a flow: it has null bytes, which no file of Python has"
    return None


def _of_ending(name: str) -> str | None:
    if name.endswith(".ipynb"):
        return (
            f"{name} is a notebook: write its code to a FILE.py, such as with `jupyter nbconvert "
            f"--to script {name}`, and build that"
        )
    return None


def _image(path: Path) -> str:
    return (
        f"{path} is an image already, or packed: `prefect info {path}` looks into an image. To "
        "package a flow, build its FILE.py"
    )


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError as error:
        raise click.FileError(str(path), error.strerror or str(error)) from error
