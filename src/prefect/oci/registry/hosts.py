"""What a registry's address says: where its API is, and whether plain http will do.

Plain http is for loopback, and for hosts that somebody asked for by name. Credentials and images
never go from https to plain http, whatever a registry answers.
"""

from __future__ import annotations

import ipaddress
import os
import re
from urllib.parse import urljoin, urlsplit

from prefect.errors import RegistryError
from prefect.frozen import frozen
from prefect.oci.references import DEFAULT_REGISTRY
from prefect.patterns import pattern

INSECURE_VARIABLE = "PREFECT_INSECURE_REGISTRIES"

_HUB = frozenset({DEFAULT_REGISTRY, "index.docker.io", "registry-1.docker.io"})
_HUB_API = "registry-1.docker.io"
_PORTS = {"http": 80, "https": 443}
# Without what parsers of URLs disagree about: blanks, controls, backslashes, user names.
_URL = pattern(r"https?://[A-Za-z0-9._:\[\]-]+(?:[/?#][!-~]*)?", re.IGNORECASE)


@frozen
class Origin:
    """Scheme, host and port: what has to be the same for credentials to be sent."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> Origin:
        """Take the origin of an absolute URL.

        Raises:
            ValueError: it is no URL of http or https, or one that carries a user's name.
        """
        if not _URL.fullmatch(url) or "\\" in url or not url.isascii():
            raise ValueError("not a URL of http or https")
        parts = urlsplit(url)
        if not parts.hostname:
            raise ValueError("a URL without a host")
        scheme = parts.scheme.lower()
        return cls(scheme, parts.hostname.lower(), parts.port or _PORTS[scheme])

    @property
    def with_port(self) -> str:
        """Host and port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def authority(self) -> str:
        """Host and port as registries are named: without the scheme's own port."""
        own = self.port == _PORTS[self.scheme]
        return self.with_port.removesuffix(f":{self.port}") if own else self.with_port

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine, by its address or by the name `localhost`."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


def is_docker_hub(registry: str) -> bool:
    """Tell whether this is one of Docker Hub's names."""
    return registry.lower() in _HUB


def api_of(registry: str) -> str:
    """Return `host[:port]` of a registry's API, which for docker.io is another host."""
    return _HUB_API if is_docker_hub(registry) else registry.lower()


@frozen
class Rules:
    """Where a registry may send its clients.

    Args:
        registry: `host[:port]` of its API.
        insecure: True allows plain http for this registry, False forbids it even on loopback; None
            means loopback and what `PREFECT_INSECURE_REGISTRIES` lists (host[:port], with commas).
    """

    registry: str
    insecure: bool | None = None

    def schemes(self) -> tuple[str, ...]:
        """Return the schemes to try with the registry, in order."""
        plain = self.may_be_plain(Origin.parse(f"http://{self.registry}"))
        return ("http", "https") if plain else ("https",)

    def may_be_plain(self, origin: Origin) -> bool:
        """Tell whether plain http may be spoken to it."""
        own = origin.authority == Origin.parse(f"http://{self.registry}").authority
        if own and self.insecure is not None:
            return self.insecure
        listed = os.environ.get(INSECURE_VARIABLE, "").lower().split(",")
        return origin.is_loopback or origin.authority in {name.strip() for name in listed}

    def follow(self, url: str, location: str, what: str) -> str:
        """Return where `location` leads from `url`, if that is allowed.

        Args:
            what: names the location in the error, such as "a redirect".

        Raises:
            RegistryError: it leads to plain http where that was not asked for, or onto loopback
                from elsewhere, or is no URL.
        """
        start = Origin.parse(url)
        try:
            target = urljoin(url, location) if location else ""
            end = Origin.parse(target)
        except ValueError:
            raise RegistryError(
                f"The registry {self.registry} gave {what} that is no URL of http or https"
            ) from None
        if end.scheme == "http" and (start.scheme == "https" or not self.may_be_plain(end)):
            raise RegistryError(
                f"The registry {self.registry} gave {what} to {end}, which is not followed: plain "
                "http is spoken to loopback and to the hosts of "
                f"{INSECURE_VARIABLE} alone. Behind a proxy, a registry must be told its own "
                "address (X-Forwarded-Proto)"
            )
        if end.is_loopback and not start.is_loopback:
            raise RegistryError(
                f"The registry {self.registry} gave {what} to {end}, which is this machine: "
                "not followed"
            )
        return target

    def upload(self, url: str, location: str) -> str:
        """Return where an upload goes on: at the registry itself, nowhere else.

        Raises:
            RegistryError: the registry sends uploads to another host or scheme.
        """
        target = self.follow(url, location, "a place for an upload")
        if Origin.parse(target) != Origin.parse(url):
            raise RegistryError(
                f"The registry {self.registry} wants an upload to go to {Origin.parse(target)}, "
                "another origin than its own: refused. Behind a proxy, a registry must be told "
                "its own address"
            )
        return target
