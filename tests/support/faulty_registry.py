"""A registry that misbehaves: it forwards to a real one, and does wrong where it is told to."""

import contextlib
import http.client
import http.server
import re
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

CHUNK = 1 << 16


@dataclass
class Seen:
    """A request as it came in."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Rule:
    """What is done wrong, with which requests, and how often."""

    method: str
    path: re.Pattern
    fault: Callable
    left: int


@dataclass
class Answer:
    """The real registry's answer, to be spoiled before it is sent on."""

    status: int
    headers: dict[str, str]
    body: bytes
    framing: str = "length"  # or "chunked", or "close"
    cut: int | None = None  # bytes of the body after which the connection is dropped


@dataclass
class FaultyRegistry:
    """Listens on a free port of loopback. `rule` tells it what to do wrong; `seen` is what came."""

    upstream: str
    seen: list[Seen] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rules: list[Rule] = []
        self._lock = threading.Lock()
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    super().handle()

            def __getattr__(self, name: str) -> Callable:
                if name.startswith("do_"):
                    return lambda: owner.serve(self)
                raise AttributeError(name)

            def log_message(self, *arguments) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def rule(self, method: str, path: str, fault: Callable, times: int = 10**9) -> None:
        """Do something wrong with the next `times` requests of a method whose path has a pattern."""
        self._rules.append(Rule(method, re.compile(path), fault, times))

    def count(self, method: str, path: str = "") -> int:
        """Return how many such requests came."""
        return sum(s.method == method and bool(re.search(path, s.path)) for s in self.seen)

    def serve(self, handler) -> None:
        with self._lock:
            self.seen.append(Seen(handler.command, handler.path, dict(handler.headers)))
            fault = None
            for rule in self._rules:
                if rule.left and rule.method == handler.command and rule.path.search(handler.path):
                    rule.left -= 1
                    fault = rule.fault
                    break
        (fault or forward)(self, handler)


def forward(registry: FaultyRegistry, handler, spoil=None, change_body=None, drop=()) -> None:
    """Pass a request on and its answer back."""
    body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
    if change_body:
        body = change_body(body)
    headers = {k: v for k, v in handler.headers.items() if k.lower() not in drop}
    connection = http.client.HTTPConnection(registry.upstream, timeout=30)
    try:
        connection.request(handler.command, handler.path, body or None, headers)
        response = connection.getresponse()
        answer = Answer(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()
    if spoil:
        spoil(answer)
    send(handler, answer)


def send(handler, answer: Answer) -> None:
    handler.send_response(answer.status)
    skipped = {"content-length", "transfer-encoding", "connection", "date"}
    length = answer.headers.get("Content-Length", str(len(answer.body)))
    for name, value in answer.headers.items():
        if name.lower() not in skipped:
            handler.send_header(name, value)
    if answer.framing == "length":
        handler.send_header("Content-Length", length)
    elif answer.framing == "chunked":
        handler.send_header("Transfer-Encoding", "chunked")
    else:
        handler.send_header("Connection", "close")
        handler.close_connection = True
    handler.end_headers()
    if handler.command == "HEAD":
        return
    body = answer.body if answer.cut is None else answer.body[: answer.cut]
    if answer.framing == "chunked":
        body = b"%x\r\n%b\r\n" % (len(body), body)
        body += b"0\r\n\r\n" if answer.cut is None else b""
    handler.wfile.write(body)
    if answer.cut is not None:
        handler.close_connection = True


def hang_up(handler) -> None:
    """End a connection as a crash does: with a reset."""
    linger = struct.pack("ii", 1, 0)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.connection.close()
    handler.close_connection = True


# Faults. Each of these returns something that a rule can do.


def answering(status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> Callable:
    """Answer without asking the real registry."""

    def fault(registry, handler) -> None:
        handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        send(handler, Answer(status, headers or {}, body))

    return fault


def dropping(after: int = 0) -> Callable:
    """Drop the connection without an answer, when so much of the body has reached the registry."""

    def fault(registry, handler) -> None:
        length = int(handler.headers.get("Content-Length") or 0)
        if length:
            part = handler.rfile.read(min(after, length))
            connection = http.client.HTTPConnection(registry.upstream, timeout=30)
            connection.putrequest(handler.command, handler.path, skip_host=True)
            for name, value in handler.headers.items():
                connection.putheader(name, value)
            connection.endheaders(part)
            connection.close()
        hang_up(handler)

    return fault


def cutting(after: int, framing: str = "length") -> Callable:
    """Send so many bytes of the answer's body; `framing` tells how the rest was announced."""

    def spoil(answer: Answer) -> None:
        answer.framing, answer.cut = framing, after

    return lambda registry, handler: forward(registry, handler, spoil)


def shortening(size: int) -> Callable:
    """Send a shorter body as if that were all."""

    def spoil(answer: Answer) -> None:
        answer.body = answer.body[:size]
        answer.headers.pop("Content-Length", None)

    return lambda registry, handler: forward(registry, handler, spoil)


def flip(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]


def flipping(framing: str = "length") -> Callable:
    """Change a bit of the answer's body."""

    def spoil(answer: Answer) -> None:
        answer.body, answer.framing = flip(answer.body), framing

    return lambda registry, handler: forward(registry, handler, spoil)


def flipping_upload() -> Callable:
    """Change a bit of the request's body on its way to the real registry."""
    return lambda registry, handler: forward(registry, handler, change_body=flip)


def saying(name: str, value: str | None) -> Callable:
    """Change a header of the answer; None leaves it out."""

    def spoil(answer: Answer) -> None:
        answer.headers = {k: v for k, v in answer.headers.items() if k.lower() != name.lower()}
        if value is not None:
            answer.headers[name] = value

    return lambda registry, handler: forward(registry, handler, spoil)


def without_ranges() -> Callable:
    """Answer a request for a part with the whole, as servers may."""
    return lambda registry, handler: forward(registry, handler, drop=("range",))


def endless(status: int = 200, headers: dict[str, str] | None = None) -> Callable:
    """Send a body that never ends."""

    def fault(registry, handler) -> None:
        handler.send_response(status)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        while True:  # until the client has enough of it
            handler.wfile.write(b"%x\r\n%b\r\n" % (CHUNK, bytes(CHUNK)))

    return fault
