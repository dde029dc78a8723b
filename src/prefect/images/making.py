"""Images of one recipe: made, and put into a container engine, a registry, a file or a Dockerfile."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.dependencies.own import OwnWheels
from prefect.dependencies.targets import target_of
from prefect.errors import ImageError, RequirementsError
from prefect.files import replacing
from prefect.frozen import field, frozen, replace
from prefect.images import plan
from prefect.images.assembly import assemble
from prefect.images.base.names import ON_DISK, base_reference
from prefect.images.base.sources import BaseSources
from prefect.images.changes import told_changes
from prefect.images.flow_files import package
from prefect.images.labels import LABEL_VERSION
from prefect.images.remembered import remember_manifest
from prefect.oci.cache.of_user import open_cache
from prefect.oci.references import Reference
from prefect.payload.own_modules import OwnModules, members
from prefect.running.flow_directory import MANIFEST_FILE
from prefect.secrets.search import forbidden, in_file, refuse_at_rest
from prefect.secrets.secret import secrets_of
from prefect.secrets.tokens import refuse_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from docker.models.images import Image as DockerImage

    from prefect.core.flow import Flow
    from prefect.dependencies.given_lock import GivenLock
    from prefect.dependencies.wheels import Wheel
    from prefect.images.base.image import BaseImage
    from prefect.images.flow_files import PackagedFlow
    from prefect.images.recipe import ImageRecipe
    from prefect.oci.cache.store import Store
    from prefect.oci.daemon.client import Daemon
    from prefect.oci.daemon.image import DaemonImage
    from prefect.oci.images import Image, Layer
    from prefect.payload.including import Included
    from prefect.sealed.keys.keyring import Keyring
    from prefect.secrets.search import Forbidden

_logger = logging.getLogger("prefect.environments")
_BASE_SECONDS = 600.0  # for a changed flow that is run again and again; docker asks no more at all


@frozen
class _Order:
    """A recipe, the flow for it, and what may not be in its image, which is worked out once.

    Args:
        forbidden: values of secrets, and keys.
    """

    recipe: ImageRecipe
    packaged: PackagedFlow | None
    forbidden: Forbidden = field(repr=False)

    @classmethod
    def of(cls, recipe: ImageRecipe, packaged: PackagedFlow | None) -> _Order:
        own = secrets_of(packaged.manifest.flow) if packaged else ()
        return cls(recipe, packaged, forbidden((*own, *recipe.secrets), recipe.keys))

    def refuse(self, parts: Mapping[str, Sequence[str]]) -> None:
        """Refuse to put a secret's value, a key, or a token into what an image holds beside the flow.

        Args:
            parts: lines, by what they are called.

        Raises:
            SecretError: names the secret and the part, never the value.
        """
        contents = {part: os.fsencode("\n".join(lines)) for part, lines in parts.items()}
        refuse_at_rest(self.forbidden, contents)
        refuse_tokens(contents, self.recipe.allowed)

    def refuse_in_wheels(self, wheels: Sequence[Wheel]) -> None:
        """Refuse them in the files of the user's own wheels."""
        for one in wheels:
            parts = {in_file(f"{one.path.name}/{name}"): part for name, part in members(one.path)}
            refuse_at_rest(self.forbidden, parts)
            refuse_tokens(parts, self.recipe.allowed)

    def refuse_texts(self) -> None:
        """Refuse them in what the recipe itself says."""
        recipe = self.recipe
        self.refuse(
            {
                "the set-up commands": recipe.setup,
                "the dependencies": recipe.dependencies or (),
                "the base's name": (recipe.base,),
                "the image's name": (recipe.name or "",),
            }
        )

    def flow_name(self) -> str | None:
        return self.packaged.manifest.flow["name"] if self.packaged else None


def package_flow(
    recipe: ImageRecipe, flow: Flow, keyring: Keyring | None, included: Included | None
) -> PackagedFlow:
    """Package a flow for images of a recipe: in the open, or sealed where there is a key for it.

    Args:
        included: the files that travel with it.

    Raises:
        NotAFlowError: something other than a flow was given.
        PicklingError, SecretError: the flow cannot be packaged.
        RequirementsError: the wheel of a project that it imports cannot be built.
    """
    # A flow holds its environment: what that may not say would be found in the payload.
    _Order.of(recipe, None).refuse_texts()
    with open_cache() as store:
        own = OwnModules(OwnWheels(store, _logger.info).provide)
        return package(flow, recipe.secrets, keyring, recipe.allowed, included, own)


def pull(recipe: ImageRecipe) -> None:
    """Pull the base into the container engine.

    Raises:
        ContainerEngineUnavailableError: no container engine answers.
        ImageError: it is on disk, or its registry does not have it or cannot be reached.
    """
    if recipe.on_disk:
        raise ImageError(f"{recipe.base} is on this machine's disk: there is nothing to pull")
    from prefect.oci.daemon.client import Daemon  # noqa: PLC0415 - for container engines alone

    Daemon().pull(
        str(base_reference(recipe.base)), platform=recipe.wanted_platform(), progress=_logger.info
    )


