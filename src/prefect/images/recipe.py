"""What an environment says of its images: all but the flow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.dependencies.requirements import check_sources_of_versions
from prefect.frozen import field, frozen, replace
from prefect.images.base.names import base_reference, derived_name, names_a_path
from prefect.oci.platforms import Platform
from prefect.oci.references import Reference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect.secrets.secret import Secret


@frozen
class ImageRecipe:
    """How images are made: all of an environment but its flow and its destination.

    Args:
        base: the base image, a reference or the path of an OCI layout or of an image archive.
        name: of the image in a container engine; None derives one from the flow's name.
        dependencies: requirement lines.
        platform: such as "linux/arm64"; None takes Linux on this machine's processor.
        setup: shell commands that a container engine runs in the base first.
        network: the container engine's network for them.
        lock: file of locked dependencies; taken if it is there, else written.
        relock: write it anew, also where it is there.
        project: directory of a project whose lock is taken.
        infer: take what the flow imports as well.
        sources: names of distributions that may be built from source here.
        secrets: whose values may stand nowhere in an image.
        keys: private keys that may not either.
        allowed: names of what looks like a token and may stand there.

    Raises:
        ValueError: the base or the name is no image reference, the name is the base's, one of
            `sources` is no name, `platform` is no platform, there are set-up commands for a base on
            disk, there is no file to lock anew, or there are a lock and a project.
    """

    base: str
    name: str | None = None
    dependencies: Sequence[str] | None = None
    platform: str | None = None
    setup: tuple[str, ...] = ()
    network: str | None = None
    lock: str | None = None
    relock: bool = False
    sources: tuple[str, ...] = ()
    infer: bool = True
    secrets: tuple[Secret, ...] = ()
    keys: tuple[bytes, ...] = field(default=(), repr=False)
    allowed: tuple[str, ...] = ()
    project: str | None = None

    def __post_init__(self) -> None:
        if not self.on_disk:
            Reference.parse(self.base)
        if self.name is not None and Reference.parse(self.name).digest:
            raise ValueError(
                f"{self.name!r} cannot be a tag: an image's digest follows from its content"
            )
        if self.name is not None:
            self.require_not_base(self.name)
        if self.platform is not None:
            Platform.parse(self.platform)
        check_sources_of_versions(
            lock=self.lock, relock=self.relock, project=self.project, sources=self.sources
        )
        if any("\n" in command for command in self.setup):
            raise ValueError("A set-up command is one line: join several with && or list them")
        if self.setup and self.on_disk:
            raise ValueError(
                "Set-up commands run in a container engine: load the image there, and name it "
                "as a reference"
            )

    @property
    def on_disk(self) -> bool:
        """Whether the base is a layout or an archive on disk."""
        return names_a_path(self.base)

    def require_not_base(self, name: str) -> None:
        """Refuse a name for the image that is the base's, however either is spelled.

        Raises:
            ValueError: it is.
        """
        if self.on_disk:
            return
        bases = Reference.parse(self.base), base_reference(self.base)
        # A name by digest has the tag that it is written with, too.
        if Reference.parse(name) in {replace(each, digest=None) for each in bases if each.tag}:
            raise ValueError(
                f"{name!r} is the name of the base, {self.base}: the image would overwrite the base. "
                "Choose another tag, such as etl:1, or none, and it follows from the flow's name"
            )

    def name_for(self, flow_name: str | None) -> str:
        """Return the image's name: its own, or one derived from the flow's or else the base's."""
        return self.own_name() or derived_name(self.base, flow_name)

    def own_name(self) -> str | None:
        """Return the name that the image was given, if it was."""
        return None if self.name is None else str(Reference.parse(self.name))

    def placeless_dependencies(self) -> list[str] | None:
        """Return the requirement lines, but for those that name a path or an address."""
        if self.dependencies is None:
            return None
        from prefect.dependencies.own import own_line  # noqa: PLC0415 - for flows that are packaged

        return [line for line in self.dependencies if own_line(line) is None]

    def wanted_platform(self) -> Platform | None:
        """Return the platform that was asked for."""
        return None if self.platform is None else Platform.parse(self.platform)
