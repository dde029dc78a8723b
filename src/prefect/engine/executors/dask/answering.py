"""Whether somebody answers at the address of a Dask scheduler, before Dask's client tries for long."""

from __future__ import annotations

import socket

from prefect.errors import ExecutorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ANSWER_SECONDS = 10  # a scheduler that listens answers in far less


def require_certificate(address: str, security: Any) -> None:
    """Refuse an address of TLS for which nothing says who is to be trusted: a client waits, and leaves a traceback.

    Raises:
        ExecutorError: neither the arguments nor Dask's configuration say it, or the files that they name cannot be read.
    """
    import dask  # noqa: PLC0415  # an extra
    from distributed import Security  # noqa: PLC0415  # an extra

    if not address.startswith(("tls://", "wss://")):
        return
    if security is None:
        known = bool(dask.config.get("distributed.client.security-loader", None))
    else:
        # What else it may be, Dask's client makes one of.
        known = not isinstance(security, Security)
    if not known and _context(security) is None:
        raise ExecutorError(
            f"Nothing says which certificates to speak with {address} by: give client_kwargs={{'security': "
            "distributed.Security(...)} with tls_ca_file, tls_client_cert and tls_client_key, or set "
            "DASK_DISTRIBUTED__COMM__TLS__CA_FILE, ..._TLS__CLIENT__CERT and ..._TLS__CLIENT__KEY"
        )


def require_listener(address: str, timeout: Any, security: Any) -> None:
    """Refuse an address at once where nobody listens, or who listens says nothing.

    Dask's client tries again for half a minute, and waits for ever for one that does not answer.

    Raises:
        OSError: nobody listens there, or answers.
        ValueError: it is no address.
    """
    from distributed.comm.addressing import (  # noqa: PLC0415  # an extra
        get_address_host_port,
        parse_address,
    )
    from distributed.comm.registry import get_backend  # noqa: PLC0415  # an extra

    kind = parse_address(address)[0]
    # Or what is left of a client that cannot be made waits, and leaves a traceback.
    get_backend(kind)
    if kind not in {"tcp", "tls", "ws", "wss"}:
        return
    seconds = timeout if isinstance(timeout, int | float) else ANSWER_SECONDS
    with socket.create_connection(get_address_host_port(address), timeout=seconds) as connection:
        try:
            if kind == "tcp":  # where a scheduler speaks first
                connection.recv(1)
            elif kind == "tls":
                # Or the scheduler would note in its log that we left before the handshake.
                _shake_hands(connection, security)
        except TimeoutError as error:
            other = "speaks TLS (tls://)" if kind == "tcp" else "speaks no TLS (tcp://)"
            raise TimeoutError(
                f"who listens there has said nothing for {seconds:g} s, as one that is frozen, is no "
                f"scheduler, or {other} does"
            ) from error


def _context(security: Any) -> Any:
    """Return what is to be spoken by; None where nothing says it, or it is none of Dask's.

    Raises:
        ExecutorError: a file that is named cannot be read.
    """
    from distributed import Security  # noqa: PLC0415  # an extra

    made: Any = security if isinstance(security, Security) else Security()  # type: ignore[no-untyped-call]
    try:
        return made.get_connection_args("client")["ssl_context"]
    except OSError as error:  # which names no file
        given = filter(None, (made.tls_ca_file, made.tls_client_cert, made.tls_client_key))
        # What is given as text, rather than as a file, may be the key itself.
        files = [repr(each) for each in given if "-----" not in each] or ["none"]
        raise ExecutorError(
            f"A certificate or key to speak TLS by cannot be read: {error}. Dask's configuration, or the "
            f"security that is given, names these files: {', '.join(files)}"
        ) from error


def _shake_hands(connection: socket.socket, security: Any) -> None:
    """Begin to speak TLS, and end; what does not fit there is for Dask's client to say.

    Raises:
        OSError: who listens speaks no TLS, of which the client says nothing.
    """
    context = _context(security)
    if context is None:
        return
    import ssl  # noqa: PLC0415  # seldom needed

    try:
        with context.wrap_socket(connection) as shaken:
            shaken.unwrap()
    except ssl.SSLError as error:
        if error.reason == "WRONG_VERSION_NUMBER":  # so OpenSSL calls what is no TLS at all
            raise OSError("who listens there speaks no TLS (tcp://)") from error
