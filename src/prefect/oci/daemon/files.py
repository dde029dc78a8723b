"""Files of an image that a container engine holds, without running anything of it."""

from __future__ import annotations

import base64
import io
import posixpath
import shutil
import tarfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from prefect.errors import ImageContentError
from prefect.oci import documents
from prefect.oci.daemon.transport import CHUNK, NOT_FOUND, Answer, in_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from prefect.oci.daemon.client import Daemon


_NOTHING = frozenset(
    {NOT_FOUND, 500}
)  # Docker says 500 of a path below a file, or links in a circle
LARGEST_FILE = 1 << 27  # bytes that are kept in memory: an image's labels may name any file
_DIRECTORY = 1 << 31  # of the modes of Go's io/fs
_LINKS = 40  # as many as Linux follows


class DaemonFiles:
    """The files of a container that was created and is never started."""

    def __init__(self, daemon: Daemon, container: str) -> None:
        self._http = daemon.http
        self._path = f"/containers/{in_path(container)}/archive"

    def follow(self, path: str) -> str | None:
        """Return the absolute path of the file that a path leads to, or None if there is none."""
        for _ in range(_LINKS):
            with self._http.request(
                "HEAD", self._path, f"look for {path}", query={"path": path}, also=_NOTHING
            ) as answer:
                if answer.status in _NOTHING:
                    return None
                stat = _stat(answer)
            if stat["mode"] & _DIRECTORY:
                return None
            target = stat["linkTarget"] or path
            if target == path:
                # The directories on the way may be links; what stands beside the file is found either way.
                return posixpath.normpath(path)
            path = target  # container engines differ in whether they went all the way
        return None

    def read(self, path: str, limit: int = LARGEST_FILE) -> bytes:
        """Return a file's content.

        Raises:
            FileNotFoundError: there is no such file.
            ImageContentError: it has more bytes than the limit.
        """
        found = io.BytesIO()
        self.copy(path, found, limit)
        return found.getvalue()

    def copy(self, path: str, file: BinaryIO, limit: int) -> None:
        """Write a file's content into another file, piece by piece.

        Raises:
            FileNotFoundError: there is no such file.
            ImageContentError: it has more bytes than the limit; nothing is written then.
        """
        with self._http.request(
            "GET", self._path, f"read {path}", query={"path": path}, also=frozenset({NOT_FOUND}),
            timeout=None,
        ) as answer:  # fmt: skip
            if answer.status == NOT_FOUND:
                raise FileNotFoundError(path)
            stat = _stat(answer)
            if stat["mode"] & _DIRECTORY:
                raise FileNotFoundError(path)
            size = stat["size"]
            try:
                with tarfile.open(fileobj=answer, mode="r|") as tar:  # type: ignore[call-overload]
                    member = tar.next()
                    size = max(size, member.size if member else 0)
                    if size > limit:
                        raise ImageContentError(
                            f"{path} in the image has {size} bytes; at most {limit} are read of it"
                        )
                    # Not a link's either: what it leads to is not in this archive.
                    content = tar.extractfile(member) if member and member.isreg() else None
                    if content is None:
                        raise FileNotFoundError(path)
                    shutil.copyfileobj(content, file, CHUNK)
            except tarfile.TarError as error:
                raise answer.nonsense(f"its archive is malformed: {error}") from error
            answer.read_all(CHUNK)  # what fills the archive up


@contextmanager
def daemon_files(daemon: Daemon, image: str) -> Iterator[DaemonFiles]:
    """Give access to the files of an image.

    That takes a container, which is never started.
    """
    container = daemon.create(image, {"Cmd": ["-"], "NetworkDisabled": True})
    try:
        yield DaemonFiles(daemon, container)
    finally:
        daemon.remove_container(container)


def _stat(answer: Answer) -> dict[str, Any]:
    """Return mode, size and target of a file, as the container engine tells them in a header."""
    header = answer.headers.get("X-Docker-Container-Path-Stat") or ""

    def parse(header: str) -> dict[str, Any]:
        try:
            told = documents.parse_object(base64.b64decode(header), "A file's description")
        except ValueError as error:  # of the Base64; the others are of that kind, too
            raise ImageContentError(str(error)) from error
        numbers = {name: documents.expect(told.get(name), int, name) for name in ("mode", "size")}
        target = documents.expect(told.get("linkTarget") or "", str, "linkTarget")
        return {**numbers, "linkTarget": target}

    return answer.made(parse, header)
