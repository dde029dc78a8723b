"""Connections to a container engine: over a Unix socket, TCP, TLS, or the system's ssh.

They are the standard library's, which a command pays for at each start: urllib3 costs more than twice
as much (docs/adr/0022-a-client-of-our-own-for-container-engines.md).
"""

from __future__ import annotations

import contextlib
import http.client
import os
import select
import socket
from typing import TYPE_CHECKING, BinaryIO

from prefect.errors import ContainerEngineUnavailableError

if TYPE_CHECKING:
    import ssl
    import subprocess

    from prefect.oci.daemon.endpoints import TLS, Endpoint

CONNECT_SECONDS = 15
_SSH_SECONDS = 30
_WORDS = 4096  # bytes of what ssh says


def connect(endpoint: Endpoint) -> http.client.HTTPConnection:
    """Return an open connection.

    Raises:
        OSError: there is nobody, or nobody whose certificate is trusted.
        ContainerEngineUnavailableError: a certificate cannot be read, or there is no ssh.
    """
    parts = endpoint.parts
    connection: http.client.HTTPConnection
    match parts.scheme:
        case "unix":
            connection = _UnixConnection(parts.path)
        case "ssh":
            connection = _SSHConnection(_ssh_command(endpoint))
        case "https" if endpoint.tls:
            connection = http.client.HTTPSConnection(
                parts.hostname or "",
                parts.port,
                timeout=CONNECT_SECONDS,
                context=_context(endpoint.tls),
            )
        case _:
            connection = http.client.HTTPConnection(
                parts.hostname or "", parts.port, timeout=CONNECT_SECONDS
            )
    try:
        connection.connect()
    except BaseException:
        end(connection)
        raise
    return connection


def end(connection: http.client.HTTPConnection) -> None:
    """Close a connection, and end the program that makes it if there is one."""
    connection.close()
    if isinstance(connection, _SSHConnection):
        connection.end()


def is_alive(connection: http.client.HTTPConnection) -> bool:
    """Tell whether an idle connection can still be used: the other side has not ended it."""
    if connection.sock is None:
        return False
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return not poll.poll(0)  # neither its end nor words that nobody asked for


def words_of(connection: http.client.HTTPConnection) -> str:
    """Return what the program that makes the connection says of its failure, if there is one."""
    return connection.words() if isinstance(connection, _SSHConnection) else ""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(CONNECT_SECONDS)
        self.sock.connect(self._path)


class _SSHConnection(http.client.HTTPConnection):
    """A connection whose other end is the standard input and output of a program."""

    def __init__(self, command: list[str]) -> None:
        super().__init__("localhost")
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: BinaryIO | None = None
        self._owner = os.getpid()

    def connect(self) -> None:
        # Imported here, for those alone who are far from their container engine.
        import subprocess  # noqa: PLC0415
        import tempfile  # noqa: PLC0415

        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - a pipe would fill up
        self.sock, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - the system's ssh, no shell
                    self._command,
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=self._errors,
                    # Ctrl-C is for us, who still have to tidy up over this connection.
                    start_new_session=True,
                )
            except FileNotFoundError:
                raise ContainerEngineUnavailableError(
                    f"There is no program {self._command[0]!r} here, which a container engine at "
                    "an ssh:// address needs: install OpenSSH's client"
                ) from None

    def words(self) -> str:
        if self._errors is None:
            return ""
        if self._process is not None:
            import subprocess  # noqa: PLC0415 - as above

            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1)  # it may be about to say more
        self._errors.seek(0)
        lines = self._errors.read(_WORDS).decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def end(self) -> None:
        # Not `close`, which is also called while an answer that ends the connection is read.
        process, self._process = self._process, None
        if process is not None and os.getpid() == self._owner:
            process.terminate()
            process.wait()
        if self._errors is not None:
            self._errors.close()
            self._errors = None


def _ssh_command(endpoint: Endpoint) -> list[str]:
    """Return the command that reaches a container engine through the shell of its machine."""
    import shlex  # noqa: PLC0415 - for ssh alone

    parts = endpoint.parts
    options = ["-T", "-o", f"ConnectTimeout={_SSH_SECONDS}"]
    if parts.username:
        options += ["-l", parts.username]
    if parts.port:
        options += ["-p", str(parts.port)]
    where = ["--host", f"unix://{parts.path}"] if parts.path.strip("/") else []
    remote = shlex.join(["docker", *where, "system", "dial-stdio"])
    return ["ssh", *options, "--", parts.hostname or "", remote]


def _context(tls: TLS) -> ssl.SSLContext:
    import ssl  # noqa: PLC0415 - http.client has it already, but for Pythons without

    try:
        context = ssl.create_default_context(cafile=tls.ca)
        if not tls.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if tls.certificate:
            context.load_cert_chain(tls.certificate, tls.key)
    except OSError as error:  # ssl.SSLError is one
        files = ", ".join(str(file) for file in (tls.ca, tls.certificate, tls.key) if file)
        raise ContainerEngineUnavailableError(
            f"The certificates for the container engine cannot be used ({files}): "
            f"{error.strerror or type(error).__name__}. Docker wants PEM files of these names in the "
            "directory that DOCKER_CERT_PATH names"
        ) from error
    return context
