"""The files of a project from which a wheel is built: which they are, whether they changed, a copy.

Which of them a backend takes only the backend knows. So all count but those that no backend takes:
what version control, environments and tools keep for themselves, and what former builds left.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect.oci.cache.store import Store

_TOOLS = frozenset(
    {
        ".git",
        ".hg",
        ".svn",
        ".bzr",
        ".jj",
        "__pycache__",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
    }
    | {
        ".tox",
        ".nox",
        ".venv",
        ".cache",
        ".eggs",
        ".idea",
        ".vscode",
        ".hypothesis",
        "node_modules",
    }
    | {".ipynb_checkpoints", ".import_linter_cache"}
)
_ARCHIVES = (".whl", ".tar.gz", ".zip", ".gitignore")
_LEFT_BY_SETUPTOOLS = ("lib", "bdist.", "temp.", "scripts-")
_TIME = 1_577_836_800  # 2020-01-01, after what zip archives begin with


def project_files(directory: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files of a project, sorted: each one's path in it, and the file itself.

    Symbolic links are followed.
    """
    yield from _walk(directory, "", frozenset())


def _walk(
    directory: Path, below: str, above: frozenset[tuple[int, int]]
) -> Iterator[tuple[str, Path]]:
    here = directory.stat()
    identity = (here.st_dev, here.st_ino)
    if identity in above:  # a link to a directory that it is in
        return
    for name in sorted(os.listdir(directory)):  # noqa: PTH208 - Path objects of all cost more
        path = directory / name
        if path.is_dir():
            if not _is_left_out(path, top=not below):
                yield from _walk(path, f"{below}{name}/", above | {identity})
        elif path.is_file() and not name.endswith((".pyc", ".pyo")):
            yield f"{below}{name}", path


def _is_left_out(directory: Path, *, top: bool) -> bool:
    name = directory.name
    if name in _TOOLS or name.endswith((".egg-info", ".dist-info")):
        return True
    if (directory / "pyvenv.cfg").exists():
        return True
    if top and name == "dist":
        return all(each.endswith(_ARCHIVES) for each in os.listdir(directory))  # noqa: PTH208 - names alone
    if top and name == "build":
        return all(each.startswith(_LEFT_BY_SETUPTOOLS) for each in os.listdir(directory))  # noqa: PTH208 - the same
    return False


def project_digest(directory: Path, store: Store | None) -> str:
    """Return a digest of a project's files: their paths, contents, and which are programs.

    Args:
        store: remembers the digest as long as no file's size and times change.

    Raises:
        OSError: a file cannot be read.
    """
    files = list(project_files(directory))
    stamps = [str(directory)]
    for path, file in files:
        found = file.stat()
        stamps.append(
            f"{path}\0{found.st_dev}:{found.st_ino} {found.st_size} {found.st_mtime_ns} "
            f"{found.st_ctime_ns} {found.st_mode & 0o100}"
        )
    key = f"project {hashlib.sha256(json.dumps(stamps).encode()).hexdigest()}"
    known = None if store is None else store.recall(key)
    if isinstance(known, str):
        return known
    contents = []
    for path, file in files:
        with file.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        contents.append([path, bool(file.stat().st_mode & 0o100), sha256])
    digest = hashlib.sha256(json.dumps(contents).encode()).hexdigest()
    if store is not None:
        store.remember(key, digest)
    return digest


def copy_project(directory: Path, target: Path) -> None:
    """Copy a project's files into a new directory, with one time and two permissions for all.

    Raises:
        OSError: a file cannot be read or written.
    """
    target.mkdir()
    for path, file in project_files(directory):
        copy = target / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
        copy.chmod(0o755 if file.stat().st_mode & 0o100 else 0o644)
        os.utime(copy, (_TIME, _TIME))
    for base, _, _ in os.walk(target):
        Path(base).chmod(0o755)
