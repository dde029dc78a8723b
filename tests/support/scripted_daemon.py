"""What claims to be a container engine, and answers each request as a test has it."""

import socket
import threading
from pathlib import Path

from faulty_daemon import close

PING = (
    b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 2\r\n\r\nOK"
)


def json_answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """Return an answer with a body of known length."""
    more = "".join(f"{header}\r\n" for header in headers)
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


def chunked_answer(*chunks: bytes) -> bytes:
    """Return an answer in chunks, with its end."""
    parts = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + parts + b"0\r\n\r\n"


class ScriptedDaemon:
    """Listens on a socket; a connection ends after an answer that `ends` has.

    answers: for each request in turn; pings have their own.
    requests: method and path of each, pings left out.
    bodies: what came with each.
    connections: how many there were.
    """

    def __init__(self, path: Path) -> None:
        self.address = f"unix://{path}"
        self.ping = PING
        self.answers: list[bytes] = []
        self.ends: set[bytes] = set()
        self.requests: list[str] = []
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self._sockets: list[socket.socket] = []
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        self.hang_up()
        close(self._server)

    def hang_up(self) -> None:
        """End every connection."""
        while self._sockets:
            close(self._sockets.pop())

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            self._sockets.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            with client.makefile("rb") as stream:
                while head := self._head(stream):
                    body = self._body(stream, head)
                    line = head.split(b" HTTP/")[0].decode()
                    if line.endswith("/_ping"):
                        answer = self.ping
                    else:
                        self.requests.append(line)
                        self.heads.append(head)
                        self.bodies.append(body)
                        answer = self.answers.pop(0)
                    client.sendall(answer)
                    if answer in self.ends:
                        break
        except OSError:
            pass
        close(client)

    @staticmethod
    def _head(stream) -> bytes:
        lines = []
        while line := stream.readline():
            lines.append(line)
            if line == b"\r\n":
                return b"".join(lines)
        return b""

    @staticmethod
    def _body(stream, head: bytes) -> bytes:
        headers = dict(
            line.lower().split(b": ", 1) for line in head.strip().split(b"\r\n")[1:] if line
        )
        if headers.get(b"transfer-encoding") != b"chunked":
            return stream.read(int(headers.get(b"content-length", 0)))
        body = b""
        while size := int(stream.readline(), 16):
            body += stream.read(size)
            stream.readline()
        stream.readline()
        return body