def build(
    recipe: ImageRecipe, packaged: PackagedFlow | None, progress: Callable[[str], None]
) -> tuple[DaemonImage, str]:
    """Put the image into the container engine; return what that then has, and its name.

    Only the layers that the container engine does not have are made and sent to it.

    Raises:
        ContainerEngineUnavailableError: no container engine answers.
        ImageError: the base is absent, has no Python, or one that is not fit; or the derived
            name is somebody else's image.
        CompatibilityError: the base has another Python than the one that pickles the flow.
        RequirementsError: the dependencies cannot be resolved or installed.
        ImageBuildError: a set-up command failed; the message ends with its output.
    """
    from prefect.oci.daemon.ahead import LoadingAhead  # noqa: PLC0415 - for container engines alone
    from prefect.oci.daemon.client import Daemon  # noqa: PLC0415 - the same
    from prefect.oci.daemon.loading import load  # noqa: PLC0415 - the same

    order = _Order.of(recipe, packaged)
    sources = _sources(order, progress)
    daemon = Daemon()
    with open_cache() as store:
        base = sources.in_daemon(daemon, store)
        name = _name_in(order, daemon)
        progress(f"Building the image {name} on {base.reference}")
        with LoadingAhead(daemon, name, label=LABEL_VERSION) as ahead:
            planned = _plan(order, base, store, progress)
            image = _assembled(
                planned, base, store, progress,
                ready=lambda layers: ahead.offer(base.image, layers),
            )  # fmt: skip
            built = load(
                daemon,
                image,
                name,
                label=LABEL_VERSION,
                whole=lambda: _image(
                    replace(order, recipe=replace(recipe, relock=False)),  # which is done by now
                    sources.out_of_daemon(daemon, store),
                    store,
                    progress,
                ),
                kin=ahead.end(),
                progress=progress,
            )
        progress(told_changes(image, name, store))
        if manifest := planned.flow.get(MANIFEST_FILE):  # who runs it here need not fetch it
            remember_manifest(store, built.id, manifest)
    return built, name


def docker_image(image_id: str) -> DockerImage:
    """Return an image of the container engine as docker-py's object.

    Raises:
        ContainerEngineError: the container engine does not have it, or does not answer.
    """
    from prefect.oci.daemon import objects  # noqa: PLC0415 - loads docker-py
    from prefect.oci.daemon.client import Daemon  # noqa: PLC0415 - as above

    return objects.image(Daemon(), image_id)


def push(recipe: ImageRecipe, packaged: PackagedFlow | None, reference: str) -> str:
    """Push the image to a registry, without a container engine; return its name by digest.

    Raises:
        ValueError: it is no image reference, has a digest or no registry, or is the base's.
        RegistryError: the registry does not take it, or does not have the base.
        ImageError: the base is absent, has no Python, or one that is not fit.
        CompatibilityError: the base has another Python than the one that pickles the flow.
        RequirementsError: the dependencies cannot be resolved or installed.
        SecretError: a secret's value, a key or a token is in the name, or would be in the image.
    """
    order = _Order.of(recipe, packaged)
    order.refuse({"the name to push to": (reference,)})
    recipe.require_not_base(reference)
    target = Reference.of_target(reference)
    with open_cache() as store:
        from prefect.oci.registry import client as registry  # noqa: PLC0415 - for registries alone

        image = _whole(order, store)
        pushed = registry.push(image, target, progress=_logger.info)
        _logger.info(told_changes(image, str(target), store))
    return f"{target.name}@{pushed.digest}"


def export(recipe: ImageRecipe, packaged: PackagedFlow | None, path: str | os.PathLike[str]) -> str:
    """Write the image to disk, without a container engine; return its digest.

    Raises:
        ValueError: the path's ending asks for a packed archive, or for something else.
        OutputError: there is something else of that name (a FileExistsError).
        OSError: it cannot be written; what was there before stays.
        ImageError: the base is absent, has no Python, or one that is not fit.
        CompatibilityError: the base has another Python than the one that pickles the flow.
        RequirementsError: the dependencies cannot be resolved or installed.
    """
    if not os.fspath(path):
        raise ValueError("There is no path to write the image to, such as etl.tar")
    target = Path(path)
    from prefect.oci.archives import archive  # noqa: PLC0415 - for images on disk alone

    archive.require_free(target)
    order = _Order.of(recipe, packaged)
    with open_cache() as store:
        image = _whole(order, store)
        archive.write(image, target, name=recipe.name_for(order.flow_name()))
        _logger.info(told_changes(image, str(target.absolute()), store))
    return str(image.digest)


def image(
    recipe: ImageRecipe,
    packaged: PackagedFlow | None,
    store: Store,
    progress: Callable[[str], None] = _logger.info,
) -> Image:
    """Put the image together and write it nowhere; return it with all its layers at hand.

    What the base's name means in its registry is asked every ten minutes.

    Args:
        store: keeps what is made; the layers can be read as long as it is open.

    Raises:
        ImageError: the base is absent, has no Python, or one that is not fit.
        RegistryError: the base's registry does not answer, and no container engine has it.
        CompatibilityError: the base has another Python than the one that pickles the flow.
        RequirementsError: the dependencies cannot be resolved or installed.
    """
    return _whole(_Order.of(recipe, packaged), store, progress, max_age=_BASE_SECONDS)


