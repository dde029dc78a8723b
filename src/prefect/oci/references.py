"""Image references: `[registry/]repository[:tag][@digest]`, as they are written everywhere."""

from __future__ import annotations

import hashlib
import re

from prefect.frozen import frozen, replace
from prefect.oci.digests import DIGEST
from prefect.patterns import pattern

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"
_FORMER_REGISTRY = "index.docker.io"  # the same, and container engines know it as that

_LONGEST_NAME = 64

# The grammar of the OCI distribution specification and of Docker's reference package.
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = pattern(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = pattern(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_REGISTRY = pattern(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?")


@frozen
class Reference:
    """One image's name, taken apart.

    Two spellings of one image compare equal: `python` is `docker.io/library/python:latest`.

    Args:
        registry: host[:port], "docker.io" for Docker Hub.
        repository: its path there, such as "library/python".
        tag: None where a digest alone names the image.
        digest: "sha256:" and 64 hexadecimal digits.
    """

    registry: str
    repository: str
    tag: str | None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Take a reference apart.

        Args:
            text: `[registry/]repository[:tag][@digest]`; without tag and digest, the tag is
                "latest".

        Raises:
            TypeError: it is not a str.
            ValueError: it is no image reference; the message says which part is wrong.
        """
        if not isinstance(text, str):
            raise TypeError(f"An image reference is a str, not {type(text).__name__}")
        name, at, digest = text.partition("@")
        if at and not DIGEST.fullmatch(digest):
            raise ValueError(f"{text!r} is no image reference: its digest is not sha256:<64 hex>")
        head, slash, rest = name.partition("/")
        explicit = slash and ("." in head or ":" in head or head == "localhost")
        registry, path = (head, rest) if explicit else (DEFAULT_REGISTRY, name)
        repository, colon, tag = path.partition(":")
        if colon and not _TAG.fullmatch(tag):
            raise ValueError(f"{text!r} is no image reference: its tag {tag!r} is not valid")
        if registry == _FORMER_REGISTRY:
            registry = DEFAULT_REGISTRY
        if registry == DEFAULT_REGISTRY and "/" not in repository:
            repository = f"library/{repository}"
        if not _REGISTRY.fullmatch(registry) or not _REPOSITORY.fullmatch(repository):
            hint = "; repositories are lower-case" if name != name.lower() else ""
            raise ValueError(f"{text!r} is no image reference{hint}")
        return cls(registry, repository, tag or (None if at else DEFAULT_TAG), digest or None)

    @classmethod
    def of_target(cls, text: str) -> Reference:
        """Take the name apart under which an image is pushed.

        Raises:
            TypeError: it is not a str.
            ValueError: it is no image reference, has a digest, or leads to Docker's own images.
        """
        target = cls.parse(text)
        if target.digest:
            raise ValueError(f"{text!r} has a digest, which follows from the image: leave it out")
        if target.registry == DEFAULT_REGISTRY and "/" not in text:
            raise ValueError(
                f"{text!r} names no registry, and would go to Docker Hub, as {DEFAULT_REGISTRY}/"
                f"{target.repository}, where only Docker itself may push. Write HOST/{text}, or "
                f"USER/{text} for Docker Hub"
            )
        return target

    def on(self, registry: str) -> Reference:
        """Return the same image at another registry, `host[:port][/prefix]`."""
        host, _, prefix = registry.strip("/").partition("/")
        repository = self.repository
        if self.registry == DEFAULT_REGISTRY:
            repository = repository.removeprefix("library/")
        if prefix:
            repository = f"{prefix}/{repository}"
        return replace(self, registry=host, repository=repository)

    @property
    def name(self) -> str:
        """Registry and repository, without tag and digest, as short as container engines show it."""
        if self.registry == DEFAULT_REGISTRY:
            return self.repository.removeprefix("library/")
        return f"{self.registry}/{self.repository}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


def image_name(name: str) -> str:
    """Return a repository's name for a text: what cannot stand in one is told apart by a hash."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_LONGEST_NAME].strip("-")
    lossless = slug and name.isascii() and len(name) <= _LONGEST_NAME
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:8]
    return slug if lossless else f"{slug or 'flow'}-{digest}"
