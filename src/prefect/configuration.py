"""`prefect.config`: settings of classic Prefect's variables, where they mean something here.

PREFECT__LOGGING__LEVEL and its kin say what is shown of what tasks log; PREFECT__A__B of any other name is
`config.a.b`. Nothing else reads them; tests set them for a while, by `prefect.utilities.configuration`.
"""

from __future__ import annotations

import os

from prefect.unsupported import refusing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_DEFAULTS: dict[str, Any] = {
    "debug": False,
    "flows__checkpointing": False,
    "flows__run_on_schedule": True,
    "logging__level": "INFO",
    "logging__format": "[%(asctime)s] %(levelname)s - %(name)s | %(message)s",
    "logging__extra_loggers": [],
}
PREFIX = "PREFECT__"
temporary: dict[str, Any] = {}
"""What `set_temporary_config` sets, by names such as "flows__run_on_schedule"."""
_UNSET = object()


class Settings:
    """Settings by name, which cannot be set; `get(name, default)` asks for one that may not be there."""

    def __init__(self, prefix: str = "") -> None:
        self.__dict__["_prefix"] = prefix

    def __getattr__(self, name: str) -> Any:
        if name[:2] == "__":
            raise AttributeError(name)
        path = f"{self._prefix}{name}".lower()
        known = _known()
        if path in known:
            return known[path]
        if any(each.startswith(f"{path}__") for each in known):
            return Settings(f"{path}__")
        dotted = path.replace("__", ".")
        raise AttributeError(
            f"prefect.config has no {dotted}: set the variable {PREFIX}{path.upper()}, if your flow reads it"
        )

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(
            "prefect.config is read only: set a variable such as PREFECT__LOGGING__LEVEL"
        )

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(self, name)
        except AttributeError as error:
            raise KeyError(name) from error

    def get(self, name: str, default: Any = None) -> Any:
        """Return a setting, or the default if there is none.

        Args:
            name: the setting's.
            default: what to return else.
        """
        return getattr(self, name, default)


def overridden() -> list[str]:
    """Return the names of the settings that are set otherwise than they are by default, but for secrets."""
    given = {**_given(), **temporary}
    return [name for name, value in sorted(given.items()) if value != _DEFAULTS.get(name, _UNSET)]


def _known() -> dict[str, Any]:
    return {**_DEFAULTS, **_given(), **temporary}


def _given() -> dict[str, Any]:
    given = {
        k.removeprefix(PREFIX).lower(): v for k, v in os.environ.items() if k.startswith(PREFIX)
    }
    # Secrets are asked for by `prefect.Secret` alone.
    return {k: _value(v) for k, v in given.items() if not k.startswith("context__secrets")}


def _value(text: str) -> Any:
    """Return what a variable's text says: a number, true or false, a list, or itself."""
    from ast import literal_eval  # noqa: PLC0415  # seldom needed

    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError):
        return text


config = Settings()

__getattr__ = refusing(__name__)
