"""The lock of a project: its pylock.toml, or its uv.lock beside its pyproject.toml."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from prefect.dependencies.lock import read_file
from prefect.dependencies.requirements import without_passwords
from prefect.dependencies.uv import uv_environment, uv_program
from prefect.errors import RequirementsError

if TYPE_CHECKING:
    from pathlib import Path


def locked_project(directory: Path) -> str:
    """Return a project's lock, as the text of a pylock.toml.

    Its own code and its groups of dependencies, such as "dev", are left out.

    Raises:
        RequirementsError: there is no lock, or it cannot be read.
    """
    pylock = directory / "pylock.toml"
    if (text := read_file(pylock)) is not None:
        return text
    if not ((directory / "pyproject.toml").is_file() and (directory / "uv.lock").is_file()):
        raise RequirementsError(
            f"{directory} has no lock that could be taken: neither a pylock.toml, nor a uv.lock beside "
            "its pyproject.toml. Lock the project with `uv lock`, or leave out --project (project=)"
        )
    command = [uv_program(), "export", "--project", str(directory), "--format", "pylock.toml"]
    # Frozen: what the lock says is taken, and nothing is resolved, built or asked.
    command += ["--frozen", "--no-default-groups", "--no-emit-project", "--no-header", "--quiet"]
    command += ["--python", sys.executable, "--no-python-downloads"]
    done = subprocess.run(  # noqa: S603 - a fixed program
        command, capture_output=True, text=True, env=uv_environment(), check=False
    )
    if done.returncode:
        raise RequirementsError(
            f"The uv.lock of {directory} cannot be read:\n{without_passwords(done.stderr.strip())}"
        )
    return done.stdout
