"""Where a flow that is run comes from, as far as its record and its results' keys are concerned."""

from __future__ import annotations

from contextvars import ContextVar

from prefect.frozen import field, frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


@frozen
class Origin:
    """What is known of a run beside its flow.

    Args:
        place: where it runs: "here", "venv", "sandbox" or "engine".
        artifact: the digest of what was packaged, "sha256:...".
        requirements: lines such as "pandas==2.2.0" by top-level module, of what was packaged.
    """

    place: str | None = None
    artifact: str | None = None
    requirements: Mapping[str, str] = field(default_factory=dict)


origin: ContextVar[Origin] = ContextVar("prefect.origin", default=Origin())  # noqa: B039 - it is frozen
"""Of the run that is about to begin."""
