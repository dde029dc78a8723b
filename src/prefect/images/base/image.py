"""What a base image offers: its layers, its pinned name, its Python, its C library."""

from __future__ import annotations

import hashlib
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from prefect.dependencies.uv import platform_name
from prefect.errors import ImageError
from prefect.frozen import frozen
from prefect.images.base.python import (
    WANTED,
    declared_python,
    declared_version,
    find_libc,
    find_python,
)
from prefect.images.labels import LABEL_VERSION
from prefect.oci.images import Image, canonical_json
from prefect.oci.layers.files import LayerFiles
from prefect.oci.platforms import machine_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from prefect.images.base.python import Files
    from prefect.oci.cache.store import Store
    from prefect.oci.platforms import Platform

_SEARCH = 1  # counts up when the search finds something else
_ARCHITECTURES = ("amd64", "arm64", "riscv64")  # for which uv knows wheels


@frozen
class BaseImage:
    """A base image that was looked into.

    Args:
        image: its layers and its config.
        reference: by digest when a registry gave one, else as it was named.
        interpreter: absolute path of its Python program.
        python: its series, such as "3.11".
        platform: uv's name of its platform.
        version: of its Python, such as "3.11.9"; its series where the config does not tell more.
        digest: by which its name leads to it, for several platforms that of all of them; "" where
            where it comes from tells none.
        daemon_id: the image's id in the container engine that has it; "" for one from elsewhere.
    """

    image: Image
    reference: str
    interpreter: str
    python: str
    platform: str
    version: str
    digest: str = ""
    daemon_id: str = ""

    @property
    def user(self) -> str:
        """As which its containers run; "" for root."""
        return str(self.image.settings.get("User") or "")


def look_into(
    image: Image,
    reference: str,
    store: Store,
    files: Callable[[], AbstractContextManager[Files]] | None = None,
    *,
    progress: Callable[[str], None] | None = None,
) -> BaseImage:
    """Find the Python and the C library of a base image; nothing of it is executed.

    Args:
        files: gives access to its files where a container engine has them; else its layers are
            read.
        progress: gets a line of text where that takes a while: once for a base.

    Raises:
        ImageError: it has no Python, or one that is not fit for flows.
        ImageContentError: its layers are malformed.
    """
    environment = dict(
        line.split("=", 1) for line in image.settings.get("Env") or () if "=" in line
    )
    platform = image.platform
    if LABEL_VERSION in image.labels:
        raise ImageError(
            f"The base image {reference} was itself built by prefect: its dependencies would mix "
            "with those of the new image. Name the image that it was built on"
        )
    if platform.os != "linux" or platform.architecture not in _ARCHITECTURES:
        raise ImageError(
            f"The base image {reference} is for {platform}; flow images can be built for linux on "
            f"{', '.join(_ARCHITECTURES)}"
        )
    # What is found depends on these alone: true for ever, wherever they came from.
    identity = [
        _SEARCH,
        [layer.diff_id for layer in image.layers],
        platform.architecture,
        environment.get("PATH"),
        declared_python(environment),
    ]
    key = f"base-{hashlib.sha256(canonical_json(identity)).hexdigest()}"
    found = store.recall(key)
    if found is None:
        if progress is not None:
            progress(f"Looking for Python in the base image {reference}")
        found = _search(image, environment, reference, files)
        store.remember(key, found)
    glibc = found["glibc"]
    return BaseImage(
        image=image,
        reference=reference,
        interpreter=found["interpreter"],
        python=found["python"],
        version=declared_version(environment) or found["python"],
        platform=platform_name(machine_of(platform.architecture), tuple(glibc) if glibc else None),
    )


def assumed(reference: str, platform: Platform) -> BaseImage:
    """Return a base that nobody could look into: Debian's or the official image's like."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    machine = machine_of(platform.architecture)
    parts = dict(zip(("os", "architecture", "variant"), str(platform).split("/"), strict=False))
    return BaseImage(
        Image(canonical_json(parts), ()),
        reference,
        "python3",
        python,
        platform_name(machine, (2, 28)),
        python,
    )


def _search(
    image: Image,
    environment: dict[str, str],
    reference: str,
    files: Callable[[], AbstractContextManager[Files]] | None,
) -> dict[str, Any]:
    architecture = image.platform.architecture
    if files is None:
        layers = LayerFiles(image, WANTED)
        declared = declared_python(environment)
        for _ in layers.read_layers():
            if declared is None:
                continue
            # Its Python is known: the layer with the C library, mostly the first, is enough.
            try:
                glibc = find_libc(layers, architecture, declared[0], reference)
            except ImageError:
                continue
            return {"interpreter": declared[0], "python": declared[1], "glibc": glibc}
        files = lambda: nullcontext(layers)  # noqa: E731
    with files() as opened:
        interpreter, python = find_python(opened, environment, reference)
        glibc = find_libc(opened, architecture, interpreter, reference)
    return {"interpreter": interpreter, "python": python, "glibc": glibc}
