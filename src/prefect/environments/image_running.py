"""How an environment runs the images that it made, or names, and what it tells of them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from prefect.core import check
from prefect.core.parameter_check import as_given
from prefect.environments.image_building import ImageBuilding
from prefect.errors import ImageError

# Imported within the functions that need them: what finds and runs images is not installed inside one.
if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from docker.models.containers import Container

    from prefect.images.inspection import FlowImage
    from prefect.places.engine.container import RunnableImage
    from prefect.sealed.keys.keyring import Keyring

_logger = logging.getLogger("prefect.environments")


class ImageRunning(ImageBuilding):
    """The part of an environment that looks into images, and runs them in a container engine."""

    network: str | None
    _last_container: str | None

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
        from prefect.images.flow_files import imports  # noqa: PLC0415
        from prefect.places.engine.container import RunnableImage  # noqa: PLC0415

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
        from prefect.images import finding  # noqa: PLC0415

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

    def _keys_for(self, image: FlowImage) -> Keyring | None:
        return image.keys(self._keyring, sealed=self._lost_key)

    def _runnable(self) -> RunnableImage:
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
