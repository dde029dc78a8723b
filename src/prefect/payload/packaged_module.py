"""A local module that has travelled with a flow, and travels on, to the workers of a cluster."""

from __future__ import annotations

from types import ModuleType
from typing import Any

# In a module: what the import system puts there, and where Python notes warnings that were shown.
NOT_OF_THE_SOURCE = frozenset(
    {"__builtins__", "__cached__", "__loader__", "__spec__", "__warningregistry__"}
)

# Those that the load which goes on has made, while somebody wants to know.
made: list[PackagedModule] | None = None


class PackagedModule(ModuleType):
    """A module by value, whatever else can be imported by its name.

    cloudpickle goes by the name alone: where the module's file is at hand and was imported, it
    would refer to that, which the next machine does not have.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        if made is not None:
            made.append(self)

    def __reduce__(self) -> tuple[Any, ...]:
        state = {key: value for key, value in vars(self).items() if key not in NOT_OF_THE_SOURCE}
        return PackagedModule, (self.__name__,), state
