"""Where packaged flows run: this interpreter, an environment made for them, a sandbox, an engine.

Run passes here, between `cli` or `environments` and what an artifact is. Each place is a module or a
folder, and meets `protocol.Place`. May import all that makes artifacts, and the worker's parts.
"""

from __future__ import annotations

from prefect.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prefect.places.entry import run
    from prefect.places.surroundings import Surroundings, Volume
    from prefect.running.results import NotCarried

__all__ = ["NotCarried", "Surroundings", "Volume", "run"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "NotCarried": "prefect.running.results",
        "Surroundings": "prefect.places.surroundings",
        "Volume": "prefect.places.surroundings",
        "run": "prefect.places.entry",
    },
)
