"""Runs the files of examples/classic with any Python that has a `prefect`, and returns what they print.

An API for those that read one is served meanwhile.
"""

import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "classic"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py"))
PAGES = {
    "1": {"items": [{"name": "pen", "price": 2}, {"name": "ink", "price": 5}], "next": 2},
    "2": {"items": [{"name": "pad", "price": 4}], "next": 3},
    "3": {"items": [{"name": "cup", "price": 9}], "next": None},
}


class Api(BaseHTTPRequestHandler):
    """Items in pages."""

    def do_GET(self):
        """Answer with a page."""
        body = json.dumps(PAGES[self.path.rpartition("=")[2]]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


def printed(name, python, environment, directory):
    """Return the lines that an example prints, which logs nothing."""
    with HTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            done = subprocess.run(
                [python, EXAMPLES / f"{name}.py", f"http://127.0.0.1:{server.server_port}"],
                env={**environment, "PREFECT__LOGGING__LEVEL": "CRITICAL", "TZ": "UTC"},
                cwd=directory, capture_output=True, text=True, check=False, timeout=120,
            )  # fmt: skip
        finally:
            server.shutdown()
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return done.stdout.splitlines()
