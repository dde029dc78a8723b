"""Settings for a while, under the name of classic Prefect."""

from __future__ import annotations

from contextlib import contextmanager

from prefect.configuration import Settings, config, temporary
from prefect.core import check
from prefect.errors import SettingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

__all__ = ["set_temporary_config"]


@contextmanager
def set_temporary_config(temp_config: Mapping[str, Any]) -> Iterator[Settings]:
    """Have settings for as long as a block lasts, in place of what variables say; for tests.

    They are those of this process. What is shown of logs is settled before: a level has no effect on it.

    Args:
        temp_config: values by names such as "flows.run_on_schedule", or by names in dicts.

    Raises:
        TypeError: it is no dict of such names.
        SettingError: a name, or a part of one, is empty.
    """
    given = dict(_flat(temp_config, ""))
    before = dict(temporary)
    temporary.update(given)
    try:
        yield config
    finally:
        temporary.clear()
        temporary.update(before)


def _flat(settings: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in check.mapping("temp_config", "settings", settings).items():
        if not isinstance(key, str):
            raise check.wrong("Each name of a setting", "a string", key)
        name = prefix + key.lower().replace(".", "__")
        if not all(name.split("__")):
            raise SettingError(
                f"{key!r} is no name of a setting, as a part of it is empty: write one such as 'flows.run_on_schedule'"
            )
        if isinstance(value, dict):
            yield from _flat(value, f"{name}__")
        else:
            yield name, value
