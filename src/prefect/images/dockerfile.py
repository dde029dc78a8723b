"""A plan as a Dockerfile and the files that it copies: for people and build tools."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.errors import OutputError
from prefect.files import replacing
from prefect.images.plan import COMMAND, ENTRYPOINT, LOCK_FILE, PYTHON, ImagePlan
from prefect.payload.attachments import Attachment
from prefect.running.flow_directory import FILES, FLOW_DIRECTORY, PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "Dockerfile"
FIRST_LINE = "# Written by prefect. "
LOCK = "requirements.lock"
_RUNTIME, _FLOW, _FILES, _OWN = "runtime", "flow", "files", "wheels"
_WHEELS = f"{PREFIX}/{_OWN}"


def build_context(plan: ImagePlan) -> dict[str, bytes | Attachment]:
    """Return every file of the build's context by its path, the Dockerfile among them."""
    context: dict[str, bytes | Attachment] = {NAME: render(plan).encode(errors="replace")}
    context[LOCK] = plan.indexed_lock.encode()
    if plan.wheels:
        context[f"{_OWN}/{LOCK}"] = plan.own_lock.encode()
        context |= {f"{_OWN}/{one.path.name}": one.path.read_bytes() for one in plan.wheels}
    context |= {f"{_RUNTIME}/{path}": content for path, content in plan.runtime.items()}
    context |= {f"{_FLOW}/{path}": content for path, content in plan.flow.items()}
    context |= {f"{_FILES}/{one.path}": one for one in plan.files}
    return context


def write_context(directory: Path, context: Mapping[str, bytes | Attachment]) -> None:
    """Write the files of a build's context, each of them whole or not at all.

    Files, and the directories of the runtime and of what travels, have permissions that let every user of the image read
    them. Who may read the flow here is up to its new directory, which has those of the umask.
    After an error nothing that is new stays behind.

    Raises:
        OutputError: there is a Dockerfile that is not prefect's; or none, and something else where
            the other files go.
        OSError: they cannot be written; it names the file.
    """
    _refuse_foreign(directory, context)
    made: list[Path] = []
    try:
        for path, content in context.items():
            for parent in reversed((directory / path).parents):
                if not parent.is_dir():
                    parent.mkdir()
                    made.append(parent)
                    if any(parent.is_relative_to(directory / one) for one in (_RUNTIME, _FILES)):
                        parent.chmod(0o755)
            _write(directory / path, content, made)
    except BaseException:
        for each in reversed(made):
            with suppress(OSError):  # somebody else put something there meanwhile
                each.rmdir() if each.is_dir() else each.unlink()
        raise


def _refuse_foreign(directory: Path, context: Mapping[str, bytes | Attachment]) -> None:
    """Refuse to write over, or among, what is not known to be prefect's."""
    dockerfile = directory / NAME
    if dockerfile.is_file() and dockerfile.read_bytes().startswith(FIRST_LINE.encode()):
        return
    for name in dict.fromkeys(Path(path).parts[0] for path in context):
        existing = directory / name
        same = existing.is_file() and existing.read_bytes() == context.get(name)
        if not same and os.path.lexists(existing):
            raise OutputError(
                f"{existing} was not written by prefect and is not overwritten: choose another "
                "directory"
            )


def _write(target: Path, content: bytes | Attachment, made: list[Path]) -> None:
    is_new = not target.exists()
    program = isinstance(content, Attachment) and content.executable
    try:
        with replacing(target, mode=0o755 if program else 0o644) as file:
            for piece in [content] if isinstance(content, bytes) else content.pieces():
                file.write(piece)
    except OSError as error:  # of a full disk, it names no file
        raise OSError(error.errno, error.strerror, str(target)) from error
    if is_new:
        made.append(target)


def render(plan: ImagePlan) -> str:
    """Return the text of the Dockerfile: stable layers first, the flow last."""
    major, minor = plan.python.split(".")
    check = (
        f"import sys; v = sys.version_info[:2]; v == ({major}, {minor}) or "
        f"sys.exit('needs Python {plan.python}, has %d.%d' % v)"
    )
    platform = f"--platform={plan.base_platform} " if plan.base_platform else ""
    install = f"{PYTHON} -m pip install --no-cache-dir --disable-pip-version-check --no-deps"
    lines = [
        f"{FIRST_LINE}Build it with: docker build --tag NAME .",
        f"FROM {platform}{plan.base}",
        "",
        "USER root",
        "",
        *(f"RUN {command}" for command in plan.setup),
        *([""] if plan.setup else []),
        f"# The packages below are locked for Python {plan.python}: stop early on any other.",
        f'RUN {plan.interpreter} -c "{check}"',
        "",
        "# Dependencies, hash-checked, in an environment of their own that still sees the base's.",
        f"COPY {LOCK} {LOCK_FILE}",
        f"RUN {plan.interpreter} -m venv --system-site-packages {PREFIX} \\",
        f" && {install} \\",
        f"      --require-hashes --requirement {LOCK_FILE}",
        "",
        *_own_lines(plan, install),
        "# The runtime, compiled once here and not at every start.",
        f"COPY {_RUNTIME}/ {plan.site_packages}/",
        f"RUN {PYTHON} -m compileall -q {plan.site_packages}/prefect",
        "",
    ]
    if plan.user:
        lines += [f"USER {plan.user}", ""]
    lines += [
        f"ENV PATH={PREFIX}/bin:$PATH PYTHONUNBUFFERED=1",
        f"ENTRYPOINT {json.dumps(ENTRYPOINT)}",
        f"CMD {json.dumps(COMMAND)}",
        "",
    ]
    if plan.labels:
        labels = [f"{name}={_quoted(value)}" for name, value in sorted(plan.labels.items())]
        lines += ["LABEL " + " \\\n      ".join(labels), ""]
    if plan.files:
        lines += [f"COPY {_FILES}/ {FILES}/", ""]
    if plan.flow:
        # By name: what else lies in that directory is not the flow's.
        files = " ".join(f"{_FLOW}/{name}" for name in sorted(plan.flow))
        lines += [f"COPY {files} {FLOW_DIRECTORY}/", ""]
    return "\n".join(lines)


def _own_lines(plan: ImagePlan, install: str) -> list[str]:
    """Return the lines that install the user's own wheels, if there are any."""
    if not plan.wheels:
        return []
    # By name, as for the flow.
    files = " ".join(
        f"{_OWN}/{name}" for name in sorted([LOCK, *(w.path.name for w in plan.wheels)])
    )
    return [
        "# Wheels of the user's own, hash-checked, in a layer of their own.",
        f"COPY {files} {_WHEELS}/",
        f"RUN {install} \\",
        f"      --no-index --find-links {_WHEELS} --require-hashes --requirement {_WHEELS}/{LOCK} \\",
        f" && cat {_WHEELS}/{LOCK} >> {LOCK_FILE} && rm -r {_WHEELS}",
        "",
    ]


def _quoted(value: str) -> str:
    # A Dockerfile expands $ and backslashes within double quotes and ends a line at a newline.
    flat = " ".join(value.split())
    return '"' + flat.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'
