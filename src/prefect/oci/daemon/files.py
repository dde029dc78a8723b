"""Files of an image that a container engine holds, without running anything of it."""

from __future__ import annotations

import base64
import io
import json
import posixpath
import tarfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import docker.errors

from prefect.errors import ImageContentError
from prefect.oci.daemon.client import Daemon, translated

if TYPE_CHECKING:
    from collections.abc import Iterator


_NOTHING = frozenset({404, 500})  # Docker says 500 of a path below a file, and of links in a circle
_LARGEST = 1 << 30  # bytes, of which an image's labels may name any file
_DIRECTORY = 1 << 31  # of the modes of Go's io/fs


class DaemonFiles:
    """The files of a container that was created and is never started."""

    def __init__(self, daemon: Daemon, container: str) -> None:
        self._api: Any = daemon.client.api
        self._container = container

    def follow(self, path: str) -> str | None:
        """Return the absolute path of the file that a path leads to, or None if there is none."""
        url = f"{self._api.base_url}/v{self._api._version}/containers/{self._container}/archive"  # noqa: SLF001 - it has no method that asks without reading
        with translated(f"look for {path}"):
            answer = self._api.head(url, params={"path": path}, timeout=self._api.timeout)
            if answer.status_code in _NOTHING:
                return None
            answer.raise_for_status()
            stat = json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"]))
        if int(stat.get("mode") or 0) & _DIRECTORY:
            return None
        target = str(stat.get("linkTarget") or path)
        if target != path and stat.get("linkTarget"):
            return self.follow(target)  # container engines differ in whether they went all the way
        # The directories on the way may be links; what stands beside the file is found either way.
        return posixpath.normpath(target)

    def read(self, path: str) -> bytes:
        """Return a file's content.

        Raises:
            FileNotFoundError: there is no such file.
            ImageContentError: it is far too large.
        """
        with translated(f"read {path}"):
            try:
                chunks, stat = self._api.get_archive(self._container, path)
                if int(stat["mode"]) & _DIRECTORY:
                    chunks.close()
                    raise FileNotFoundError(path)
                if int(stat["size"]) > _LARGEST:
                    chunks.close()
                    raise ImageContentError(
                        f"{path} in the image has {stat['size']} bytes: refused"
                    )
                archive = io.BytesIO(b"".join(chunks))
            except docker.errors.NotFound as error:
                raise FileNotFoundError(path) from error
        with tarfile.open(fileobj=archive) as tar:
            member = tar.next()
            # Not a link's either: what it leads to is not in this archive.
            content = tar.extractfile(member) if member and member.isreg() else None
            if content is None:
                raise FileNotFoundError(path)
            return content.read()


@contextmanager
def daemon_files(daemon: Daemon, image: str) -> Iterator[DaemonFiles]:
    """Give access to the files of an image."""
    api = daemon.client.api
    with translated(f"look into {image}"):
        container = api.create_container(image, ["-"], network_disabled=True)["Id"]
    try:
        yield DaemonFiles(daemon, container)
    finally:
        with translated(f"remove the container {container[:12]}"):
            api.remove_container(container, force=True, v=True)
