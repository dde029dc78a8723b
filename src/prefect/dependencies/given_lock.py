"""A lock that somebody gives: a file of one, or a project's."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from shlex import quote

from prefect.dependencies.requirements import without_passwords
from prefect.dependencies.uv import uv_environment, uv_program
from prefect.errors import RequirementsError
from prefect.files import read_small_text
from prefect.frozen import frozen

_logger = logging.getLogger("prefect.environments")
_UV = "pyproject.toml", "uv.lock"


@frozen
class GivenLock:
    """A lock that is taken as it is.

    Args:
        text: of it, as requirement lines or as a pylock.toml.
        name: how people know it: the path of its file.
        anew: how it is locked anew, as the beginning of a sentence.
    """

    text: str
    name: str
    anew: str


def given_lock(lock: str | None, project: str | None, *, relock: bool) -> GivenLock | None:
    """Return the lock that is to be taken; None where there is none yet, or it is to be made anew.

    Args:
        lock: path of a lock's file, which need not be there.
        project: directory of a project.
        relock: whether the file is to be made anew.

    Raises:
        RequirementsError: it cannot be read, or the project has none.
    """
    if project is not None:
        return _of_project(Path(project))
    if lock is None or relock or not Path(lock).exists():
        return None
    anew = "Lock anew and replace the file with --relock (relock=True)"
    return GivenLock(_read(Path(lock)), lock, anew)


def _of_project(directory: Path) -> GivenLock:
    """Return a project's lock, without its own code and its groups of dependencies such as "dev"."""
    pylock = directory / "pylock.toml"
    if pylock.exists():
        anew = f"Lock the project anew, and export that as {pylock}, with the project's own tool"
        return GivenLock(_read(pylock), str(pylock), anew)
    command = "uv lock" if directory == Path() else f"uv lock --project {quote(str(directory))}"
    pyproject, lock = (directory / name for name in _UV)
    if not pyproject.is_file():
        raise RequirementsError(
            f"There is no lock of a project: neither {pylock}, nor {pyproject} with a uv.lock beside it. "
            "Name the project's directory with --project (project=), or leave it out"
        )
    if not lock.is_file():
        raise RequirementsError(
            f"{pyproject} has no lock beside it, neither a uv.lock nor a pylock.toml. Make one with "
            f"`{command}`, or have another tool export {pylock}; or leave out --project (project=)"
        )
    _warn_of_changes(pyproject, lock, command)
    export = [uv_program(), "export", "--project", str(directory), "--format", "pylock.toml"]
    # Frozen: what the lock says is taken, and nothing is resolved, built or asked.
    export += ["--frozen", "--no-default-groups", "--no-emit-project", "--no-header", "--quiet"]
    export += ["--python", sys.executable, "--no-python-downloads"]
    done = subprocess.run(  # noqa: S603 - a fixed program
        export, capture_output=True, text=True, env=uv_environment(), check=False
    )
    if done.returncode:
        raise RequirementsError(
            f"{lock} cannot be read. Lock the project anew, with `{command}`. uv says:\n"
            f"{without_passwords(done.stderr.strip())}"
        )
    return GivenLock(done.stdout, str(lock), f"Lock the project anew, with `{command}`")


def _warn_of_changes(pyproject: Path, lock: Path, command: str) -> None:
    """Say that a project requires something else than what its lock was made of."""
    from prefect.dependencies.uv_locks import changed_since  # noqa: PLC0415 - for projects alone

    if changes := changed_since(_read(pyproject), _read(lock)):
        _logger.warning(
            "%s was made before %s was changed (%s), and is taken as it is: lock the project anew, with `%s`",
            lock, pyproject, ", ".join(changes), command,
        )  # fmt: skip


def _read(path: Path) -> str:
    try:
        return read_small_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise RequirementsError(f"The lock {path} cannot be read: {error}") from error
