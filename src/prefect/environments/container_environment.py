"""A flow as a container image: its base, its locked dependencies, a small runtime, itself."""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import re
import sys
import tempfile
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.environments.at_rest import forbidden, refuse_at_rest
from prefect.environments.base_image import BaseImage, inspect_base
from prefect.environments.environment import Environment
from prefect.environments.flow_image import FlowImage
from prefect.environments.secret import Secret, secrets_of
from prefect.errors import CompatibilityError, EngineUnavailableError, ImageError, OutputError
from prefect.oci.references import Reference
from prefect.packaging import dockerfile, plan, requirements
from prefect.packaging.pickling import PickledFlow, pickle_flow
from prefect.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from importlib.resources.abc import Traversable

    from prefect.core.flow import Flow
    from prefect.oci.daemon import Container, Engine, Image, LogEntry

REGISTRY_VARIABLE = "PREFECT_REGISTRY"
_LONGEST_NAME = 64
_logger = logging.getLogger("prefect.environments")


class ContainerEnvironment(Environment):
    """Packages a flow into a container image and runs it there.

    The constructor talks to nobody: an engine is looked for when one is needed, where
    `DOCKER_HOST` points or at the default socket.

    image: the base image, any that has CPython 3.11 or newer, such as "python:3.11-slim".
    tag: name of the built image; None derives one from the flow's name. `env.tag` is then `image`,
        which a build never overwrites.
    python_dependencies: requirement lines, such as "pandas>=2"; None takes what the flow imports,
        in the versions that are installed here.
    secrets: names of what the flow needs at run time as environment variables.
    network: the engine's network for the build's steps and the containers, such as "host".

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: `image` or `tag` is no image reference.
    """

    def __init__(
        self,
        image: str,
        tag: str | None = None,
        python_dependencies: Sequence[str] | None = None,
        secrets: Iterable[str | Secret] | None = None,
        *,
        network: str | None = None,
    ) -> None:
        super().__init__(secrets)
        if isinstance(python_dependencies, str):
            raise TypeError(
                f"python_dependencies is a list: write python_dependencies=[{python_dependencies!r}]"
            )
        for line in python_dependencies or ():
            if not isinstance(line, str):
                raise TypeError(f"python_dependencies are requirement lines, not {line!r}")
        if network is not None and not isinstance(network, str):
            raise TypeError(f"network is a name such as 'host', not {network!r}")
        self._base = Reference.parse(image)
        self._tag = Reference.parse(image if tag is None else tag)
        if tag is not None and self._tag.digest:
            raise ValueError(f"{tag!r} cannot be a tag: an image's digest follows from its content")
        self.image = image
        self.tag = image if tag is None else tag
        self.python_dependencies = (
            None if python_dependencies is None else list(python_dependencies)
        )
        self.network = network
        self._built: str | None = None
        self._last_container: str | None = None

    def pull_image(self) -> None:
        """Pull the base image: from its own registry, or from Docker Hub where it names none.

        `PREFECT_REGISTRY`, as host[:port][/prefix], stands in for Docker Hub where it is set.

        Raises:
            EngineUnavailableError: no engine answers.
            ImageError: the registry does not have the image, or cannot be reached.
        """
        _connect().pull(str(self._base_reference()), progress=_logger.info)

    def create_dockerfile(
        self, directory: str | os.PathLike[str] | None = None, *, flow: Flow | None = None
    ) -> None:
        """Write a Dockerfile, and the files that it copies, for any tool that builds images.

        The base is looked into where an engine has it, and is then named by its digest. Without
        one, it is taken to be a glibc Linux on this machine's processor with this Python's series;
        the Dockerfile checks that when it is built.

        directory: where to write, by default the current directory; made if missing.
        flow: the flow to package; None leaves an image of the dependencies alone.

        Raises:
            NotAFlowError, PicklingError, SecretError: the flow cannot be packaged.
            RequirementsError: the dependencies cannot be resolved.
            ImageError, CompatibilityError: the base is not fit for the flow.
            OutputError: there is a Dockerfile that is not prefect's (a FileExistsError).
        """
        pickled = None if flow is None else self._pickle(flow)
        reference = self._base_reference()
        try:
            engine = _connect()
            image = engine.find(str(reference))
            base = inspect_base(engine, reference, image) if image else _assumed(reference)
        except EngineUnavailableError:
            base = _assumed(reference)
        context = dockerfile.build_context(self._plan(base, pickled))
        target = Path(directory or ".")
        _require_own(target / dockerfile.NAME)
        for path, content in context.items():
            _write(target / path, content)

    def build(self, flow: Flow | None = None) -> tuple[Image, list[LogEntry]]:
        """Build the image in the engine and return it with the build's log.

        flow: the flow to package; None builds an image of the dependencies alone.

        Raises:
            NotAFlowError: `flow` is not a Flow (a TypeError).
            PicklingError, SecretError: the flow cannot be packaged.
            EngineUnavailableError: no engine answers.
            ImageError: the base is absent, has no Python, or one that is not fit.
            CompatibilityError: the base has another Python than the one that pickles the flow.
            RequirementsError: the dependencies cannot be resolved.
            ImageBuildError: a step of the build failed; the message ends with its output.
        """
        # In the order of their cost: what can fail early is tried before what takes long.
        pickled = None if flow is None else self._pickle(flow)
        engine = _connect()
        reference = self._base_reference()
        image = engine.find(str(reference))
        if image is None:
            _logger.info("Pulling the base image %s", reference)
            image = engine.pull(str(reference), progress=_logger.info)
        base = inspect_base(engine, reference, image)
        built_plan = self._plan(base, pickled)
        tag = self._built_tag(engine, pickled)
        _logger.info("Building the image %s", tag)
        built, log = engine.build(
            dockerfile.build_context(built_plan), tag, network=self.network, progress=_logger.info
        )
        self._built = str(built.id)
        return built, log

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
        engine = _connect()
        image = FlowImage(engine, self._image_to_run())
        request = image.request(command, tty=tty, parameters=parameters, secrets=self.secrets)
        if self._last_container is not None:
            engine.stop(self._last_container)
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
        }

    def _base_reference(self) -> Reference:
        registry = os.environ.get(REGISTRY_VARIABLE)
        named = self.image.startswith(("docker.io/", "index.docker.io/"))
        if registry and self._base.registry == Reference.parse("python").registry and not named:
            return self._base.on(registry)
        return self._base

    def _built_tag(self, engine: Engine, pickled: PickledFlow | None) -> str:
        if self._tag not in (self._base, self._base_reference()):
            return str(self._tag)
        if pickled is None:
            name = self._base.repository.rpartition("/")[2]
            tag = f"{name}-environment:{self._base.tag or 'latest'}"
        else:
            tag = _slug(pickled.manifest.flow["name"])
        # Nobody asked for this name: it must not take the place of an image of somebody else.
        taken = engine.find(tag)
        if taken is not None and plan.LABEL_VERSION not in taken.labels:
            raise ImageError(
                f"The image {tag} in the engine is not prefect's, and would lose its name to this "
                "build. Choose a name: ContainerEnvironment(..., tag=...), or --tag"
            )
        return tag

    def _image_to_run(self) -> str:
        if self._built is not None:
            return self._built
        if self._tag == self._base:
            raise ImageError(
                "There is nothing to run yet: call build(flow) first, or name the tag of an image "
                "that was built before"
            )
        return str(self._tag)

    def _pickle(self, flow: Flow) -> PickledFlow:
        pickled = pickle_flow(flow)
        refuse_at_rest(
            forbidden((*secrets_of(pickled.manifest.flow), *self.secrets)),
            manifest=pickled.manifest.to_json(),
            payload=pickled.payload,
        )
        return pickled

    def _plan(self, base: BaseImage, pickled: PickledFlow | None) -> plan.ImagePlan:
        labels = {plan.LABEL_VERSION: __version__, plan.LABEL_PYTHON: base.python}
        files: dict[str, bytes] = {}
        if pickled is not None:
            manifest = pickled.manifest
            if manifest.python_minor != base.python:
                raise CompatibilityError(
                    f"The base image {base.reference} has Python {base.python}, but this flow is "
                    f"pickled by Python {manifest.python_minor}, and bytecode does not move between "
                    f"them. Choose a base with Python {manifest.python_minor}, such as "
                    f"python:{manifest.python_minor}-slim, or build with Python {base.python}"
                )
            files = {
                plan.MANIFEST_FILE: manifest.to_json(),
                plan.PAYLOAD_FILE: pickled.payload,
            }
            labels |= {
                plan.LABEL_FLOW: manifest.flow["name"],
                plan.LABEL_MANIFEST: f"{plan.FLOW_DIRECTORY}/{plan.MANIFEST_FILE}",
            }
        wanted = self.python_dependencies
        if wanted is None:
            found = set(pickled.manifest.requirements.values()) if pickled else set()
            # A local version such as 2.1+cpu is a build of that version that no index has.
            wanted = sorted(line.partition("+")[0] for line in found)
        lock = requirements.lock(
            [*wanted, f"cloudpickle=={metadata.version('cloudpickle')}"],
            python=base.python,
            platform=base.platform,
        )
        return plan.ImagePlan(
            base=base.reference,
            interpreter=base.interpreter,
            python=base.python,
            user=base.user,
            lock=lock,
            runtime=_runtime(),
            flow=files,
            labels=labels,
        )

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_built": None, "_last_container": None}


