"""A TCP proxy whose network can be cut: what goes through it is held back, or its connections break."""

import contextlib
import selectors
import socket
import threading


class Proxy:
    """Listens on loopback, and passes on to an address what comes in, and back.

    Args:
        port: of the target, on loopback.
    """

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._partners: dict[socket.socket, socket.socket] = {}
        self._lock = threading.Lock()
        self._passes = threading.Event()
        self._passes.set()
        self._over = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Hold back what comes, as a network does that loses everything; nobody is told."""
        self._passes.clear()
        self._wake.send(b"x")

    def restore(self) -> None:
        """Let through what was held back."""
        self._passes.set()

    def break_connections(self) -> None:
        """Close the connections, on both sides; others may be made."""
        with self._lock:
            for each in list(self._partners):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """Close everything."""
        self._over = True
        self._passes.set()
        self._wake.send(b"x")
        self._thread.join(30)
        for each in (self._listener, self._wake, self._woken, *self._partners):
            each.close()
        self._selector.close()

    def _work(self) -> None:
        while not self._over:
            for key, _ in self._selector.select():
                self._passes.wait()
                if self._over:
                    return
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj is self._woken:
                    self._woken.recv(1)
                elif key.fileobj in self._partners:  # else its partner has just closed it
                    self._pass_on(key.fileobj)

    def _accept(self) -> None:
        ours, _ = self._listener.accept()
        try:
            theirs = socket.create_connection(self._target, timeout=5)
        except OSError:
            ours.close()
            return
        theirs.settimeout(None)
        with self._lock:
            for one, other in ((ours, theirs), (theirs, ours)):
                self._partners[one] = other
                self._selector.register(one, selectors.EVENT_READ)

    def _pass_on(self, one: socket.socket) -> None:
        other = self._partners[one]
        try:
            data = one.recv(1 << 16)
            if data:
                other.sendall(data)
                return
        except OSError:
            pass
        with self._lock:
            for each in (one, other):
                self._selector.unregister(each)
                del self._partners[each]
                each.close()
