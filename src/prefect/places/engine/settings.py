"""From what a run gets of its machine to a container's settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.errors import PlaceError, SecretError
from prefect.oci.daemon.settings import Mount, Settings
from prefect.places.stores import STORE_DIRECTORY, store_of
from prefect.running.flow_directory import PREFIX
from prefect.running.output_directory import OUTPUT_DIRECTORY, make_output_directory
from prefect.secrets.search import Forbidden, pieces_of
from prefect.secrets.secret import DEFAULT_DIRECTORY

if TYPE_CHECKING:
    from prefect.images.held import HeldImage
    from prefect.places.protocol import Work
    from prefect.places.surroundings import Surroundings, Volume

# Memory only: what is written here is in no layer, no commit and no file of the engine.
_SECRETS_TMPFS = {DEFAULT_DIRECTORY: "mode=1777,size=4m,noexec,nosuid,nodev"}
_ROOTS = frozenset({"", "0", "root"})


def settings_for(image: HeldImage, work: Work) -> Settings:
    """Return the settings of a container for some work; its output directory is there afterwards.

    Raises:
        PlaceError: a path is not there, or an output directory cannot be had.
        SecretError: a variable has a secret, which would come to rest in the container's settings.
    """
    given = work.surroundings
    _refuse_secrets(work)
    mounts = [_mount(volume, local=image.daemon.is_local) for volume in given.volumes]
    user = given.user
    elsewhere = False
    if given.output is not None:
        directory = make_output_directory(given.output)
        elsewhere = not image.daemon.is_local
        if not elsewhere:
            mounts.append(Mount(str(directory), OUTPUT_DIRECTORY))
            user = _user(image, given, directory)
    for each in store_of(work):
        if not image.daemon.is_local:
            raise PlaceError(
                f"The container engine at {image.daemon.http.endpoint.url} does not see {each}: name a store by "
                "its URL, such as s3://bucket/runs, or run it in a sandbox (--in sandbox)"
            )
        mounts.append(Mount(each, STORE_DIRECTORY))
        user = user or _user(image, given, Path(each))
    return Settings(
        tty=work.tty,
        tmpfs=_SECRETS_TMPFS if work.secrets else {},
        mounts=tuple(mounts),
        env=given.env,
        memory=given.memory,
        cpus=given.cpus,
        gpus=given.gpus,
        user=user,
        network=given.network,
        workdir=given.workdir,
        directories=(OUTPUT_DIRECTORY,) if elsewhere else (),
    )


def _refuse_secrets(work: Work) -> None:
    """Refuse variables with what is handed over in memory: engines keep variables, and show them."""
    values = Forbidden(
        {text: f"The value of the secret {name}" for name, text in work.secrets.items()}
    )
    for name, value in work.surroundings.env:
        found = f"The secret {name}" if name in work.secrets else None
        if found is None and values:
            search = values.search()
            found = next(filter(None, map(search.find, pieces_of(os.fsencode(value)))), None)
        if found is not None:
            raise SecretError(
                f"{found} would come to rest in the container's settings, as its variable {name}. Leave "
                "it out of --env (env=): secrets are handed over in memory"
            )


def _mount(volume: Volume, *, local: bool) -> Mount:
    if volume.target == PREFIX or volume.target.startswith(f"{PREFIX}/"):
        raise PlaceError(
            f"The volume {volume} would hide what the image runs: choose another target"
        )
    # Container engines look themselves, but some make what is not there, and as root.
    if local and volume.is_path and not os.path.lexists(volume.source):
        raise PlaceError(
            f"There is no file or directory {volume.source} for the volume {volume}: make it first"
        )
    return Mount(volume.source, volume.target, volume.writable, volume.label)


def _user(image: HeldImage, given: Surroundings, directory: Path) -> str | None:
    """Return as whom a container runs that is to write a directory; None is the image's own user.

    Root can write anywhere, and what it makes is handed to the directory's owner by the worker. Any
    other user of the image is nobody here: whoever owns the directory takes its place, so that
    files are the caller's. Root never does.
    """
    user = image.user if given.user is None else given.user
    owner = directory.stat()
    name = user.partition(":")[0]
    if name in _ROOTS or name == str(owner.st_uid) or image.daemon.rootless:
        return given.user
    if owner.st_uid and given.user is None:
        return f"{owner.st_uid}:{owner.st_gid}"
    if not owner.st_uid and os.geteuid() == 0 and not any(directory.iterdir()):
        ids = image.ids(user)
        if ids is not None:
            os.chown(directory, *ids)
    return given.user
