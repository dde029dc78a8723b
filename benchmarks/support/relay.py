"""A relay that counts what is sent to a registry, or a scheduler, and back; in a process of its own."""

from __future__ import annotations

import multiprocessing
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized


class Relay:
    """Listens on loopback while it is entered, and passes everything on to a registry.

    registry: its host and port.
    """

    def __init__(self, registry: str) -> None:
        host, _, port = registry.rpartition(":")
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        context = multiprocessing.get_context("fork")  # before there are threads
        self._count, self._back = context.Value("q", 0), context.Value("q", 0)
        arguments = (self._listener, (host, int(port)), self._count, self._back)
        self._process = context.Process(target=_listen, args=arguments, daemon=True)

    @property
    def sent(self) -> int:
        """How many bytes clients have sent, with the heads of their requests."""
        return self._count.value

    @property
    def received(self) -> int:
        """How many bytes clients have received."""
        return self._back.value

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()
        self._listener.close()


def _listen(
    listener: socket.socket,
    registry: tuple[str, int],
    count: Synchronized[int],
    back: Synchronized[int],
) -> None:
    while True:
        client, _ = listener.accept()
        server = socket.create_connection(registry)
        for source, target, counter in ((client, server, count), (server, client, back)):
            for one in (source, target):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_pump, args=(source, target, counter), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket, count: Synchronized[int]) -> None:
    buffer = memoryview(bytearray(1 << 18))
    with suppress(OSError):
        while length := source.recv_into(buffer):
            with count.get_lock():
                count.value += length
            target.sendall(buffer[:length])
        target.shutdown(socket.SHUT_WR)
