"""What goes into an image, as plain data.

A plan has two renderings: `dockerfile` for people, engines and build tools, and `image_builder`,
which makes the image itself. It knows neither, nor what made its bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "/opt/prefect"
FLOW_DIRECTORY = f"{PREFIX}/flow"
MANIFEST_FILE = "manifest.json"
PAYLOAD_FILE = "payload.pickle"
SEALED_FILE = "sealed.flow"
LOCK_FILE = f"{PREFIX}/requirements.lock"
PYTHON = f"{PREFIX}/bin/python"
ENTRYPOINT = (PYTHON, "-m", "prefect.worker")
COMMAND = ("run",)

KEY_VARIABLE = "PREFECT_ENCRYPTION_KEY"  # the secret that opens a sealed flow

LABEL_FLOW = "prefect.flow"
LABEL_MANIFEST = "prefect.manifest"
LABEL_PYTHON = "prefect.python"
LABEL_SEALED = "prefect.sealed"
LABEL_VERSION = "prefect.version"


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """The parts of an image in the order of its layers, seldom changing ones first.

    base: reference of the base image, by digest when that is known.
    base_platform: of a base for several, as registries name it; "" leaves the choice to the engine.
    setup: shell commands that run in the base as root before anything is added.
    interpreter: absolute path of the base's Python, such as "/usr/local/bin/python3.11".
    python: its series, such as "3.11".
    platform: uv's name of its platform, such as "x86_64-manylinux_2_36".
    user: the base's own user, as which containers run; "" where it names none.
    lock: the locked dependencies.
    runtime: the files of this package, by their paths below site-packages.
    flow: the files of the packaged flow by name; empty for an image of dependencies alone.
    labels: what inspection reads without looking into the layers.
    """

    base: str
    interpreter: str
    python: str
    platform: str
    user: str
    lock: str
    runtime: Mapping[str, bytes]
    base_platform: str = ""
    setup: tuple[str, ...] = ()
    flow: Mapping[str, bytes] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def site_packages(self) -> str:
        """Where the image's environment keeps its packages."""
        return f"{PREFIX}/lib/python{self.python}/site-packages"
