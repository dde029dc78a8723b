"""Serves the page of a run on this machine while the run goes on.

Only who has the address can ask: it has a token in it that nobody guesses, and is loopback's. Pages of other
sites cannot: a request that names another host, as theirs would through a name of their own, is refused.
"""

from __future__ import annotations

import hmac
import os
import socket
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

from prefect.printable import printable
from prefect.records.reading import RecordReader
from prefect.records.reasons import changes, run_before
from prefect.report.data import page_data
from prefect.report.html import as_json, page, policy

if TYPE_CHECKING:
    from prefect.records.run import Run

_ADDRESS = "127.0.0.1"
_SILENT = 10.0
"""Seconds without a line after which a run whose process is gone counts as cut off."""
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Followed:
    """A record that is read on whenever somebody asks.

    Args:
        file: which is closed in the end.
        name: of it, for messages.
        store: that has the run before it, for what has changed since; by default the user's.

    Raises:
        RecordError: it is no record, or has nothing yet.
        OSError: it cannot be read.
    """

    def __init__(self, file: BinaryIO, name: str, store: str | None = None) -> None:
        self._file = file
        self._reader = RecordReader(printable(name))
        self._lock = threading.Lock()
        self._tag = ""
        self._data = b""
        self._revision = 0
        try:
            self._reader.read(self._file)
            self._run = self._reader.run()
            self._before = run_before(self._run, store)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def page(self) -> bytes:
        """Return the page as it is now."""
        with self._lock:
            run = self._read()
            return page(run, data_path="data", reasons=changes(run, self._before))

    def data(self) -> tuple[str, bytes]:
        """Return the page's data as JSON, and a tag that changes with them."""
        with self._lock:
            run = self._read()
            live = _goes_on(run)
            moment = int(time.time()) if live else 0  # what runs has run for a second more
            tag = f'"{self._revision}-{moment}"'
            if tag != self._tag:
                reasons = changes(run, self._before)
                data = page_data(run, live=live, reasons=reasons)
                self._tag, self._data = tag, as_json(data).encode()
            return self._tag, self._data

    def _read(self) -> Run:
        if self._reader.read(self._file):
            self._revision += 1
            self._run = self._reader.run()
        return self._run


class PageServer(ThreadingHTTPServer):
    """A server of one page, on a port of its own.

    Args:
        followed: the record of the run.
        port: 0 for any that is free.

    Raises:
        OSError: the port is not free.
    """

    daemon_threads = True

    def __init__(self, followed: Followed, port: int = 0) -> None:
        self.followed = followed
        self.token = os.urandom(16).hex()
        super().__init__((_ADDRESS, port), _Handler)

    @property
    def url(self) -> str:
        """The page's address."""
        return f"http://{_ADDRESS}:{self.server_port}/{self.token}/"

    def hosts(self) -> set[str]:
        """Return what a request's Host may be."""
        return {f"{name}:{self.server_port}" for name in (_ADDRESS, "localhost")}


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    server_version = "prefect"
    sys_version = ""
    timeout = 30

    def do_GET(self) -> None:
        """Answer with the page, or its data."""
        if self.headers.get("Host", "") not in self.server.hosts():
            self._answer(HTTPStatus.MISDIRECTED_REQUEST, b"Not this host\n")
            return
        if self._is("/"):
            self._answer(HTTPStatus.OK, self.server.followed.page(), "text/html; charset=utf-8")
        elif self._is("/data"):
            tag, data = self.server.followed.data()
            if self.headers.get("If-None-Match") == tag:
                self._answer(HTTPStatus.NOT_MODIFIED, b"", tag=tag)
            else:
                self._answer(HTTPStatus.OK, data, "application/json", tag=tag)
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"Not found\n")

    def _is(self, path: str) -> bool:
        """Tell whether that is asked for, in a time that tells nothing of the token."""
        expected = f"/{self.server.token}{path}"
        return hmac.compare_digest(self.path.encode(), expected.encode())

    def _answer(
        self, status: HTTPStatus, body: bytes, kind: str = "text/plain", *, tag: str = ""
    ) -> None:
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Security-Policy", f"{policy(live=True)}; frame-ancestors 'none'")
        if tag:
            self.send_header("ETag", tag)
        if status is not HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: requests come every second."""


def _goes_on(run: Run) -> bool:
    """Tell whether more is to be expected of a run."""
    if run.ended is not None:
        return False
    if time.time() - run.last < _SILENT or run.pid is None or run.host != socket.gethostname():
        return True
    if run.place not in {None, "here", "venv"}:  # whose processes have other numbers inside
        return True
    return Path(f"/proc/{run.pid}").exists() or not Path("/proc/self").exists()
