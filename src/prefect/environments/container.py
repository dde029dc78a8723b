"""A flow as a container image: its base, its locked dependencies, a small runtime, itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from prefect.core import check
from prefect.environments.environment import allowed_names, lines
from prefect.environments.image_running import ImageRunning

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from prefect.images.flow_files import PackagedFlow
    from prefect.images.recipe import ImageRecipe
    from prefect.sealed.keys.encryption import EncryptionKey
    from prefect.sealed.keys.keyring import Keyring
    from prefect.secrets.secret import Secret

_SETTINGS = (
    "image", "python_dependencies", "secrets", "network", "platform", "setup", "infer", "lock", "relock", "project",
    "allow_source", "allow_secret_like", "include",
)  # fmt: skip
"""The arguments of the constructor that are kept as they are given."""


class ContainerEnvironment(ImageRunning):
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
            from prefect.sealed.keys.keyring import Keyring  # noqa: PLC0415 - as in _recipe_for

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
