"""What an environment says of its images, and images made by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect.environments.image_plan import make_plan
from prefect.errors import RequirementsError
from prefect.oci.replacing import replacing
from prefect.packaging.image_builder import build_image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from prefect.environments.base_image import BaseImage
    from prefect.environments.base_sources import BaseSources
    from prefect.environments.image_plan import PackagedFlow
    from prefect.oci.images import Image
    from prefect.oci.store import Store
    from prefect.packaging.plan import ImagePlan


@dataclass(frozen=True, slots=True)
class ImageRecipe:
    """How images are made: all of an environment but its flow and its destination.

    sources: where the base comes from.
    dependencies: requirement lines; None takes what the flow imports.
    lock: file of locked dependencies; taken if it is there, else written.
    store: open as long as the images are read.
    """

    sources: BaseSources
    dependencies: Sequence[str] | None
    lock: Path | None
    store: Store
    progress: Callable[[str], None]

    def plan(self, base: BaseImage, packaged: PackagedFlow | None) -> ImagePlan:
        """Plan an image on a base.

        Raises:
            CompatibilityError: the base has another Python than the one that pickled the flow.
            RequirementsError: the dependencies cannot be resolved, or the lock not be used.
        """
        locked = self._read_lock()
        made = make_plan(
            base,
            packaged,
            dependencies=self.dependencies,
            setup=self.sources.setup,
            lock=locked,
            store=self.store,
            platform=self.sources.platform,
        )
        if locked is None and self.lock is not None:
            try:
                with replacing(self.lock, mode=0o644) as file:
                    file.write(made.lock.encode())
            except OSError as error:
                raise RequirementsError(
                    f"The lock {self.lock} cannot be written: {error}"
                ) from error
        return made

    def image(self, base: BaseImage, packaged: PackagedFlow | None) -> Image:
        """Put an image on a base.

        Raises:
            As `plan`, and RequirementsError where a dependency has no wheel for the image.
        """
        digest = base.image.digest
        annotations = {"org.opencontainers.image.base.digest": digest} if digest else {}
        return build_image(
            self.plan(base, packaged),
            base.image,
            self.store,
            annotations=annotations,
            progress=self.progress,
        )

    def _read_lock(self) -> str | None:
        if self.lock is None or not self.lock.exists():
            return None
        try:
            return self.lock.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise RequirementsError(f"The lock {self.lock} cannot be read: {error}") from error
