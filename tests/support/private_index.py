"""An index of packages on loopback that asks for a name and a password."""

import base64
import contextlib
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

USER, PASSWORD = "me", "hunter-two-and-three"


@contextlib.contextmanager
def private_index(wheels: Path) -> Iterator[str]:
    """Serve the wheels of a directory (PEP 503); yield host and port."""
    wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers.get("Authorization") != wanted:
                self._answer(401, b"", {"WWW-Authenticate": "Basic realm=own"})
                return
            parts = self.path.strip("/").split("/")
            if parts[0] == "files" and (wheels / parts[-1]).is_file():
                self._answer(200, (wheels / parts[-1]).read_bytes(), {})
                return
            found = [one for one in sorted(wheels.glob("*.whl")) if _name(one) == parts[-1]]
            if parts[0] != "simple" or not found:
                self._answer(404, b"", {})
                return
            links = "".join(
                f'<a href="/files/{one.name}#sha256={_sha256(one)}">{one.name}</a>' for one in found
            )
            self._answer(200, f"<html>{links}</html>".encode(), {"Content-Type": "text/html"})

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _name(wheel: Path) -> str:
    return wheel.name.partition("-")[0].replace("_", "-").lower()


def _sha256(wheel: Path) -> str:
    return hashlib.sha256(wheel.read_bytes()).hexdigest()
