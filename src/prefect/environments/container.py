"""A flow as a container image: its base, its locked dependencies, a small runtime, itself."""

from __future__ import annotations

import logging
import os
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.core import check
from prefect.core.parameter_check import as_given
from prefect.environments.environment import Environment, allowed_names, lines
from prefect.errors import ImageError, InvalidKeyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from docker.models.containers import Container
    from docker.models.images import Image

    from prefect.core.flow import Flow
    from prefect.images.flow_files import PackagedFlow
    from prefect.images.inspection import FlowImage
    from prefect.images.recipe import ImageRecipe
    from prefect.oci.cache.store import Store
    from prefect.oci.images import Image as OciImage
    from prefect.places.engine.container import RunnableImage
    from prefect.sealed.keys.encryption import EncryptionKey
    from prefect.sealed.keys.keyring import Keyring
    from prefect.secrets.secret import Secret

_logger = logging.getLogger("prefect.environments")
_SETTINGS = (
    "image", "python_dependencies", "secrets", "network", "platform", "setup", "infer", "lock", "relock", "project",
    "allow_source", "allow_secret_like", "include",
)  # fmt: skip
"""The arguments of the constructor that are kept as they are given."""


class ContainerEnvironment(Environment):
    """Packages a flow into a container image and runs it there.

    The constructor talks to nobody. Images are put together here, without running anything of
    them: `push` and `export` need no container engine; `build`, `load` and `run` use the one that the
    command `docker` uses, which `DOCKER_HOST` or a context of docker names.

    Args:
        image: the base image, any that has CPython 3.11 or newer, such as "python:3.11-slim"; or,
            with a leading "/", "./", "../" or "~/", the path of an OCI layout or of an image
            archive.
        tag: name of the built image, which cannot be the base's; None derives one from the flow's
            name. `env.tag` is then `image`.
        python_dependencies: requirement lines, such as "pandas>=2", beside what the flow imports. One
            that names a project's directory, such as ".", or a wheel's file has the image get it as a
            wheel: `uv` builds that with the project's own build backend.
        secrets: names of what the flow needs at run time as environment variables.
        network: the container engine's network for set-up commands and containers, such as "host".
        platform: such as "linux/arm64"; None takes Linux on this machine's processor.
        setup: shell commands that run in the base as root before anything is added, such as
            "apt-get update && apt-get install -y libpq5". They need a container engine, which runs
            them.
        lock: file of locked dependencies, lines with hashes or a pylock.toml; taken if it is there
            and fits what is asked for, else written. The file is never changed.
        relock: write that file anew, also where it is there: for when what is asked for has changed.
        infer: install also what the flow imports and no line asks for, in the versions that are
            installed here. Without, the lines or the base must have it.
        project: directory of a project whose pylock.toml, or uv.lock, says the versions.
        allow_source: names of distributions that may be built from source on this machine, where they
            have no wheel that fits: their build scripts are run. Of all others, wheels alone are
            taken.
        encryption_key: seals the flow within the image, bytes, text or the key object; of several
            in a list, the first seals and any opens. Whoever runs it needs the key: `run` hands it
            over as a secret, elsewhere it is the secret PREFECT_ENCRYPTION_KEY.
        allow_secret_like: names of what looks like a well-known token and is none, such as
            "aws-access-key-0123abcd". An image that would hold one in the open is refused, and the
            error tells the name.
        include: files that travel with the flow, in the open unless it is sealed: paths of files and
            directories, or patterns such as "sql/*.sql", in which `**` stands for any directories.
            Where the flow runs, its modules find them where they find them here: beside their
            `__file__`, or by `importlib.resources`.
        include_from: the directory that relative paths of `include` are relative to; by default that
            of the file that makes the environment.

    The attribute `built_tag` is the name that `build` gave last; equal images may have several.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: `image` or `tag` is no image reference, or both are one image; `platform` is no
            platform; `allow_secret_like` has what cannot be such a name.
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
        relock: bool = False,
        infer: bool = True,
        allow_source: Sequence[str] = (),
        encryption_key: bytes
        | str
        | EncryptionKey
        | Sequence[bytes | str | EncryptionKey]
        | None = None,
        allow_secret_like: Iterable[str] | None = None,
        include: Iterable[str | os.PathLike[str]] | None = None,
        include_from: str | os.PathLike[str] | None = None,
        project: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(secrets, include=include, include_from=include_from)
        self.allow_secret_like = allowed_names(allow_secret_like)
        if not isinstance(image, str):
            raise check.wrong("image", "an image's name, a str", image)
        self.image = image
        self.tag = image if tag is None else check.text("tag", tag)
        self.python_dependencies = lines("python_dependencies", "pandas", python_dependencies)
        self.network = check.text_or_none("network", network)
        self.platform = check.text_or_none("platform", platform)
        self.setup = tuple(lines("setup", "apt-get update", setup) or ())
        self.lock = None if lock is None else os.fspath(check.path("lock", lock))
        self.relock = check.flag("relock", relock)
        self.project = None if project is None else os.fspath(check.path("project", project))
        self.infer = check.flag("infer", infer)
        self.allow_source = tuple(lines("allow_source", "docopt", allow_source) or ())
        self._keyring: Keyring | None = None
        self._recipe_for(tag)  # which checks what it is given
        if encryption_key is not None:
            from prefect.sealed.keys.keyring import Keyring  # noqa: PLC0415 - as in _recipe

            self._keyring = Keyring.of(encryption_key)
        self._lost_key = False
        self._packaged: PackagedFlow | None = None
        self._built: str | None = None
        self._made: str | Path | None = None  # where the last image went, wherever that is
        self.built_tag: str | None = None
        self._last_container: str | None = None

    def but(self, **arguments: Any) -> ContainerEnvironment:
        """Return an environment like this one, but for some of the constructor's arguments.

        It has this one's key, and nothing that was built.

        Args:
            arguments: those of the constructor that are to be others, by name.

        Raises:
            TypeError: an argument is unknown, or has the wrong type.
            ValueError: `image` or `tag` is no image reference, or both are one image; `platform` is no
                platform.
            InvalidKeyError: `encryption_key` is no key.
        """
        mine = {name: getattr(self, name) for name in _SETTINGS} | {
            "tag": None if self.tag == self.image else self.tag,
            "encryption_key": None if self._keyring is None else self._keyring.encryption_keys,
            "include_from": self.include_from or None,
        }
        made = ContainerEnvironment(**{**mine, **arguments})
        made._lost_key = self._lost_key and made._keyring is None
        made._lost_include = self._lost_include and not made.include
        return made

    def pull_image(self) -> None:
        """Pull the base image: from its own registry, or from Docker Hub where it names none.

        `PREFECT_REGISTRY`, as host[:port][/prefix], stands in for Docker Hub where it is set.

        Raises:
            ContainerEngineUnavailableError: no container engine answers.
            ImageError: the registry does not have the image, or cannot be reached.
        """
        from prefect.images import making  # noqa: PLC0415 - as in _recipe

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
        from prefect.images import making  # noqa: PLC0415 - as in _recipe

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
        from prefect.images import making  # noqa: PLC0415 - as in _recipe

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

        from prefect.images import making  # noqa: PLC0415 - as in _recipe

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
        from prefect.images import making  # noqa: PLC0415 - as in _recipe

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
        from prefect.images import making  # noqa: PLC0415 - as in _recipe

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
        from prefect.images import making  # noqa: PLC0415 - as in _recipe

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
        from prefect.images import making  # noqa: PLC0415 - as in _recipe

        found = making.digests(self._recipe(), packaged)
        self._packaged = packaged
        return found

    def try_imports(self) -> dict[str, str]:
        """Import, in a container of the image that was built last, what its flow imports.

        Unlike building, this executes what the image holds; not the flow, and without secrets.

        Returns:
            The error of each module that fails, by its name; empty where all is well.

        Raises:
            ImageError: no flow was built yet.
            ContainerEngineError: the container cannot be started.
        """
        if self._packaged is None:
            raise ImageError(
                "There is no flow whose imports could be tried: call build(flow) first"
            )
        from prefect.images.flow_files import imports  # noqa: PLC0415 - as in _recipe
        from prefect.places.engine.container import RunnableImage  # noqa: PLC0415 - the same

        image = RunnableImage.named(self._image_to_run())
        manifest = image.manifest(self._keys_for(image))
        return image.failing_imports(imports(manifest, sealed=image.sealed))

    def info(self, *, reference: str | os.PathLike[str] | None = None) -> dict[str, Any]:
        """Return the serialized flow that an image holds; nothing of the image is executed.

        Only the one small layer with the flow is read of an image in a registry or on disk.

        Args:
            reference: the path of an archive or of an OCI layout, a str with a leading "/", "./",
                "../" or "~/"; or an image reference, which the container engine is asked for first,
                and then the registry that it names. None
                means the image that `build`, `push` or `export` made last, or, if there was
                none, the container engine's image of the name that `tag` gives.

        Returns:
            What `Flow.serialize` returned where the image was made. A sealed flow is opened with
            this environment's `encryption_key`, or with the secret PREFECT_ENCRYPTION_KEY.

        Raises:
            TypeError: `reference` is neither a str nor a path.
            ArtifactError: it cannot be an image's name, and no such file exists.
            ImageError: there is no such image; it was not made by this package, or without a flow;
                it is sealed and there is no key, or not sealed although this environment was
                given one; or nothing was built and no tag is given.
            AuthenticationError: the key does not open the flow.
            FormatError, ImageContentError: its bytes are malformed, or are not those promised.
            ContainerEngineUnavailableError: no container engine answers, and no registry is named.
            RegistryError: the registry does not have it, refuses, or cannot be reached.
        """
        if reference is not None:
            check.path("reference", reference)
        name = reference if reference is not None else self._made or self._image_to_run()
        from prefect.images import finding  # noqa: PLC0415 - as in _recipe

        image = finding.find(name, self._recipe().wanted_platform())
        return image.manifest(self._keys_for(image)).flow

    def run(
        self,
        command: str | Sequence[str] | None = None,
        tty: bool = False,
        *,
        parameters: Mapping[str, Any] | None = None,
        strict: bool = False,
        volumes: Iterable[str] | None = None,
        env: Mapping[str, str] | None = None,
        memory: str | int | None = None,
        cpus: float | None = None,
        gpus: str | int | None = None,
        user: str | int | None = None,
        network: str | None = None,
        workdir: str | None = None,
        output: str | os.PathLike[str] | None = None,
        executor: Any = None,
        store: str | os.PathLike[str] | None = None,
        resume: str | bool | None = None,
    ) -> Container:
        """Start a container and return it at once; a container that this left running is stopped.

        An image that was not built here, but is named by `tag` with its registry or its digest, is
        pulled if the container engine does not have it.

        Without a command the flow runs: its log lines are the container's logs, and its state
        decides the exit status, 0 for success, 1 for failure, 2 for bad input.

        Args:
            command: what to run instead, in the same environment; a str is split as a shell splits.
            tty: give the container a terminal and keep it up after its work is done, for
                `exec_run`.
            parameters: values by the names of the flow's parameters.
            strict: the flow refuses to run, with exit status 2, where the image has other versions than
                the build put into it. Otherwise each is a line in the logs.
            volumes: what the container sees of the container engine's machine, as `docker run --volume`
                has it: "SOURCE:TARGET" or "SOURCE:TARGET:ro", where a source is a path, which has to be
                there, or the name of a volume.
            env: further variables, by name. Secrets are not given this way: the container engine keeps
                variables.
            memory: bytes at most, or a size such as "512m" or "2g".
            cpus: processors at most, such as 1.5.
            gpus: "all", a number, or "device=0,1". Docker's engine alone gives them.
            user: a name of the image's, or a number; with ":GROUP" or without. By default the base's.
            network: the name of a network, "host" or "none"; by default this environment's.
            workdir: an absolute path in the container; by default the base's.
            output: a directory of this machine, made if it is not there, for the files that tasks make:
                they know it as `prefect.context.output_dir`, a command as /opt/prefect/output. The
                container engine has to run on this machine.
            executor: where tasks run, within the container: the text form of an executor, such as
                "threads:8" or a Dask scheduler's address, or an executor that has one. By default
                where the flow says.
            store: where the tasks' results and a record of the run are kept, a directory or a URL, as of `Flow.run`.
            resume: a run in the store to go on with, or True for the last one of this flow.

        Raises:
            TypeError: an argument has the wrong type.
            ValueError: an argument makes no sense; `strict`, `executor` or `store` comes with a command.
            ImageError: no image was built yet; or its flow is not sealed although this environment
                was given a key.
            SecretError: a secret has no value here, or a variable has a secret; nothing is started then.
            PlaceError: a volume's path is not there, or the output directory cannot be had.
            ParameterError: parameters come with a command, have no JSON form, or are missing,
                unknown or of another type than the flow says.
            ContainerEngineError: the container cannot be started, or not with what it is to get.
        """
        check.flag("tty", tty)
        check.flag("strict", strict)
        if command is not None and not isinstance(command, str):
            for word in check.listed("command", "strings", command):
                check.text("Each word of command", word)
        parameters = None if parameters is None else as_given(parameters)
        if env is not None:
            check.mapping("env", "variables", env)
        # As in _recipe.
        from prefect.keeping import kept_of  # noqa: PLC0415
        from prefect.places.surroundings import Surroundings  # noqa: PLC0415
        from prefect.places.work import work_in_image  # noqa: PLC0415

        surroundings = Surroundings.given(
            volumes=volumes,
            env=env,
            memory=memory,
            cpus=cpus,
            gpus=gpus,
            user=user,
            network=self.network if network is None else network,
            workdir=workdir,
            output=output,
        )
        executor = None if executor is None else check.executor_text("executor", executor)
        image = self._runnable()
        image.require_seeing(surroundings)
        work = work_in_image(
            image,
            command,
            tty=tty,
            parameters=parameters,
            secrets=self.secrets,
            keyring=self._keys_for(image),
            strict=strict,
            surroundings=surroundings,
            kept=kept_of(store, resume, "engine"),
            executor=executor,
        )
        if self._last_container is not None:
            image.stop(self._last_container)
            self._last_container = None
        container = image.start(work).container
        self._last_container = container.id
        return image.docker_container(container)

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

    def _recipe(self) -> ImageRecipe:
        return self._recipe_for(None if self.tag == self.image else self.tag)

    def _recipe_for(self, tag: str | None) -> ImageRecipe:
        # Imported here, as all that makes images: a flow that was packaged with this environment is
        # also loaded where that is not installed, inside its image first of all.
        from prefect.images.recipe import ImageRecipe  # noqa: PLC0415

        return ImageRecipe(
            self.image,
            tag,
            self.python_dependencies,
            self.platform,
            self.setup,
            self.network,
            self.lock,
            self.relock,
            self.allow_source,
            self.infer,
            tuple(self.secrets),
            tuple(self._keyring.private_texts()) if self._keyring else (),
            self.allow_secret_like,
            self.project,
        )

    def _package(self, flow: Flow | None) -> PackagedFlow | None:
        if flow is None:
            return None
        if self._lost_key:
            raise InvalidKeyError(
                "This environment seals, and has no key: it was copied or unpickled, and keys never "
                "are. Make one with ContainerEnvironment(..., encryption_key=...)"
            )
        environment = getattr(flow, "environment", None)
        if isinstance(environment, ContainerEnvironment):
            flow = copy(flow)
            flow.environment = environment._without_destination()  # noqa: SLF001 - of this class
        from prefect.images import making  # noqa: PLC0415 - as in _recipe

        return making.package_flow(self._recipe(), flow, self._keyring, self._included())

    def _without_destination(self) -> ContainerEnvironment:
        """Return this environment without its images' name, its network, and local paths.

        That is what images hold of it: they are the same wherever they go, and wherever a base on
        disk and projects are.
        """
        from prefect.images.base.names import ON_DISK, names_a_path  # noqa: PLC0415 - as in _recipe

        made = copy(self)
        base = ON_DISK if names_a_path(self.image) else self.image
        kept = self._recipe().placeless_dependencies()
        vars(made).update(image=base, tag=base, network=None, python_dependencies=kept)
        return made

    def _keys_for(self, image: FlowImage) -> Keyring | None:
        return image.keys(self._keyring, sealed=self._lost_key)

    def _runnable(self) -> RunnableImage:
        # As in _recipe.
        from prefect.images import finding  # noqa: PLC0415
        from prefect.places.engine.container import RunnableImage  # noqa: PLC0415

        name = self._image_to_run()
        if self._built is not None:
            return RunnableImage.named(name)
        return finding.find_in_daemon(name, RunnableImage, pull=True, progress=_logger.info)

    def _image_to_run(self) -> str:
        if self._built is not None:
            return self._built
        name = self._recipe().own_name()
        if name is None:
            raise ImageError(
                "There is nothing to run yet: call build(flow) first, or name the tag of an image "
                "that was built before"
            )
        return name

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {
            "_built": None,
            "_made": None,
            "built_tag": None,
            "_last_container": None,
            "_packaged": None,
            "_keyring": None,
            "_lost_key": self._lost_key or self._keyring is not None,
            "lock": None,
            "relock": False,
            "project": None,
            "infer": True,
            "allow_source": (),
        }
