"""Where base images come from: a container engine, a registry, a layout or archive on disk."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.errors import ContainerEngineUnavailableError, ImageError, RegistryError
from prefect.frozen import replace
from prefect.images.base.image import BaseImage, assumed, look_into
from prefect.images.base.names import base_reference, implied_registry, names_a_path
from prefect.images.remembered import remember_image, remembered_image
from prefect.oci.daemon.image import described
from prefect.oci.images import Blob, Layer, canonical_json
from prefect.oci.layers.writing import CODEC, LAYER, compress_layer
from prefect.oci.platforms import Platform
from prefect.oci.references import Reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect.oci.cache.store import Store
    from prefect.oci.daemon.client import Daemon
    from prefect.oci.daemon.image import DaemonImage
    from prefect.oci.images import Image


class BaseSources:
    """Finds a base image where its layers are needed.

    Args:
        image: a reference, or the path of an OCI layout or of an image archive.
        platform: of an image for several; None takes Linux on this machine's processor.
        setup: shell commands that a container engine runs in the base first.
        network: the container engine's network for them.
        max_age: of what is known of its name in a registry, in seconds; None asks that each time.
    """

    def __init__(
        self,
        image: str,
        platform: Platform | None,
        setup: tuple[str, ...],
        network: str | None,
        progress: Callable[[str], None],
        max_age: float | None = None,
    ) -> None:
        self._image = image
        self._max_age = max_age
        self.platform = platform
        self.setup = setup
        self._network = network
        self._progress = progress

    def in_daemon(self, daemon: Daemon, store: Store) -> BaseImage:
        """Return the base with its layers in the container engine, pulled or built if need be.

        A base on disk is read from there: the container engine gets it with the first image.

        Raises:
            ImageError: it is absent, or is not fit to be a base.
        """
        if names_a_path(self._image):
            return self.with_layers(store)
        found = self._find(daemon)
        if found is None and self._is_foreign(daemon) and not self.setup:
            return self._in_registry(store)
        found = found or self._pull(daemon)
        name = pinned(base_reference(self._image), found)
        if self.setup:
            found = self._set_up(daemon, store, found, name)
        from prefect.oci.daemon.files import daemon_files  # noqa: PLC0415 - for engines alone

        image = described(found)
        base = look_into(
            image,
            name,
            store,
            lambda: daemon_files(daemon, found.id),
            progress=self._progress,
        )
        return replace(base, digest=Reference.parse(name).digest or "", daemon_id=found.id)

    def with_layers(self, store: Store) -> BaseImage:
        """Return the base with layers that can be read: from disk, a registry, or an engine.

        Raises:
            ImageError: nobody has it, or it is not fit to be a base.
            RegistryError: its registry cannot be reached or refuses it, and no container engine has
                it.
        """
        if self.setup:
            return self.out_of_daemon(_engine(), store)
        if names_a_path(self._image):
            from prefect.oci.archives import archive as archives  # noqa: PLC0415 - for bases on disk alone

            image = archives.read(Path(self._image).expanduser(), self.platform)
            base = look_into(_packed(image, store), self._image, store, progress=self._progress)
            return replace(base, digest=image.digest or "")
        try:
            return self._in_registry(store)
        except RegistryError:
            with suppress(ContainerEngineUnavailableError):
                daemon = _engine()
                held = daemon.find(str(base_reference(self._image)))
                if held is not None and self._suits(described(held).platform):
                    return self.out_of_daemon(daemon, store)
            raise

    def for_dockerfile(self, store: Store) -> BaseImage:
        """Return the base as far as it can be told without fetching it.

        Where neither a container engine has it nor a registry answers, it is taken to be a glibc
        Linux with this Python's series; the Dockerfile checks that when it is built.

        Raises:
            ImageError: it is on disk, where no Dockerfile can name it; or it is not fit.
        """
        if names_a_path(self._image):
            raise ImageError(
                f"A Dockerfile cannot start from {self._image}: load that into a container engine or push "
                "it to a registry, and name it as a reference"
            )
        with suppress(ContainerEngineUnavailableError):
            daemon = _engine()
            if daemon.find(str(base_reference(self._image))) is not None:
                return self.in_daemon(daemon, store)
        try:
            return self._in_registry(store)
        except RegistryError as error:
            self._progress(f"Not looked into: {error}")
            return assumed(str(base_reference(self._image)), self.platform or Platform.of_host())

    def _in_registry(self, store: Store) -> BaseImage:
        reference = base_reference(self._image)
        known = None
        if self._max_age is not None:
            known = remembered_image(store, reference, self.platform, self._max_age)
        image = known or self._fetched(reference, store)
        name = str(image.reference or base_reference(self._image))
        base = look_into(_kept(image, store), name, store, progress=self._progress)
        return replace(base, digest=image.named_digest or image.digest or "")

    def _fetched(self, reference: Reference, store: Store) -> Image:
        from prefect.oci.registry import client as registry  # noqa: PLC0415 - for registries alone

        try:
            image = registry.fetch_known(reference, self.platform, store)
        except RegistryError as error:
            raise type(error)(f"{error}{implied_registry(self._image)}") from error
        remember_image(store, reference, self.platform, image)
        return image

    def _find(self, daemon: Daemon) -> DaemonImage | None:
        """Return the base as the daemon has it, which may be for another platform alone."""
        found = daemon.find(str(base_reference(self._image)))
        platform = self.platform or Platform.of_host()
        return found if found is not None and described(found).platform == platform else None

    def _suits(self, here: Platform) -> bool:
        return self.platform is None or self.platform.preference(here) is not None

    def _is_foreign(self, daemon: Daemon) -> bool:
        """Tell whether the container engine would have the base and yet not show it.

        containerd's store has the images of all platforms by one name, and shows the machine's own.
        """
        foreign = self.platform not in {None, Platform.of_host()}
        return foreign and _keeps_packed(daemon)

    def _pull(self, daemon: Daemon) -> DaemonImage:
        name = str(base_reference(self._image))
        self._progress(f"Pulling the base image {name}")
        try:
            found = daemon.pull(name, platform=self.platform, progress=self._progress)
        except ImageError:
            # Made here, and never pushed, for another platform than this machine's.
            held = daemon.find(name)
            if held is None or self.platform is not None:
                raise
            return held
        here = described(found).platform
        if not self._suits(here):
            raise ImageError(f"The base image {name} is for {here}, and not for {self.platform}")
        return found

    def _set_up(self, daemon: Daemon, store: Store, base: DaemonImage, name: str) -> DaemonImage:
        """Run the set-up commands in the base, unless what they made is still there."""
        identity = canonical_json([base.id, self.setup])
        key = f"setup-{hashlib.sha256(identity).hexdigest()}"
        known = store.recall(key)
        if known is not None and (found := daemon.find(str(known))) is not None:
            return found
        user = described(base).settings.get("User")
        lines = [f"FROM {base.id}", "USER root", *(f"RUN {line}" for line in self.setup)]
        lines += [f"USER {user}"] if user else []
        text = "".join(f"{line}\n" for line in lines)
        self._progress(f"Building the base {name} with its set-up commands")
        built = daemon.build(
            {"Dockerfile": text.encode()}, network=self._network, progress=self._progress
        )
        store.remember(key, built.id)
        return built

    def out_of_daemon(self, daemon: Daemon, store: Store) -> BaseImage:
        """Return the base with its layers taken out of the container engine, which happens once."""
        base = self.in_daemon(daemon, store)
        if not base.daemon_id:
            return base  # on disk: its layers are at hand

        # It saves layers as they came, and images of several platforms.
        packed = _keeps_packed(daemon)

        @cache
        def saved() -> dict[str, Layer]:
            self._progress(f"Taking the base image {base.reference} out of the container engine")
            # In the store's own directory, which goes with it: layers may be read until then.
            path = store.scratch() / f"{base.daemon_id.replace(':', '-')}.tar"
            with store.told_if_full():
                daemon.save(base.daemon_id, path)
            from prefect.oci.archives import archive as archives  # noqa: PLC0415 - for bases on disk alone

            image = archives.read(path, base.image.platform if packed else None)
            return {layer.diff_id: layer for layer in image.layers}

        def find(diff_id: str) -> Layer:
            try:
                return saved()[diff_id]
            except KeyError:
                raise ImageError(
                    f"The container engine gave away the base image {base.reference} without "
                    f"its layer {diff_id}. Pull that image again"
                ) from None

        layers = tuple(
            _layer_as_saved(layer.diff_id, find, store, base.daemon_id)
            if packed
            else _packed_layer(layer.diff_id, find, store)
            for layer in base.image.layers
        )
        return replace(base, image=replace(base.image, layers=layers))


def _engine() -> Daemon:
    from prefect.oci.daemon.client import Daemon  # noqa: PLC0415 - for container engines alone

    return Daemon()


def _keeps_packed(daemon: Daemon) -> bool:
    """Tell whether a container engine keeps images in containerd's store."""
    from prefect.oci.daemon.client import Storage  # noqa: PLC0415 - as above

    return daemon.storage is Storage.CONTAINERD


