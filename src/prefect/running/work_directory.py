"""Somewhere to write for a flow in an image, whatever its user may write to."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def somewhere_to_write() -> Iterator[None]:
    """Have a working directory and a home that can be written, until the run's end.

    An image's user often owns neither: of a user without an entry in passwd both are "/". What
    stands in the working directory can be read in the new one as well, by links.
    """
    here = _current()
    stays = here is not None and _writable(here)
    home = os.environ.get("HOME")
    with ExitStack() as entered:
        if stays and home and _writable(home):
            yield
            return
        from prefect.files import private_directory  # noqa: PLC0415 - for such images alone

        try:
            made = entered.enter_context(private_directory("prefect-work"))
        except OSError:  # nothing can be written here, and a run may need nothing
            yield
            return
        if not (home and _writable(home)):
            (made / "home").mkdir()
            os.environ["HOME"] = str(made / "home")
            entered.callback(_set_home, home)
        if not stays:
            _move(made / "work", here)
            entered.callback(os.chdir, here or "/")
        yield


def _move(target: Path, here: str | None) -> None:
    target.mkdir()
    if here is not None and here != "/":
        with suppress(OSError):  # it cannot be listed
            for entry in os.scandir(here):
                (target / entry.name).symlink_to(entry.path)
        import logging  # noqa: PLC0415 - slow to import, and seldom needed

        logging.getLogger("prefect").info(
            "The working directory %s cannot be written by the user %s: tasks work in %s, with links "
            "to what is there", here, os.geteuid(), target,
        )  # fmt: skip
    os.chdir(target)


def _current() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 - may be gone
    except OSError:
        return None


def _writable(directory: str) -> bool:
    return Path(directory).is_dir() and os.access(directory, os.W_OK | os.X_OK)


def _set_home(home: str | None) -> None:
    if home is None:
        os.environ.pop("HOME", None)
    else:
        os.environ["HOME"] = home
