"""A container engine that misbehaves: a real one, behind a socket that spoils what passes."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_CHUNK = 65536


class Relay:
    """Passes the connections to a server of its own on; `_serve` says how, in a thread for each."""

    def __init__(self, server: socket.socket) -> None:
        self._server = server
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        for each in (self._server, *self._sockets):
            close(each)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()


class FaultyDaemon(Relay):
    """Passes everything on, but some requests, by default those to load an image, as the test wants it.

    address: of the real container engine, unix:// or tcp://.
    spoiled: what the first line of those requests has in it.
    faults: for each of them in turn; past their end, `last` holds.
    loads: how many there were.
    seen: the first lines of all requests, without their protocol.
    """

    def __init__(self, address: str, path: Path, spoiled: bytes = b"/images/load") -> None:
        self._spoiled = spoiled
        self._real = address
        self._path = path
        self.faults: list[Callable | None] = []
        self.last: Callable | None = None
        self.loads = 0
        self.seen: list[str] = []
        self.sent = 0
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(path))
        server.listen()
        super().__init__(server)

    @property
    def address(self) -> str:
        return f"unix://{self._path}"

    def _connect(self) -> socket.socket:
        kind, _, where = self._real.partition("://")
        if kind == "unix":
            daemon = socket.socket(socket.AF_UNIX)
            daemon.connect(where)
            return daemon
        host, _, port = where.partition(":")
        return socket.create_connection((host, int(port)))

    def _serve(self, client: socket.socket) -> None:
        daemon = self._connect()
        self._sockets += [client, daemon]
        threading.Thread(target=pass_on, args=(daemon, client), daemon=True).start()
        try:
            while data := client.recv(_CHUNK):
                # The client sends the head of a request in one piece.
                head = data.partition(b"\r\n")[0]
                if head.endswith(b" HTTP/1.1"):
                    self.seen.append(head.decode().rpartition(" ")[0])
                if head.startswith(b"POST ") and self._spoiled in head:
                    self.loads += 1
                    fault = self.faults.pop(0) if self.faults else self.last
                    if fault is not None:
                        data = fault(client, daemon, data)
                        if data is None:
                            break
                self.sent += len(data)
                daemon.sendall(data)
        except OSError:
            pass
        close(client)
        close(daemon)


def pass_on(source: socket.socket, target: socket.socket) -> None:
    """Copy one direction of a connection until it ends."""
    try:
        while data := source.recv(_CHUNK):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def close(connection: socket.socket) -> None:
    """Close a connection in both directions, also under a thread that reads from it."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def cut_after(size: int) -> Callable:
    """Return a fault: the connection breaks after so many bytes of the request."""

    def fault(client, daemon, data):
        seen = 0
        while data and seen + len(data) < size:
            daemon.sendall(data)
            seen += len(data)
            data = client.recv(_CHUNK)
        daemon.sendall(data[: size - seen])

    return fault


def answer(status: str, body: bytes, *, read: bool = True) -> Callable:
    """Return a fault: the proxy answers, and the container engine never sees the request.

    read: the whole of the request first; else the answer comes while it is still being sent.
    """

    def fault(client, _daemon, data):
        while read and not data.endswith(b"0\r\n\r\n"):  # the last chunk of the body
            data += client.recv(_CHUNK)
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n"
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    return fault


def first(action: Callable[[], None]) -> Callable:
    """Return a fault: something happens in the container engine just before the image comes."""

    def fault(_client, _daemon, data):
        action()
        return data

    return fault
