"""How an environment makes its images: into a container engine, a registry, a file or a Dockerfile."""

from __future__ import annotations

import logging
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from prefect.core import check
from prefect.environments.environment import Environment
from prefect.errors import InvalidKeyError

# Imported within the functions that need them: a flow that was packaged with this environment is
# also loaded where what makes images is not installed, inside its image first of all.
if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from docker.models.images import Image

    from prefect.core.flow import Flow
    from prefect.images.flow_files import PackagedFlow
    from prefect.images.recipe import ImageRecipe
    from prefect.oci.cache.store import Store
    from prefect.oci.images import Image as OciImage
    from prefect.sealed.keys.keyring import Keyring

_logger = logging.getLogger("prefect.environments")


class ImageBuilding(Environment):
    """The part of an environment that makes images, and knows which it made last."""

    image: str
    built_tag: str | None
    _keyring: Keyring | None
    _lost_key: bool
    _packaged: PackagedFlow | None
    _built: str | None
    _made: str | Path | None
    if TYPE_CHECKING:

        def _recipe(self) -> ImageRecipe:
            """Return all that the environment says of its images."""

    def pull_image(self) -> None:
        """Pull the base image: from its own registry, or from Docker Hub where it names none.

        `PREFECT_REGISTRY`, as host[:port][/prefix], stands in for Docker Hub where it is set.

        Raises:
            ContainerEngineUnavailableError: no container engine answers.
            ImageError: the registry does not have the image, or cannot be reached.
        """
        from prefect.images import making  # noqa: PLC0415

        making.pull(self._recipe())

    def create_dockerfile(
        self, directory: str | os.PathLike[str] | None = None, *, flow: Flow | None = None
    ) -> None:
        """Write a Dockerfile, and the files that it copies, for any tool that builds images.

        The base is looked into, in the container engine or in its registry, and stands there by
        digest.

        Args:
            directory: where to write, by default the current directory; made if missing.
            flow: the flow to package; None leaves an image of the dependencies alone.

        Raises:
            NotAFlowError, PicklingError, SecretError, IncludeError: the flow cannot be packaged.
            RequirementsError: the dependencies cannot be resolved.
            ImageError, RegistryError, CompatibilityError: the base is absent, or not fit.
            OutputError: there is a Dockerfile that is not prefect's; or none, and something else
                where the other files go (a FileExistsError).
        """
        from prefect.images import making  # noqa: PLC0415

        to = "." if directory is None else check.path("directory", directory)
        making.write_dockerfile(self._recipe(), self._package(flow), to)

    def build(self, flow: Flow | None = None) -> tuple[Image, list[dict[str, Any]]]:
        """Build the image into the container engine and return it with the build's log.

        Only the layers that the container engine does not have are made and sent to it.

        Args:
            flow: the flow to package; None builds an image of the dependencies alone.

        Raises:
            NotAFlowError: `flow` is not a Flow (a TypeError).
            PicklingError, SecretError, IncludeError: the flow cannot be packaged.
            ContainerEngineUnavailableError: no container engine answers.
            ContainerEngineError: the container engine does not take the image.
            ImageError: the base is absent, has no Python, or one that is not fit.
            CompatibilityError: the base has another Python than the one that pickles the flow.
            RequirementsError: the dependencies cannot be resolved or installed.
            ImageBuildError: a set-up command failed; the message ends with its output.
        """
        log: list[dict[str, Any]] = []
        built = self._load(flow, lambda line: log.append({"stream": f"{line}\n"}))
        from prefect.images import making  # noqa: PLC0415

        return making.docker_image(built), log

    def load(self, flow: Flow | None = None) -> str:
        """Build the image into the container engine and return its id, without docker-py.

        Only the layers that the container engine does not have are made and sent to it. The lines of
        the build's log go to the logger `prefect.environments`.

        Args:
            flow: the flow to package; None builds an image of the dependencies alone.

        Raises:
            NotAFlowError: `flow` is not a Flow (a TypeError).
            PicklingError, SecretError, IncludeError: the flow cannot be packaged.
            ContainerEngineUnavailableError: no container engine answers.
            ContainerEngineError: the container engine does not take the image.
            ImageError: the base is absent, has no Python, or one that is not fit.
            CompatibilityError: the base has another Python than the one that pickles the flow.
            RequirementsError: the dependencies cannot be resolved or installed.
            ImageBuildError: a set-up command failed; the message ends with its output.
        """
        return self._load(flow, lambda _line: None)

    def _load(self, flow: Flow | None, note: Callable[[str], None]) -> str:
        # In the order of their cost: what can fail early is tried before what takes long.
        packaged = self._package(flow)

        def progress(line: str) -> None:
            note(line)
            _logger.info(line)

        from prefect.images import making  # noqa: PLC0415

        image, self.built_tag = making.build(self._recipe(), packaged, progress)
        self._packaged, self._built = packaged, image.id
        self._made = self._built
        return image.id

    def push(self, reference: str, flow: Flow | None = None) -> str:
        """Push the image to a registry, without a container engine, and return its name by digest.

        Only what the registry does not have is sent.

        Args:
            reference: such as "ghcr.io/team/etl:1".
            flow: the flow to package; None takes what `build`, `push` or `export` packaged last, or
                the dependencies alone if that is nothing.

        Raises:
            ValueError: it is no image reference, has a digest or no registry, or is the base's.
            RegistryError: the registry does not take it, or does not have the base.
            NotAFlowError: `flow` is not a Flow (a TypeError).
            PicklingError, SecretError, IncludeError: the flow cannot be packaged.
            ImageError: the base is absent, has no Python, or one that is not fit.
            CompatibilityError: the base has another Python than the one that pickles the flow.
            RequirementsError: the dependencies cannot be resolved or installed.
        """
        check.text("reference", reference)
        packaged = self._packaged if flow is None else self._package(flow)
        from prefect.images import making  # noqa: PLC0415

        pushed = making.push(self._recipe(), packaged, reference)
        self._packaged, self._made = packaged, pushed
        return pushed

    def export(self, path: str | os.PathLike[str], flow: Flow | None = None) -> str:
        """Write the image to disk, without a container engine, and return its digest.

        Args:
            path: with a suffix, such as etl.tar, an archive that `docker load`, `podman load` and
                `skopeo` read; else the directory of an OCI layout.
            flow: the flow to package; None takes what `build`, `push` or `export` packaged last, or
                the dependencies alone if that is nothing.

        Raises:
            ValueError: the path's ending asks for a packed archive, or for something else.
            OutputError: there is something else of that name (a FileExistsError).
            OSError: it cannot be written; what was there before stays.
            RegistryError: the base's registry refuses, or cannot be reached.
            NotAFlowError: `flow` is not a Flow (a TypeError).
            PicklingError, SecretError, IncludeError: the flow cannot be packaged.
            ImageError: the base is absent, has no Python, or one that is not fit.
            CompatibilityError: the base has another Python than the one that pickles the flow.
            RequirementsError: the dependencies cannot be resolved or installed.
        """
        check.path("path", path)
        packaged = self._packaged if flow is None else self._package(flow)
        from prefect.images import making  # noqa: PLC0415

        digest = making.export(self._recipe(), packaged, path)
        self._packaged, self._made = packaged, Path(path)
        return digest

    def put_together(self, flow: Flow, store: Store) -> OciImage:
        """Put the image together for who runs it at once, and write it nowhere.

        Args:
            flow: the flow to package.
            store: keeps the layers, which can be read as long as it is open.

        Returns:
            The image, of `prefect.oci`.

        Raises:
            Exception: as `digests` does.
        """
        from prefect.images import making  # noqa: PLC0415

        return making.image(self._recipe(), self._package(flow), store, _logger.info)

    def digests(self, flow: Flow | None = None) -> tuple[str, str]:
        """Put the image together and keep it nowhere: return its digest and its id.

        The digest is the manifest's, by which registries know it; the id the config's, by which
        container engines do. A sealed flow is another one each time that it is sealed.

        Args:
            flow: the flow to package; None takes what `build`, `push` or `export` packaged last, or
                the dependencies alone if that is nothing.

        Raises:
            RegistryError: the base's registry refuses, or cannot be reached.
            NotAFlowError: `flow` is not a Flow (a TypeError).
            PicklingError, SecretError, IncludeError: the flow cannot be packaged.
            ImageError: the base is absent, has no Python, or one that is not fit.
            CompatibilityError: the base has another Python than the one that pickles the flow.
            RequirementsError: the dependencies cannot be resolved or installed.
        """
        packaged = self._packaged if flow is None else self._package(flow)
        from prefect.images import making  # noqa: PLC0415

        found = making.digests(self._recipe(), packaged)
        self._packaged = packaged
        return found

    def _package(self, flow: Flow | None) -> PackagedFlow | None:
        if flow is None:
            return None
        if self._lost_key:
            raise InvalidKeyError(
                "This environment seals, and has no key: it was copied or unpickled, and keys never "
                "are. Make one with ContainerEnvironment(..., encryption_key=...)"
            )
        environment = getattr(flow, "environment", None)
        if isinstance(environment, ImageBuilding):
            flow = copy(flow)
            flow.environment = environment._without_destination()  # noqa: SLF001 - of this class
        from prefect.images import making  # noqa: PLC0415

        return making.package_flow(self._recipe(), flow, self._keyring, self._included())

    def _without_destination(self) -> Self:
        """Return this environment without its images' name, its network, and local paths.

        That is what images hold of it: they are the same wherever they go, and wherever a base on
        disk and projects are.
        """
        from prefect.images.base.names import ON_DISK, names_a_path  # noqa: PLC0415

        made = copy(self)
        base = ON_DISK if names_a_path(self.image) else self.image
        kept = self._recipe().placeless_dependencies()
        vars(made).update(image=base, tag=base, network=None, python_dependencies=kept)
        return made