def _slug(name: str) -> str:
    """Return an image's name from a flow's: what cannot stand in one is told apart by a hash."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_LONGEST_NAME].strip("-")
    lossless = slug and name.isascii() and len(name) <= _LONGEST_NAME
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:8]
    return slug if lossless else f"{slug or 'flow'}-{digest}"


def _connect() -> Engine:
    # Imported here: a flow that was packaged with this environment is also loaded where docker
    # is not installed, inside its image first of all.
    from prefect.oci.daemon import Engine  # noqa: PLC0415

    return Engine()


def _assumed(reference: Reference) -> BaseImage:
    return BaseImage(
        reference=str(reference),
        interpreter="python3",
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        platform=requirements.platform_name(_machine(), (2, 28)),
        user="",
    )


def _machine() -> str:
    # macOS and Windows have names of their own for what Linux images run on.
    machine = platform.machine().lower()
    return {"arm64": "aarch64", "amd64": "x86_64"}.get(machine, machine)


@cache
def _runtime() -> dict[str, bytes]:
    """Return the files of this package that run inside an image; its command does not."""
    files: dict[str, bytes] = {}

    def collect(directory: Traversable, path: str) -> None:
        for entry in directory.iterdir():
            name = f"{path}/{entry.name}"
            if entry.is_dir():
                if entry.name not in {"__pycache__", "cli"}:
                    collect(entry, name)
            elif entry.name.endswith(".py"):
                files[name] = entry.read_bytes()

    collect(resources.files("prefect"), "prefect")
    return dict(sorted(files.items()))


def _require_own(path: Path) -> None:
    if path.exists() and not path.read_bytes().startswith(dockerfile.FIRST_LINE.encode()):
        raise OutputError(
            f"{path} was not written by prefect and is not overwritten: choose another directory"
        )


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as new:
        new.write(content)
    Path(new.name).chmod(0o644)
    Path(new.name).replace(path)
