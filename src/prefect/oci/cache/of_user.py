"""Where builds keep what is worth keeping: one store for the user, as large as a variable says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.oci.cache.layout import DEFAULT_LIMIT, DIRECTORIES, FACTS, VERSION
from prefect.user_cache import cache_home, require_private, size_limit

if TYPE_CHECKING:
    from pathlib import Path

    from prefect.oci.cache.store import Store

SIZE_VARIABLE = "PREFECT_CACHE_SIZE"


def open_cache() -> Store:
    """Open the user's cache, or a temporary one where there is none or it cannot be written.

    It is bounded by `PREFECT_CACHE_SIZE`, such as "20GiB" or "500MB", by default 10 GiB.

    Raises:
        SettingError: the variable is no size; or others own the directory, or may write it.
    """
    # Slow to import, and what is kept already needs none.
    from prefect.oci.cache.store import Store  # noqa: PLC0415

    return Store(cache_directory(), cache_limit())


def kept_root() -> Path | None:
    """Return the directory of the user's cache, for `facts.recall` and `directories.hold`.

    None where there is none yet. It is quick: a run that finds all that it needs opens no store.

    Raises:
        SettingError: others own it, or may write it.
    """
    directory = cache_directory()
    root = None if directory is None else directory / VERSION
    if root is None or not (root / DIRECTORIES).is_dir():
        return None
    for each in (root, root / FACTS, root / DIRECTORIES):
        require_private(each)
    return root


def clear_cache() -> int:
    """Delete from the user's cache what no running build uses; return the bytes given back."""
    directory = cache_directory()
    if directory is None or not directory.exists():
        return 0
    from prefect.oci.cache.store import Store  # noqa: PLC0415 - as above

    with Store(directory) as store:
        return store.clear()


def cache_directory() -> Path | None:
    """Return where the cache is: `$XDG_CACHE_HOME/prefect` or `~/.cache/prefect`.

    None where there is no home directory.
    """
    home = cache_home()
    return None if home is None else home / "prefect"


def cache_limit() -> int:
    """Return how many bytes the cache may have.

    Raises:
        SettingError: the variable is no size.
    """
    return size_limit(SIZE_VARIABLE, DEFAULT_LIMIT)
