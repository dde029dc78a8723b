"""Wheels of the user's own projects, built by uv from their directories.

That runs a project's own build backend, which is as much the user's own code as the project.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.dependencies.project_files import copy_project, project_digest
from prefect.dependencies.requirements import without_passwords
from prefect.dependencies.uv import (
    backend_environment,
    credentials_in,
    project_environment,
    uv_program,
)
from prefect.dependencies.wheels import Wheel, read_wheel, repack
from prefect.errors import RequirementsError
from prefect.oci.layers.writing import Written
from prefect.patterns import pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import BinaryIO

    from prefect.oci.cache.store import Store

_FORMAT = 1  # counts up when the same files give another wheel
_EPOCH = "1577836800"
# Of a project whose version, or whose list of files, is in its version control: a copy has none.
_VERSIONED = pattern(
    r"scm|vcs|versioningit|versioneer|dunamai|dynamic.versioning|pbr|setuptools.git|mesonpy|meson-python"
)
_DEFAULT_BACKEND = ["setuptools >= 40.8.0"]  # of PEP 518
_REASON_LINES = 30


def is_project(path: Path) -> bool:
    """Tell whether a wheel can be built from a directory."""
    return any((path / name).is_file() for name in ("pyproject.toml", "setup.py", "setup.cfg"))


def build_wheel(
    source: Path, directory: Path, store: Store, progress: Callable[[str], None] | None = None
) -> Wheel:
    """Return the wheel of a project, or of a source distribution, on this machine.

    The wheel is another one only where the project's files are: not by the clock, the umask or the
    project's place. Of unchanged files it is remembered.

    Args:
        source: the project's directory, or the file of its source distribution.
        directory: where the wheel is put.
        store: remembers it.
        progress: gets a line of text where something is built.

    Raises:
        RequirementsError: it is no project, or cannot be built; the message ends with what the
            backend says.
        OSError: its files cannot be read.
    """
    if source.is_dir():
        if not is_project(source):
            raise RequirementsError(
                f"{source} is no Python project: it has neither pyproject.toml nor setup.py"
            )
        digest = project_digest(source, store)
    else:
        with source.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    in_place = source.is_dir() and _is_versioned(source)
    if in_place:
        digest += _state_of_version_control(source)

    def make(file: BinaryIO) -> Written:
        if progress is not None:
            progress(f"Building the wheel of {source.name or source}, with its own build backend")
        with tempfile.TemporaryDirectory(prefix="prefect-wheel-") as work:
            made = _built(source, Path(work), in_place=in_place)
            # The name says what the wheel is for, and is nowhere within.
            content = made.name.encode() + b"\n" + made.read_bytes()
        file.write(content)
        sha256 = f"sha256:{hashlib.sha256(content).hexdigest()}"
        return Written(sha256, sha256, len(content), len(content))

    kept = store.layer(_key(digest), make, "application/octet-stream").blob
    if kept is None:
        raise RequirementsError(f"The wheel of {source} is lost from the cache: build again")
    with kept.open() as held:
        name, _, content = held.read().partition(b"\n")
    path = directory / name.decode()
    path.write_bytes(content)
    return read_wheel(path, origin=str(source))


def _key(digest: str) -> str:
    program = Path(uv_program()).stat()
    # A compiled extension is for this machine, and any backend may look at the Python.
    machine = [platform.platform(), platform.machine(), sys.version, sys.implementation.name]
    variables = sorted((k, v) for k, v in os.environ.items() if k.startswith("UV_"))
    parts = [_FORMAT, digest, program.st_size, program.st_mtime_ns, machine, variables]
    return f"wheel {hashlib.sha256(json.dumps(parts).encode()).hexdigest()}"


def _settings(project: Path) -> Mapping[str, Any]:
    try:
        with (project / "pyproject.toml").open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise RequirementsError(f"{project / 'pyproject.toml'} cannot be read: {error}") from error


def _backend_requires(project: Path) -> list[str]:
    system = _settings(project).get("build-system", {})
    requires = system.get("requires") if isinstance(system, dict) else None
    return [str(one) for one in requires] if isinstance(requires, list) else _DEFAULT_BACKEND


def _is_versioned(project: Path) -> bool:
    setup = project / "setup.py"
    text = setup.read_text(errors="replace") if setup.is_file() else ""
    return bool(_VERSIONED.search(" ".join(_backend_requires(project)).lower())) or bool(
        re.search(r"use_scm_version|versioneer", text)
    )


def _state_of_version_control(project: Path) -> str:
    """Return what a version that follows from git's commits and tags depends on."""
    for parent in (project.resolve(), *project.resolve().parents):
        git = parent / ".git"
        if git.is_file():  # a worktree, or a submodule
            git = parent / git.read_text().partition("gitdir:")[2].strip()
        if not git.is_dir():
            continue
        common = git / "commondir"
        shared = git / common.read_text().strip() if common.is_file() else git
        stamps = []
        places = [
            git / "HEAD",
            git / "index",
            shared / "packed-refs",
            *(shared / "refs").rglob("*"),
        ]
        for path in sorted(places):
            if path.is_file():
                found = path.stat()
                stamps.append(f"{path} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}")
        return " " + hashlib.sha256("\n".join(stamps).encode()).hexdigest()
    return ""