def digests(recipe: ImageRecipe, packaged: PackagedFlow | None) -> tuple[str, str]:
    """Put the image together and keep it nowhere: return its digest and its id."""
    with open_cache() as store:
        image = _whole(_Order.of(recipe, packaged), store)
    return str(image.digest), image.id


def write_dockerfile(
    recipe: ImageRecipe, packaged: PackagedFlow | None, directory: str | os.PathLike[str]
) -> None:
    """Write a Dockerfile, and the files that it copies, into a directory.

    Raises:
        ImageError, RegistryError, CompatibilityError: the base is absent, or not fit.
        RequirementsError: the dependencies cannot be resolved.
        OutputError: there is a Dockerfile that is not prefect's; or none, and something else where
            the other files go (a FileExistsError).
    """
    from prefect.images import dockerfile  # noqa: PLC0415 - for this alone

    order = _Order.of(recipe, packaged)
    with open_cache() as store:
        base = _sources(order, _logger.info).for_dockerfile(store)
        context = dockerfile.build_context(_plan(order, base, store, _logger.info))
    dockerfile.write_context(Path(directory), context)


def _sources(
    order: _Order, progress: Callable[[str], None], max_age: float | None = None
) -> BaseSources:
    order.refuse_texts()  # before a set-up command runs: its text stays in the image's history
    recipe = order.recipe
    return BaseSources(
        recipe.base, recipe.wanted_platform(), recipe.setup, recipe.network, progress, max_age
    )


def _plan(
    order: _Order, base: BaseImage, store: Store, progress: Callable[[str], None]
) -> plan.ImagePlan:
    recipe = order.recipe
    locked = _locked(recipe, base)
    order.refuse({"the lock": (locked.text if locked else "",)})
    own = OwnWheels(store, progress, [target_of(base.python, base.platform)])
    asked = own.take(recipe.dependencies or ())
    if order.packaged is not None:
        own.take_installed(order.packaged.manifest.installed)
    made = plan.make_plan(
        base,
        order.packaged,
        base_name=ON_DISK if recipe.on_disk else recipe.base,
        dependencies=asked,
        setup=recipe.setup,
        lock=locked,
        store=store,
        platform=recipe.wanted_platform(),
        sources=recipe.sources,
        infer=recipe.infer,
        fresh=recipe.relock,
        own=own,
    )
    order.refuse({"the image's labels": tuple(made.labels.values())})
    order.refuse_in_wheels(made.wheels)
    for note in made.notes:
        _logger.warning(note)
    if locked is None and recipe.lock is not None:
        try:
            with replacing(Path(recipe.lock), mode=None) as file:
                file.write(made.indexed_lock.encode())
        except OSError as error:
            raise RequirementsError(f"The lock {recipe.lock} cannot be written: {error}") from error
    return made


def _image(order: _Order, base: BaseImage, store: Store, progress: Callable[[str], None]) -> Image:
    return _assembled(_plan(order, base, store, progress), base, store, progress)


def _assembled(
    planned: plan.ImagePlan,
    base: BaseImage,
    store: Store,
    progress: Callable[[str], None],
    ready: Callable[[Sequence[Layer]], None] | None = None,
) -> Image:
    digest = base.image.digest
    return assemble(
        planned,
        base.image,
        store,
        annotations={"org.opencontainers.image.base.digest": digest} if digest else {},
        progress=progress,
        ready=ready,
    )


def _whole(
    order: _Order,
    store: Store,
    progress: Callable[[str], None] = _logger.info,
    max_age: float | None = None,
) -> Image:
    """Return the image with all its bytes at hand."""
    base = _sources(order, progress, max_age).with_layers(store)
    return _image(order, base, store, progress)


def _name_in(order: _Order, daemon: Daemon) -> str:
    if own := order.recipe.own_name():
        return own
    name = order.recipe.name_for(order.flow_name())
    # Nobody asked for this name: it must not take the place of an image of somebody else.
    taken = daemon.find(name)
    if taken is not None and LABEL_VERSION not in taken.labels:
        raise ImageError(
            f"The image {name} in the container engine is not prefect's, and would lose its name to "
            "this build. Choose a name: ContainerEnvironment(..., tag=...), or --tag"
        )
    return name


def _locked(recipe: ImageRecipe, base: BaseImage) -> GivenLock | None:
    """Return the lock that is to be taken, as requirement lines; None where there is none."""
    if recipe.project is None and recipe.lock is None:
        return None
    from prefect.dependencies.given_lock import given_lock  # noqa: PLC0415 - for these alone

    given = given_lock(recipe.lock, recipe.project, relock=recipe.relock)
    if given is None:
        return None
    from prefect.dependencies.pylock_reading import Pylock, is_pylock  # noqa: PLC0415 - for locks

    if not is_pylock(given.text):
        return given
    fix = f"{given.anew}, or choose a base that it is for, with --image and --platform"
    lock = Pylock(given.text, given.name, fix)
    return replace(given, text=lock.requirement_lines(target_of(base.python, base.platform)))
