"""What goes into an image, as plain data.

A plan is rendered by `dockerfile` for people and engines. It knows neither how an image is made
nor what made its bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

PREFIX = "/opt/prefect"
FLOW_DIRECTORY = f"{PREFIX}/flow"
MANIFEST_FILE = "manifest.json"
PAYLOAD_FILE = "payload.pickle"

LABEL_FLOW = "prefect.flow"
LABEL_MANIFEST = "prefect.manifest"
LABEL_PYTHON = "prefect.python"
LABEL_VERSION = "prefect.version"


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """The parts of an image in the order of its layers, seldom changing ones first.

    base: reference of the base image, by digest when that is known.
    interpreter: name or path of the base's Python, such as "python3".
    python: its series, such as "3.11".
    user: the base's own user, restored after the installation; "" where it names none.
    lock: the locked dependencies, one layer of their own.
    runtime: the files of this package, by their paths below site-packages.
    flow: the files of the packaged flow by name; empty for an image of dependencies alone.
    labels: what inspection reads without looking into the layers.
    """

    base: str
    interpreter: str
    python: str
    user: str
    lock: str
    runtime: dict[str, bytes]
    flow: dict[str, bytes] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def site_packages(self) -> str:
        """Where the image's environment keeps its packages."""
        return f"{PREFIX}/lib/python{self.python}/site-packages"
