"""What a container engine's own builder is given, and what is told where it fails."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING, Any

from prefect.oci.daemon.transport import first_line
from prefect.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_LOG_TAIL_LINES = 30


def build_context(files: Mapping[str, bytes]) -> bytes:
    """Return the archive of a build's files, the same for the same files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, content in sorted(files.items()):
            info = tarfile.TarInfo(path)
            # Fixed, so that neither umask nor clock reaches the image or defeats its cache.
            info.mode, info.mtime, info.size = 0o644, 0, len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def failed_build(log: Iterable[dict[str, Any]]) -> str:
    """Return what to say of a build by its log: the step that failed, with the end of its output."""
    lines: list[str] = []
    error, step = "the container engine did not say why", ""
    for entry in log:
        text = str(entry.get("stream", ""))
        if text.startswith(("Step ", "STEP ")):  # the latter is podman's
            step = text.strip()
            lines.clear()
        else:
            lines += text.splitlines()
        error = str(entry.get("error", error))
    shown = map(printable, lines[-_LOG_TAIL_LINES:])
    tail = "\n".join(f"    {line}" for line in shown if line.strip())
    where = first_line(step) if step else "its start"
    return f"Building the image failed at {where}: {first_line(error)}\n{tail}"
