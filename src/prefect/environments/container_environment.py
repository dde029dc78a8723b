"""A flow as a container image: its base, its locked dependencies, a small runtime, itself."""

from __future__ import annotations

import logging
import os
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.environments.base_names import base_reference, derived_name, names_a_path
from prefect.environments.environment import Environment
from prefect.environments.image_plan import package
from prefect.environments.pickle_environment import PickleEnvironment
from prefect.environments.secret import Secret
from prefect.errors import ImageError, InvalidKeyError
from prefect.oci.platforms import Platform
from prefect.oci.references import Reference
from prefect.packaging import dockerfile, plan
from prefect.packaging.cache import open_cache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from prefect.core.flow import Flow
    from prefect.environments.image_plan import PackagedFlow
    from prefect.environments.image_recipe import ImageRecipe
    from prefect.oci.containers import Container
    from prefect.oci.daemon import Engine, LogEntry
    from prefect.oci.daemon import Image as EngineImage
    from prefect.oci.images import Image
    from prefect.oci.store import Store

_logger = logging.getLogger("prefect.environments")


class ContainerEnvironment(Environment):
    """Packages a flow into a container image and runs it there.

    The constructor talks to nobody. Images are put together here, without running anything of
    them: `push` and `export` need no engine, `build` and `run` use the one where `DOCKER_HOST`
    points or at the default socket.

    image: the base image, any that has CPython 3.11 or newer, such as "python:3.11-slim"; or, with
        a leading "/", "./", "../" or "~/", the path of an OCI layout or of an image archive.
    tag: name of the built image; None derives one from the flow's name. `env.tag` is then `image`,
        which a build never overwrites.
    python_dependencies: requirement lines, such as "pandas>=2"; None takes what the flow imports,
        in the versions that are installed here.
    secrets: names of what the flow needs at run time as environment variables.
    network: the engine's network for set-up commands and containers, such as "host".
    platform: such as "linux/arm64"; None takes Linux on this machine's processor.
    setup: shell commands that run in the base as root before anything is added, such as
        "apt-get update && apt-get install -y libpq5". They need an engine, which runs them.
    lock: file of locked dependencies; taken if it is there, else written.
    encryption_key: seals the flow within the image, 32 bytes or base64. Whoever runs it needs the
        key: `run` hands it over as a secret, elsewhere it is the secret PREFECT_ENCRYPTION_KEY.

    The attribute `built_tag` is the name that `build` gave last; equal images may have several.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: `image` or `tag` is no image reference, `platform` no platform.
        InvalidKeyError: `encryption_key` is no key.
    """

    def __init__(
        self,
        image: str,
        tag: str | None = None,
        python_dependencies: Sequence[str] | None = None,
        secrets: Iterable[str | Secret] | None = None,
        *,
        network: str | None = None,
        platform: str | None = None,
        setup: Sequence[str] | None = None,
        lock: str | os.PathLike[str] | None = None,
        encryption_key: Any = None,
    ) -> None:
        super().__init__(secrets)
        if not isinstance(image, str):
            raise TypeError(f"An image is named by a str, not by {image!r}")
        if network is not None and not isinstance(network, str):
            raise TypeError(f"network is a name such as 'host', not {network!r}")
        on_disk = names_a_path(image)
        self._base = None if on_disk else Reference.parse(image)
        self._tag = self._base if tag is None else Reference.parse(tag)
        if tag is not None and Reference.parse(tag).digest:
            raise ValueError(f"{tag!r} cannot be a tag: an image's digest follows from its content")
        self.image = image
        self.tag = image if tag is None else tag
        self.python_dependencies = _lines("python_dependencies", "pandas", python_dependencies)
        self.network = network
        self.platform = None if platform is None else str(Platform.parse(platform))
        self.setup = tuple(_lines("setup", "apt-get update", setup) or ())
        if any("\n" in command for command in self.setup):
            raise ValueError("A set-up command is one line: join several with && or list them")
        if setup and on_disk:
            raise ValueError(
                "Set-up commands run in an engine: load the image there, and name it as a reference"
            )
        self.lock = None if lock is None else os.fspath(lock)
        self._sealing = None if encryption_key is None else PickleEnvironment(encryption_key)
        self._lost_key = False
        self._packaged: PackagedFlow | None = None
        self._built: str | None = None
        self.built_tag: str | None = None
        self._last_container: str | None = None

    def pull_image(self) -> None:
        """Pull the base image: from its own registry, or from Docker Hub where it names none.

        `PREFECT_REGISTRY`, as host[:port][/prefix], stands in for Docker Hub where it is set.

        Raises:
            EngineUnavailableError: no engine answers.
            ImageError: the registry does not have the image, or cannot be reached.
        """
        if self._base is None:
            raise ImageError(f"{self.image} is on this machine's disk: there is nothing to pull")
        _connect().pull(
            str(base_reference(self.image)), platform=self._platform(), progress=_logger.info
        )

    def create_dockerfile(
        self, directory: str | os.PathLike[str] | None = None, *, flow: Flow | None = None
    ) -> None:
        """Write a Dockerfile, and the files that it copies, for any tool that builds images.

        The base is looked into, in the engine or in its registry, and stands there by digest.

        directory: where to write, by default the current directory; made if missing.
        flow: the flow to package; None leaves an image of the dependencies alone.

        Raises:
            NotAFlowError, PicklingError, SecretError: the flow cannot be packaged.
            RequirementsError: the dependencies cannot be resolved.
            ImageError, RegistryError, CompatibilityError: the base is absent, or not fit.
            OutputError: there is a Dockerfile that is not prefect's (a FileExistsError).
        """
        packaged = self._package(flow)
        with open_cache() as store:
            recipe = self._recipe(store)
            base = recipe.sources.for_dockerfile(store)
            context = dockerfile.build_context(recipe.plan(base, packaged))
        dockerfile.write_context(Path(directory or "."), context)

    def build(self, flow: Flow | None = None) -> tuple[EngineImage, list[LogEntry]]:
        """Build the image into the engine and return it with the build's log.

        Only the layers that the engine does not have are made and sent to it.

        flow: the flow to package; None builds an image of the dependencies alone.

        Raises:
            NotAFlowError: `flow` is not a Flow (a TypeError).
            PicklingError, SecretError: the flow cannot be packaged.
            EngineUnavailableError: no engine answers.
            ImageError: the base is absent, has no Python, or one that is not fit.
            CompatibilityError: the base has another Python than the one that pickles the flow.
            RequirementsError: the dependencies cannot be resolved or installed.
            ImageBuildError: a set-up command failed; the message ends with its output.
        """
        # In the order of their cost: what can fail early is tried before what takes long.
        packaged = self._package(flow)
        engine = _connect()
        from prefect.oci.loading import load  # noqa: PLC0415 - as in _connect

        log: list[LogEntry] = []

        def progress(line: str) -> None:
            log.append({"stream": f"{line}\n"})
            _logger.info(line)

        with open_cache() as store:
            recipe = self._recipe(store, progress)
            base = recipe.sources.in_engine(engine, store)
            tag = self._name_for(engine, packaged)
            progress(f"Building the image {tag} on {base.reference}")
            built = load(
                engine,
                recipe.image(base, packaged),
                tag,
                label=plan.LABEL_VERSION,
                whole=lambda: recipe.image(recipe.sources.out_of_engine(engine, store), packaged),
                progress=progress,
            )
        self._packaged, self._built, self.built_tag = packaged, str(built.id), tag
        return built, log

    def push(self, reference: str, flow: Flow | None = None) -> str:
        """Push the image to a registry, without an engine, and return its name by digest.

        Only what the registry does not have is sent.

        reference: such as "ghcr.io/team/etl:1".
        flow: the flow to package; None takes what `build`, `push` or `export` packaged last, or
            the dependencies alone if that is nothing.

        Raises:
            ValueError: it is no image reference, or has a digest.
            RegistryError: the registry does not take it, or does not have the base.
            Otherwise as `build`, without those of an engine.
        """
        target = Reference.parse(reference)
        if target.digest:
            raise ValueError(
                f"{reference!r} has a digest, which follows from the image: leave it out"
            )
        from prefect.oci import registry  # noqa: PLC0415 - as in _connect

        with open_cache() as store:
            image = self._whole(flow, store)
            pushed = registry.push(image, target, progress=_logger.info)
        return f"{target.name}@{pushed.digest}"

    def export(self, path: str | os.PathLike[str], flow: Flow | None = None) -> str:
        """Write the image to disk, without an engine, and return its digest.

        path: with a suffix, such as etl.tar, an archive that `docker load`, `podman load` and
            `skopeo` read; else the directory of an OCI layout.
        flow: as for `push`.

        Raises:
            ValueError: the path asks for a packed archive.
            OutputError: there is something else of that name (a FileExistsError).
            OSError: it cannot be written; what was there before stays.
            Otherwise as `push`.
        """
        from prefect.oci import archives  # noqa: PLC0415 - as in _connect

        archives.require_free(Path(path))
        with open_cache() as store:
            image = self._whole(flow, store)
            archives.write(
                image, Path(path), name=self._own_name() or self._derived_name(self._packaged)
            )
        return str(image.digest)

    def digests(self, flow: Flow | None = None) -> tuple[str, str]:
        """Put the image together and keep it nowhere: return its digest and its id.

        The digest is the manifest's, by which registries know it; the id the config's, by which
        engines do. A sealed flow is another one each time that it is sealed.

        Raises:
            As `push`.
        """
        with open_cache() as store:
            image = self._whole(flow, store)
        return str(image.digest), image.id

    def run(
        self,
        command: str | Sequence[str] | None = None,
        tty: bool = False,
        *,
        parameters: Mapping[str, Any] | None = None,
    ) -> Container:
        """Start a container and return it at once; a container that this left running is stopped.

        Without a command the flow runs: its log lines are the container's logs, and its state
        decides the exit status, 0 for success, 1 for failure, 2 for bad input.

        command: what to run instead, in the same environment; a str is split as a shell splits.
        tty: give the container a terminal and keep it up after its work is done, for `exec_run`.
        parameters: values by the names of the flow's parameters.

        Raises:
            ImageError: no image was built yet.
            SecretError: a secret has no value here; nothing is stopped or started then.
            ParameterError: parameters come with a command, or are no JSON values.
            EngineError: the container cannot be started.
        """
        from prefect.environments.engine_flow_image import EngineFlowImage  # noqa: PLC0415 - as in _connect
        from prefect.oci import containers  # noqa: PLC0415 - as in _connect

        engine = _connect()
        image = EngineFlowImage(engine, self._image_to_run())
        sealing = self._sealing
        if image.sealed and sealing is None and (key := Secret(plan.KEY_VARIABLE).find()):
            sealing = PickleEnvironment(key)
        request = image.request(
            command, tty=tty, parameters=parameters, secrets=self.secrets, sealing=sealing
        )
        if self._last_container is not None:
            containers.stop(engine, self._last_container)
            self._last_container = None
        container = image.start(request, network=self.network)
        self._last_container = container.id
        return container

    def serialize(self) -> dict[str, Any]:
        """Return what defines this environment, as plain JSON values without any secret."""
        return super().serialize() | {
            "image": self.image,
            "tag": self.tag,
            "python_dependencies": self.python_dependencies,
            "network": self.network,
            "platform": self.platform,
            "setup": list(self.setup),
        }

    def _platform(self) -> Platform | None:
        return None if self.platform is None else Platform.parse(self.platform)

    def _recipe(self, store: Store, progress: Callable[[str], None] = _logger.info) -> ImageRecipe:
        from prefect.environments.base_sources import BaseSources  # noqa: PLC0415 - as in _connect
        from prefect.environments.image_recipe import ImageRecipe  # noqa: PLC0415 - as in _connect

        return ImageRecipe(
            BaseSources(self.image, self._platform(), self.setup, self.network, progress),
            self.python_dependencies,
            None if self.lock is None else Path(self.lock),
            store,
            progress,
        )

    def _package(self, flow: Flow | None) -> PackagedFlow | None:
        if flow is None:
            return None
        if self._lost_key:
            raise InvalidKeyError(
                "This environment seals, and has no key: it was copied or unpickled, and keys never "
                "are. Make one with ContainerEnvironment(..., encryption_key=...)"
            )
        if self._sealing is not None:
            self._sealing.secrets = self.secrets
        environment = getattr(flow, "environment", None)
        if isinstance(environment, ContainerEnvironment):
            flow = copy(flow)
            flow.environment = environment.without_destination()
        return package(flow, self.secrets, self._sealing)

    def without_destination(self) -> ContainerEnvironment:
        """Return this environment without its images' name and network.

        That is what images hold of it: they are the same wherever they go.
        """
        made = copy(self)
        vars(made).update(tag=made.image, _tag=self._base, network=None)
        return made

    def _whole(self, flow: Flow | None, store: Store) -> Image:
        """Return the image with all its bytes at hand."""
        packaged = self._packaged if flow is None else self._package(flow)
        recipe = self._recipe(store)
        image = recipe.image(recipe.sources.with_layers(store), packaged)
        self._packaged = packaged
        return image

    def _own_name(self) -> str | None:
        """Return the name that the image was given, if it was."""
        bases = () if self._base is None else (self._base, base_reference(self.image))
        return None if self._tag is None or self._tag in bases else str(self._tag)

    def _name_for(self, engine: Engine, packaged: PackagedFlow | None) -> str:
        """Return the image's name in an engine."""
        if own := self._own_name():
            return own
        name = self._derived_name(packaged)
        # Nobody asked for this name: it must not take the place of an image of somebody else.
        taken = engine.find(name)
        if taken is not None and plan.LABEL_VERSION not in taken.labels:
            raise ImageError(
                f"The image {name} in the engine is not prefect's, and would lose its name to this "
                "build. Choose a name: ContainerEnvironment(..., tag=...), or --tag"
            )
        return name

    def _derived_name(self, packaged: PackagedFlow | None) -> str:
        return derived_name(self.image, packaged.manifest.flow["name"] if packaged else None)

    def _image_to_run(self) -> str:
        if self._built is not None:
            return self._built
        if self._tag is None or self._tag == self._base:
            raise ImageError(
                "There is nothing to run yet: call build(flow) first, or name the tag of an image "
                "that was built before"
            )
        return str(self._tag)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {
            "_built": None,
            "built_tag": None,
            "_last_container": None,
            "_packaged": None,
            "_sealing": None,
            "_lost_key": self._lost_key or self._sealing is not None,
            "lock": None,
        }


def _lines(name: str, example: str, given: Sequence[str] | None) -> list[str] | None:
    if isinstance(given, str):
        raise TypeError(f"{name} is a list: write {name}=[{given!r}]")
    for line in given or ():
        if not isinstance(line, str):
            raise TypeError(f"{name} are lines of text such as {example!r}, not {line!r}")
    return None if given is None else list(given)


def _connect() -> Engine:
    # Imported here: a flow that was packaged with this environment is also loaded where docker,
    # urllib3 and isal are not installed, inside its image first of all.
    from prefect.oci.daemon import Engine  # noqa: PLC0415

    return Engine()
