"""Regular expressions that are compiled when they are first used: a command imports many, and uses a few."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, AnyStr, cast


def pattern(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Return what does all that `re.compile(text, flags)` does.

    A mistake in it is raised by its first use.
    """
    return cast("re.Pattern[AnyStr]", _Pattern(text, flags))


class _Pattern:
    def __init__(self, text: str | bytes, flags: int) -> None:
        self._text = text
        self._flags = flags

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):  # of copying and pickling, say: nothing of a pattern's
                raise AttributeError(name)
            compiled = re.compile(self._text, self._flags)
            # Not called for these again.
            vars(self).update({each: getattr(compiled, each) for each in _NAMES})
            return getattr(compiled, name)


_NAMES = tuple(name for name in dir(re.Pattern) if not name.startswith("_"))