def _kept(image: Image, store: Store) -> Image:
    """Have the store keep the layers that are read: to look for Python, and at each export."""
    layers = tuple(
        layer if layer.blob is None else replace(layer, blob=store.blob(layer.blob))
        for layer in image.layers
    )
    return replace(image, layers=layers)


def _packed(image: Image, store: Store) -> Image:
    """Compress the layers that are not; the store keeps them."""
    found = {layer.diff_id: layer for layer in image.layers}
    layers = tuple(
        _packed_layer(layer.diff_id, found.__getitem__, store)
        if layer.blob is not None and layer.blob.media_type.endswith(".tar")
        else layer
        for layer in image.layers
    )
    return replace(image, layers=layers)


def _packed_layer(diff_id: str, find: Callable[[str], Layer], store: Store) -> Layer:
    key = f"packed-{CODEC}-{diff_id}"
    return store.layer(key, lambda file: compress_layer(find(diff_id), file), LAYER)


def _layer_as_saved(diff_id: str, find: Callable[[str], Layer], store: Store, image: str) -> Layer:
    """Return a layer packed as the container engine has it, which need not be sent to it then.

    Of an image whose id once told what its layers are, none is taken out before it is read.
    """

    def blob() -> Blob:
        found = find(diff_id).blob
        if found is None:
            raise ImageError(
                f"The container engine gave away the layer {diff_id} without its bytes"
            )
        return found

    key = f"saved-{image}-{diff_id}"
    match store.recall(key):
        case [str(media_type), str(digest), int(size)]:
            pass
        case _:
            first = blob()
            media_type, digest, size = first.media_type, first.digest, first.size
            store.remember(key, [media_type, digest, size])
    return Layer(diff_id, store.blob(Blob(media_type, digest, size, lambda: blob().open())))


def pinned(reference: Reference, image: DaemonImage) -> str:
    """Return an image's name by digest, where a registry of that name gave it one."""
    if reference.digest:
        return str(reference)
    for digest in image.repo_digests:
        if Reference.parse(digest).name == reference.name:
            return digest
    return str(reference)
