"""Where base images come from: an engine, a registry, a layout or archive on disk."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.environments.base_image import BaseImage, assumed, look_into
from prefect.environments.base_names import base_reference, names_a_path
from prefect.errors import EngineUnavailableError, ImageError, RegistryError
from prefect.oci import archives, registry
from prefect.oci.daemon import Engine, Storage, described
from prefect.oci.engine_files import engine_files
from prefect.oci.images import Blob, Layer, canonical
from prefect.oci.layers import CODEC, LAYER, compress_layer
from prefect.oci.platforms import Platform
from prefect.oci.references import Reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect.oci.daemon import Image as EngineImage
    from prefect.oci.images import Image
    from prefect.oci.store import Store


class BaseSources:
    """Finds a base image where its layers are needed.

    image: a reference, or the path of an OCI layout or of an image archive.
    platform: of an image for several; None takes Linux on this machine's processor.
    setup: shell commands that an engine runs in the base first.
    network: the engine's network for them.
    """

    def __init__(
        self,
        image: str,
        platform: Platform | None,
        setup: tuple[str, ...],
        network: str | None,
        progress: Callable[[str], None],
    ) -> None:
        self._image = image
        self.platform = platform
        self.setup = setup
        self._network = network
        self._progress = progress

    def in_engine(self, engine: Engine, store: Store) -> BaseImage:
        """Return the base with its layers in the engine, pulled or built there if need be.

        A base on disk is read from there: the engine gets it with the first image.

        Raises:
            ImageError: it is absent, or is not fit to be a base.
        """
        if names_a_path(self._image):
            return self.with_layers(store)
        found = self._find(engine)
        if found is None and self._is_foreign(engine) and not self.setup:
            return self._in_registry(store)
        found = found or self._pull(engine)
        name = pinned(base_reference(self._image), found)
        if self.setup:
            found = self._set_up(engine, store, found, name)
        image = described(found)
        base = look_into(
            image,
            name,
            store,
            lambda: engine_files(engine, str(found.id)),
            progress=self._progress,
        )
        return replace(base, engine_id=str(found.id))

    def with_layers(self, store: Store) -> BaseImage:
        """Return the base with layers that can be read: from disk, a registry, or an engine.

        Raises:
            ImageError: nobody has it, or it is not fit to be a base.
            RegistryError: its registry cannot be reached or refuses it, and no engine has it.
        """
        if self.setup:
            return self.out_of_engine(Engine(), store)
        if names_a_path(self._image):
            image = archives.read(Path(self._image).expanduser(), self.platform)
            return look_into(_packed(image, store), self._image, store, progress=self._progress)
        try:
            return self._in_registry(store)
        except RegistryError:
            with suppress(EngineUnavailableError):
                engine = Engine()
                held = engine.find(str(base_reference(self._image)))
                if held is not None and self.platform in {None, described(held).platform}:
                    return self.out_of_engine(engine, store)
            raise

    def for_dockerfile(self, store: Store) -> BaseImage:
        """Return the base as far as it can be told without fetching it.

        Where neither an engine has it nor a registry answers, it is taken to be a glibc Linux
        with this Python's series; the Dockerfile checks that when it is built.

        Raises:
            ImageError: it is on disk, where no Dockerfile can name it; or it is not fit.
        """
        if names_a_path(self._image):
            raise ImageError(
                f"A Dockerfile cannot start from {self._image}: load that into an engine or push it "
                "to a registry, and name it as a reference"
            )
        with suppress(EngineUnavailableError):
            engine = Engine()
            if engine.find(str(base_reference(self._image))) is not None:
                return self.in_engine(engine, store)
        try:
            return self._in_registry(store)
        except RegistryError as error:
            self._progress(f"Not looked into: {error}")
            return assumed(str(base_reference(self._image)), self.platform or Platform.of_host())

    def _in_registry(self, store: Store) -> BaseImage:
        image = registry.fetch(base_reference(self._image), self.platform)
        name = str(image.reference or base_reference(self._image))
        return look_into(_kept(image, store), name, store, progress=self._progress)

    def _find(self, engine: Engine) -> EngineImage | None:
        """Return the base as the engine has it; it may have it for another platform alone."""
        found = engine.find(str(base_reference(self._image)))
        platform = self.platform or Platform.of_host()
        return found if found is not None and described(found).platform == platform else None

    def _is_foreign(self, engine: Engine) -> bool:
        """Tell whether the engine would have the base and yet not show it.

        containerd's store has the images of all platforms by one name, and shows the machine's own.
        """
        foreign = self.platform not in {None, Platform.of_host()}
        return foreign and engine.storage is Storage.CONTAINERD

    def _pull(self, engine: Engine) -> EngineImage:
        name = str(base_reference(self._image))
        self._progress(f"Pulling the base image {name}")
        try:
            found = engine.pull(name, platform=self.platform, progress=self._progress)
        except ImageError:
            # Made here, and never pushed, for another platform than this machine's.
            held = engine.find(name)
            if held is None or self.platform is not None:
                raise
            return held
        here = described(found).platform
        if self.platform not in {None, here}:
            raise ImageError(f"The base image {name} is for {here}, and not for {self.platform}")
        return found

    def _set_up(self, engine: Engine, store: Store, base: EngineImage, name: str) -> EngineImage:
        """Run the set-up commands in the base, unless the engine still has what they made."""
        identity = canonical([str(base.id), self.setup])
        key = f"setup-{hashlib.sha256(identity).hexdigest()}"
        known = store.recall(key)
        if known is not None and (found := engine.find(str(known))) is not None:
            return found
        user = base.attrs.get("Config", {}).get("User")
        lines = [f"FROM {base.id}", "USER root", *(f"RUN {line}" for line in self.setup)]
        lines += [f"USER {user}"] if user else []
        text = "".join(f"{line}\n" for line in lines)
        self._progress(f"Building the base {name} with its set-up commands")
        built, _ = engine.build(
            {"Dockerfile": text.encode()}, network=self._network, progress=self._progress
        )
        store.remember(key, str(built.id))
        return built

    def out_of_engine(self, engine: Engine, store: Store) -> BaseImage:
        """Return the base with its layers taken out of the engine, which happens once."""
        base = self.in_engine(engine, store)
        if not base.engine_id:
            return base  # on disk: its layers are at hand

        # It saves layers as they came, and images of several platforms.
        packed = engine.storage is Storage.CONTAINERD

        @cache
        def saved() -> dict[str, Layer]:
            self._progress(f"Taking the base image {base.reference} out of the engine")
            # In the store's own directory, which goes with it: layers may be read until then.
            path = store.scratch() / f"{base.engine_id.replace(':', '-')}.tar"
            engine.save(base.engine_id, path)
            image = archives.read(path, base.image.platform if packed else None)
            return {layer.diff_id: layer for layer in image.layers}

        def find(diff_id: str) -> Layer:
            try:
                return saved()[diff_id]
            except KeyError:
                raise ImageError(
                    f"The engine gave away the base image {base.reference} without its layer "
                    f"{diff_id}. Pull that image again"
                ) from None

        layers = tuple(
            _layer_as_saved(layer.diff_id, find, store, base.engine_id)
            if packed
            else _packed_layer(layer.diff_id, find, store)
            for layer in base.image.layers
        )
        return replace(base, image=replace(base.image, layers=layers))


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
    """Return a layer packed as the engine has it, which need not be sent to it then.

    Of an image whose id once told what its layers are, none is taken out before it is read.
    """

    def blob() -> Blob:
        found = find(diff_id).blob
        if found is None:
            raise ImageError(f"The engine gave away the layer {diff_id} without its bytes")
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


def pinned(reference: Reference, image: EngineImage) -> str:
    """Return an image's name by digest, where a registry of that name gave it one."""
    if reference.digest:
        return str(reference)
    for digest in image.attrs.get("RepoDigests") or ():
        if Reference.parse(digest).name == reference.name:
            return str(digest)
    return str(reference)