def _built(source: Path, work: Path, *, in_place: bool) -> Path:
    """Build a wheel; return it repacked."""
    output = work / "built"
    if source.is_dir() and not in_place:
        copy = work / "project"
        copy_project(source, copy)
        failed = _run_uv(copy, output, source, ["--wheel"])
        # It may need what stands beside it, such as ../README.md.
        if failed and not _run_uv(source, output, source, []):
            failed = ""
    else:
        # By way of a source distribution: what former builds left in the directory has no say.
        failed = _run_uv(source, output, source, [] if in_place else ["--wheel"])
    if failed:
        raise RequirementsError(failed)
    wheels = sorted(output.glob("*.whl"))
    if len(wheels) != 1:
        raise RequirementsError(f"The backend of {source} made {len(wheels)} wheels, and not one")
    (work / "repacked").mkdir()
    return repack(wheels[0], work / "repacked")


def _run_uv(project: Path, output: Path, source: Path, options: list[str]) -> str:
    """Have uv build; return why it failed, or ""."""
    environment = project_environment() | {"SOURCE_DATE_EPOCH": _EPOCH, "PYTHONHASHSEED": "0"}
    command = [uv_program(), "build", "--out-dir", str(output), "--python", sys.executable]
    command += [*options, "--no-create-gitignore"]
    if held := credentials_in(environment):
        # What runs the backend has no credentials: what it is made of is fetched before.
        if failed := _fetch_backend(project, environment, output.parent / "fetched"):
            return failed
        environment = backend_environment(environment)
        command += ["--offline"]
    done = subprocess.run(  # noqa: S603 - a fixed program
        [*command, str(project)],
        capture_output=True,
        text=True,
        errors="replace",
        env=environment,
        check=False,
        umask=0o022,
        cwd=output.parent,
    )
    if not done.returncode:
        return ""
    beside = (
        f" It had to do without {', '.join(held)}, which holds credentials: name all that it needs in "
        "requires of [build-system]."
        if held
        else ""
    )
    return (
        f"The wheel of {source} cannot be built.{beside}\n{_reason(done.stderr, project, source)}"
    )


def _fetch_backend(project: Path, environment: dict[str, str], target: Path) -> str:
    requires = _backend_requires(project) if project.is_dir() else []
    if not requires:
        return ""
    command = [uv_program(), "pip", "install", "--target", str(target), "--python", sys.executable]
    command += ["--only-binary", ":all:", "--", *requires]
    done = subprocess.run(  # noqa: S603 - a fixed program
        command, capture_output=True, text=True, errors="replace", env=environment, check=False
    )
    if not done.returncode:
        return ""
    reason = _reason(done.stderr, project, project)
    return f"The backend of {project} cannot be had:\n{reason}"


def _reason(told: str, project: Path, source: Path) -> str:
    text = without_passwords(told).replace(str(project), str(source))
    return "\n".join(text.strip().splitlines()[-_REASON_LINES:])
