"""Other ways to a real container engine: TCP, TLS, and an `ssh` that stays on this machine."""

import os
import socket
import ssl
import sys
import threading
from pathlib import Path

from faulty_daemon import Relay, close, pass_on


class DaemonRelay(Relay):
    """Passes every connection on to a container engine; over TLS if a context is given.

    port: of loopback.
    connections: how many came through, their TLS included.
    """

    def __init__(self, address: str, context: ssl.SSLContext | None = None) -> None:
        self._address, self._context = address, context
        self.connections = 0
        server = socket.create_server(("127.0.0.1", 0))
        self.port = server.getsockname()[1]
        super().__init__(server)

    def _serve(self, client: socket.socket) -> None:
        try:
            if self._context:
                client = self._context.wrap_socket(client, server_side=True)
        except OSError:
            close(client)
            return
        self.connections += 1
        daemon = socket.socket(socket.AF_UNIX)
        daemon.connect(self._address.removeprefix("unix://"))
        self._sockets += [client, daemon]
        back = threading.Thread(target=pass_on, args=(daemon, client), daemon=True)
        back.start()
        pass_on(client, daemon)
        back.join()
        close(client)
        close(daemon)


SSH = """#!{python}
import os, sys
with open({log!r}, "a") as log:
    print(os.getpid(), *sys.argv[1:], sep="\\t", file=log)
remote = sys.argv[-1]  # what the shell of the other machine runs
if "no-such-host" in sys.argv:
    sys.exit("ssh: Could not resolve hostname no-such-host: Name or service not known")
os.environ.update({{"PATH": {path!r}, "DOCKER_HOST": {address!r}}})
os.environ.pop("DOCKER_CONTEXT", None)
os.execvp("sh", ["sh", "-c", remote])
"""


def write_ssh(directory: Path, address: str) -> Path:
    """Write a program `ssh` that runs the remote command here, for an engine; return its log."""
    log = directory / "ssh.log"
    program = directory / "ssh"
    program.write_text(
        SSH.format(python=sys.executable, log=str(log), path=os.environ["PATH"], address=address)
    )
    program.chmod(0o755)
    return log
