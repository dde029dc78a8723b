"""What a run is to keep, and to go on with: as whoever starts it says, for the flow that is run next."""

from __future__ import annotations

from contextvars import ContextVar

from prefect.frozen import field, field_names, frozen, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

LAST = "last"
"""Stands for the name of the last run of a flow."""


@frozen
class Kept:
    """What is to be kept of a run, and what is known of it beside its flow.

    Args:
        store: where results and a record are kept, an absolute path or a URL; None is nowhere, but for
            results of cached tasks.
        resume: the run to go on with, by its name, or "last"; None is none.
        run: the run's own name; None has one made.
        place: where it runs: "here", "venv", "sandbox" or "engine".
        artifact: the digest of what was packaged, "sha256:...".
        key_id: the public name of the key with which results are encrypted; None where they are not.
        requirements: lines such as "pandas==2.2.0" by top-level module, of what was packaged.
    """

    store: str | None = None
    resume: str | None = None
    run: str | None = None
    place: str | None = None
    artifact: str | None = None
    key_id: str | None = None
    requirements: Mapping[str, str] = field(default_factory=dict)

    @property
    def directory(self) -> str | None:
        """The directory of its store, if that is one."""
        return self.store if self.store is not None and self.store.startswith("/") else None

    def at(self, directory: str | None, place: str) -> Self:
        """Return the same as another place has it.

        Args:
            directory: as what it sees the store's directory; None is as this process does.
            place: what the place is called.
        """
        seen = self.store if directory is None or self.directory is None else directory
        return replace(self, store=seen, place=place)

    def text(self) -> str:
        """Return it as a text, which `of_text` reads."""
        import json  # noqa: PLC0415  # for runs elsewhere alone

        told = {name: getattr(self, name) for name in field_names(self) if name != "requirements"}
        return json.dumps({name: value for name, value in told.items() if value is not None})

    @classmethod
    def of_text(cls, text: str) -> Kept:
        """Return what a text says.

        Raises:
            ValueError: it is not as `text` writes it.
        """
        import json  # noqa: PLC0415  # as above

        told = json.loads(text)
        names = ("store", "resume", "run", "place", "artifact", "key_id")
        if not isinstance(told, dict) or not all(
            name in names and isinstance(value, str) for name, value in told.items()
        ):
            raise ValueError(f"{text[:100]!r} does not say what is to be kept")
        return Kept(**told)


asked: ContextVar[Kept | None] = ContextVar("prefect.kept", default=None)
"""What is asked for the flow that is run next; nothing, for flows that run within its tasks."""
