"""The records in a store: which there are, and which one is meant."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.core.kept import LAST
from prefect.errors import RecordError
from prefect.printable import printable
from prefect.records.reading import RecordReader, read_record
from prefect.store.store import default_store, open_store

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from prefect.records.run import Run
    from prefect.store.store import Store

_DIRECTORY, _SUFFIX = "runs", ".jsonl"


def runs_in(store: Store) -> list[str]:
    """Return the ids of the runs that a store has records of, the earliest first.

    Raises:
        StoreError: the store cannot be read.
    """
    return sorted(
        path.rpartition("/")[2].removesuffix(_SUFFIX)
        for path, _, _ in store.files.listed(_DIRECTORY)
        if path.endswith(_SUFFIX)
    )


def path_of(run: str) -> str:
    """Return the path of a run's record in its store."""
    return f"{_DIRECTORY}/{run}{_SUFFIX}"


def store_option(store: Store) -> str:
    """Return the option that has a command look into a store, with a blank before it; "" for the user's own."""
    if store.where == default_store():
        return ""
    from shlex import quote  # noqa: PLC0415 - seldom needed

    return f" --store {printable(quote(store.where))}"


def find_run(store: Store, meant: str, suits: Callable[[Run], bool] | None = None) -> str:
    """Return the id of a run.

    Args:
        meant: its id, or a beginning or an end of it that no other has, or "last".
        suits: which runs are looked at for the last one; by default all.

    Raises:
        RecordError: there is none, or several.
        StoreError: the store cannot be read.
    """
    names = runs_in(store)
    if meant == LAST:
        last = last_run(store, names, suits)
        if last is None:
            raise RecordError(
                f"{store.where} has no such run: `prefect runs{store_option(store)}` lists what there is"
            )
        return last[0]
    found = [name for name in names if name == meant] or [
        name for name in names if name.startswith(meant) or name.endswith(meant)
    ]
    if len(found) == 1:
        return found[0]
    shown = ", ".join(found[-3:]) + (", …" if len(found) > 3 else "")  # noqa: PLR2004
    many = f"{len(found)} runs that this may mean: {shown}" if found else "none of that name"
    raise RecordError(
        f"Which run is meant by {printable(meant)!r}? {store.where} has {many}. `prefect runs{store_option(store)}` lists all"
    )


def last_run(
    store: Store, names: Sequence[str], suits: Callable[[Run], bool] | None = None
) -> tuple[str, Run] | None:
    """Return the last of some runs, with its name; None where there is none.

    Args:
        names: of the runs, the earliest first.
        suits: which of them are meant; by default all.

    Raises:
        StoreError: the store cannot be read.
    """
    for name in reversed(names):
        with suppress(RecordError):  # one that was cut off before it began
            run = read_run(store, name)
            if suits is None or suits(run):
                return name, run
    return None


def read_run(store: Store, run: str) -> Run:
    """Read the record of a run.

    Raises:
        RecordError: there is no such record, or it is none.
        StoreError: the store cannot be read.
    """
    name = path_of(run)
    read = store.files.read(name)
    if read is None:
        raise RecordError(f"{store.where} has no record of a run {printable(run)!r}")
    reader = RecordReader(f"{store.where}/{name}")
    reader.read(io.BytesIO(read))
    return reader.run()


def run_meant(meant: str, where: str | os.PathLike[str] | None = None) -> Run:
    """Read the record of a run that somebody names.

    Args:
        meant: the path of a record, or what `find_run` takes.
        where: the store; by default the user's.

    Raises:
        RecordError, StoreError: there is no such record, or it is none.
    """
    if meant.endswith(_SUFFIX) and Path(meant).exists():
        return read_record(meant)
    store = open_store(where)
    if meant == LAST and (last := last_run(store, runs_in(store))):
        return last[1]  # which was read to be found
    return read_run(store, find_run(store, meant))
