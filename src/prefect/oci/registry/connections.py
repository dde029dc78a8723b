"""Connections to registries: certificates, proxies, one pool for each origin.

Certificates are those that the system trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others), and,
as docker and podman have it, for a registry what lies in the first of these that exists:
`~/.config/containers/certs.d/HOST[:PORT]`, `/etc/containers/certs.d/HOST[:PORT]`,
`/etc/docker/certs.d/HOST[:PORT]`. There `*.crt` are authorities to trust besides, and `*.cert` with
a `*.key` of the same name is shown to the registry.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

import urllib3

from prefect.errors import RegistryError

if TYPE_CHECKING:
    from prefect.oci.registry.hosts import Origin

PARALLEL = 4  # requests at once to one registry: what docker and podman do, or nearly

_SYSTEM_DIRECTORIES = (Path("/etc/containers/certs.d"), Path("/etc/docker/certs.d"))


def pool_of(origin: Origin) -> urllib3.PoolManager:
    """Return connections to an origin: its certificates, and a proxy if the environment has one.

    Raises:
        RegistryError: a certificate or a proxy's address cannot be used.
    """
    context = _tls(origin) if origin.scheme == "https" else None
    if not (proxy := _proxy(origin)):
        return urllib3.PoolManager(maxsize=PARALLEL, ssl_context=context)
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        headers = urllib3.make_headers(
            proxy_basic_auth=f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            if parts.username else None
        )  # fmt: skip
        return urllib3.ProxyManager(
            where, maxsize=PARALLEL, ssl_context=context, proxy_headers=headers
        )
    except (ValueError, urllib3.exceptions.HTTPError):
        # Not the address itself: it may hold a password.
        raise RegistryError(
            f"The proxy that the environment names for {origin} has an address that cannot be "
            "used: see HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
        ) from None


def _proxy(origin: Origin) -> str | None:
    if origin.is_loopback:
        return None
    proxies = getproxies_environment()
    if proxy_bypass_environment(f"{origin.host}:{origin.port}", proxies):
        return None
    return proxies.get(origin.scheme) or proxies.get("all")


def _tls(origin: Origin) -> ssl.SSLContext:
    directory = _certificates(origin)
    try:
        context = ssl.create_default_context()
        for file in sorted(directory.iterdir()) if directory else ():
            if file.suffix == ".crt":
                context.load_verify_locations(file)
            elif file.suffix == ".cert":
                context.load_cert_chain(file, file.with_suffix(".key"))
    except OSError as error:  # ssl.SSLError is one
        raise RegistryError(
            f"The certificates for {origin.authority} in {directory or 'SSL_CERT_FILE'} cannot be "
            f"used: {error.strerror or type(error).__name__}. An authority is a PEM file *.crt; "
            "a client's certificate is *.cert with its key in *.key"
        ) from error
    return context


def _certificates(origin: Origin) -> Path | None:
    try:
        config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    except RuntimeError:  # a user without a home
        config = "/nonexistent"
    homes = (Path(config, "containers", "certs.d"), *_SYSTEM_DIRECTORIES)
    for home in homes:
        for name in (origin.authority, origin.with_port):
            if (home / name).is_dir():
                return home / name
    return None
