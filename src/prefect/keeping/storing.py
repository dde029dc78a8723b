"""What a job does with its result, in whatever process: it stores it, or says why not."""

from __future__ import annotations

import os
import platform
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from prefect.core.refs import Ref
from prefect.core.state import Skipped, Success
from prefect.errors import StoreError
from prefect.keeping.loading import needs
from prefect.secrets.masking import has_learned, holds_secret, is_masking, learned_in
from prefect.store.formats import encode
from prefect.store.store import KEY_VARIABLE, open_store

if TYPE_CHECKING:
    from prefect.core.state import State
    from prefect.store.formats import Encoded
    from prefect.store.store import Entry, Store

NEVER = "It holds a secret's value, which never rests in a store"
_LARGE = 1 << 16
"""Bytes of a result from which on another process sends word of it alone."""
_MOST_NAMED = 100


class Keeping:
    """What a job is to do with its result. Can be sent to another process.

    Args:
        where: the store; None where there is nothing to do but to read what others stored.
        key: of the result; "" for what only passes values on.
        about: what the store is to know of it.
        key_id: the public name of the key with which the store is encrypted.
        why: the task runs although its result was stored; None where it was not.
    """

    __slots__ = ("about", "key", "key_id", "process", "where", "why")

    def __init__(
        self,
        where: str | None,
        key: str,
        about: dict[str, Any],
        key_id: str | None = None,
        why: str | None = None,
    ) -> None:
        self.where = where
        self.process = _process()  # that runs the flow
        self.key_id = key_id
        self.key = key
        self.about = about
        self.why = why

    def inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return inputs without references to what lies in a store."""
        return fetched(inputs) if any(isinstance(v, Ref) for v in inputs.values()) else inputs

    def keep(self, state: State) -> State:
        """Store the value of a success, and note who made it; return the state."""
        if self.key:
            state.context["worker"] = worker_here()
        if self.why is not None:
            state.context["why"] = self.why
        if not isinstance(state, Success) or isinstance(state, Skipped):
            return state
        if self.where is None:
            # To that process, where it is another one; it knows what was learned there.
            if has_learned() and self.key and self.process != _process():
                with suppress(StoreError):
                    _tell_learned(state, encode(state.result))
            return state
        try:
            encoded = encode(state.result)
            _tell_learned(state, encoded)
            if is_masking() and any(holds_secret(bytes(part)) for part in encoded.parts):
                raise StoreError(NEVER)  # noqa: TRY301
            about = {
                **self.about, "same": encoded.same, "named": _named(encoded), "needs": needs(encoded),
            }  # fmt: skip
            store = open_store(self.where)
            require_key(store, self.key_id)
            entry = store.put_encoded(self.key, encoded, about)
        except StoreError as error:
            state.context["unstored"] = str(error)
            return state
        state.context["stored"] = {
            **told_of(entry, store), "inputs": self.about["inputs"],
        }  # fmt: skip
        return state

    def leave(self, state: State) -> None:
        """Take a large value that was stored out of a state that goes to another process."""
        stored = getattr(state, "_context", {}).get("stored")
        if stored is not None and stored["size"] >= _LARGE:
            state.held = None
            stored["left"] = True


def require_key(store: Store, key_id: str | None) -> None:
    """Refuse a store that is not encrypted as it was meant to be.

    Raises:
        StoreError: this process has another key, or none.
    """
    if store.key_id != key_id:
        here, there = (
            f"with key {each}" if each else "without a key" for each in (store.key_id, key_id)
        )
        raise StoreError(
            f"The results are stored {there}, and this process stores them {here}: set {KEY_VARIABLE}; for "
            f"places, --secret {KEY_VARIABLE}"
        )


def _process() -> tuple[str, int]:
    return platform.node(), os.getpid()


def _tell_learned(state: State, encoded: Encoded) -> None:
    """Have the process that runs the flow know what secrets of this process a result holds."""
    if learned := learned_in(encoded.parts):
        state.context["learned"] = learned


def told_of(entry: Entry, store: Store) -> dict[str, Any]:
    """Return what a state and a record tell of a stored result: plain JSON values."""
    return {
        "where": store.where, "key": entry.key, "digest": store.veiled(entry.digest), "size": entry.size, "format": entry.format,
        "same": entry.about.get("same"), "named": entry.about.get("named"),
    }  # fmt: skip


_threads: dict[int, int] = {}


def worker_here() -> str:
    """Name the thread that does something, for people: threads of a process by small numbers."""
    if threading.current_thread() is threading.main_thread():
        return f"{platform.node()}:{os.getpid()}"
    number = _threads.setdefault(threading.get_ident(), len(_threads) + 1)
    return f"{platform.node()}:{os.getpid()}/{number}"


def _named(encoded: Encoded) -> list[str]:
    """Return the names of classes and functions that a value names, but for those that Python has itself."""
    names = {
        f"{each.__module__}:{each.__qualname__}"
        for each in encoded.named
        if str(each.__module__).partition(".")[0] not in sys.stdlib_module_names
    }
    return sorted(names)[:_MOST_NAMED]


def fetched(inputs: dict[str, Any]) -> dict[str, Any]:
    """Return inputs with the values of references."""
    return {n: v.fetch() if isinstance(v, Ref) else v for n, v in inputs.items()}
