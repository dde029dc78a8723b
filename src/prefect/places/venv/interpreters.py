"""The Pythons of this machine, of which an environment is made: this one, or one that uv finds."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.oci.cache.facts import recall

if TYPE_CHECKING:
    from prefect.oci.cache.store import Store

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
_DOWNLOADS = "UV_PYTHON_DOWNLOADS"


def known_python(series: str, root: Path | None) -> Path | None:
    """Return the program of a CPython of a series, outside of any environment, where none has to be asked.

    It is this one where it is of that series, else what `find_python` has found, as long as that stays
    the same.

    Args:
        series: such as "3.12".
        root: directory of the cache that remembers; None where there is none.
    """
    if series == HERE and _is_usual():
        # What a virtual environment was made of: an environment within one were of two Pythons.
        return Path(os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable))
    told = None if root is None else recall(root, _key(series))
    match told:
        case [str(program), int(size), int(changed)]:
            with suppress(OSError):
                status = Path(program).stat()
                if (status.st_size, status.st_mtime_ns) == (size, changed):
                    return Path(program)
    return None


def find_python(series: str, store: Store) -> Path | None:
    """Have uv find a CPython of a series, outside of any environment; None where there is none.

    Nothing is downloaded, unless UV_PYTHON_DOWNLOADS is set to "automatic".

    Args:
        series: such as "3.12".
        store: remembers the answer.

    Raises:
        RequirementsError: uv is not installed.
    """
    found = _asked(series)
    if found is not None:
        with suppress(OSError):
            status = found.stat()
            store.remember(_key(series), [str(found), status.st_size, status.st_mtime_ns])
    return found


def _key(series: str) -> str:
    return f"python {series}"


def _is_usual() -> bool:
    return sys.implementation.name == "cpython" and "t" not in sys.abiflags


def _asked(series: str) -> Path | None:
    """Ask uv for a Python that is installed; have it install one if the user has said that it may."""
    from prefect.dependencies.uv import uv_environment  # noqa: PLC0415 - what is known asks nobody

    environment = uv_environment()
    environment["PATH"] = os.pathsep.join(_search_path(series))
    downloads = environment.setdefault(_DOWNLOADS, "never")
    find = ["python", "find", "--system", "--no-project", "--resolve-links", f"cpython@{series}"]
    found = _told_by_uv(find, environment)
    if not found and downloads == "automatic":
        _told_by_uv(["python", "install", "--no-bin", f"cpython@{series}"], environment)
        found = _told_by_uv(find, environment)
    return Path(found) if found else None


def _told_by_uv(arguments: list[str], environment: dict[str, str]) -> str:
    # As above.
    import subprocess  # noqa: PLC0415

    from prefect.dependencies.uv import uv_program  # noqa: PLC0415

    done = subprocess.run(  # noqa: S603 - a fixed program
        [uv_program(), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        env=environment,
        cwd="/",  # no directory of somebody's has a say
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else ""


def _search_path(series: str) -> list[str]:
    """Return PATH without pyenv's shims, which start any Python or none, and with its Pythons."""
    directories = [
        each for each in os.get_exec_path() if each and not _is_script(Path(each, f"python{series}"))
    ]
    root = Path(os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv"))  # noqa: PTH111 - no home, no error
    return [*directories, *(str(path) for path in sorted(root.glob(f"versions/{series}*/bin")))]


def _is_script(program: Path) -> bool:
    try:
        with program.open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False
