"""Container images and where they are kept. Nothing here knows what a flow is.

Build passes here on its way to a registry, a file or a container engine; info to look into an image;
run to start one. References, platforms, digests and image manifests are values; layers, registries,
archives, container engines and the cache have a folder each.
"""

from __future__ import annotations

from prefect.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prefect.oci.archives.archive import read, write
    from prefect.oci.digests import verified
    from prefect.oci.images import Blob, Image, Layer, derive
    from prefect.oci.layers.unpacking import walk
    from prefect.oci.platforms import Platform
    from prefect.oci.references import Reference
    from prefect.oci.registry.client import Pushed, fetch, push, resolve

__all__ = [
    "Blob",
    "Image",
    "Layer",
    "Platform",
    "Pushed",
    "Reference",
    "derive",
    "fetch",
    "push",
    "read",
    "resolve",
    "verified",
    "walk",
    "write",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "Blob": "prefect.oci.images",
        "Image": "prefect.oci.images",
        "Layer": "prefect.oci.images",
        "Platform": "prefect.oci.platforms",
        "Pushed": "prefect.oci.registry.client",
        "Reference": "prefect.oci.references",
        "derive": "prefect.oci.images",
        "fetch": "prefect.oci.registry.client",
        "push": "prefect.oci.registry.client",
        "read": "prefect.oci.archives.archive",
        "resolve": "prefect.oci.registry.client",
        "verified": "prefect.oci.digests",
        "walk": "prefect.oci.layers.unpacking",
        "write": "prefect.oci.archives.archive",
    },
)
