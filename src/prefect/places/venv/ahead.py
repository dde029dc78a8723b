"""A worker that starts while its command still imports what opens the flow, and waits for it.

It has this package alone: the Python is that of the runtime's directory, which has no packages. The flow's
environment is known only when the flow is authenticated; the worker enters it then, and not before.
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from prefect.errors import PrefectError
from prefect.oci.cache.of_user import kept_root
from prefect.places.process import Child
from prefect.places.runtime_directory import held_runtime, python_of
from prefect.places.venv.interpreters import HERE, known_python

from prefect.running.key_variable import KEY_VARIABLE

if TYPE_CHECKING:
    from pathlib import Path

    from prefect.places.venv.environment import Environment

_LEFT_OUT = frozenset({KEY_VARIABLE, "PYTHONPATH", "PYTHONHOME", "PYTHONEXECUTABLE"})


class _Ahead:
    """The worker that waits, if one does."""

    def __init__(self, child: Child, runtime: Path) -> None:
        self.child = child
        self.runtime = runtime


_waiting: list[_Ahead] = []


def begin() -> None:
    """Start a worker for this Python's series, if what that takes is kept; else do nothing.

    It ends when this process does, or when `take` has no use for it.
    """
    with suppress(PrefectError, OSError), ExitStack() as entered:  # told where it is needed
        root = kept_root()
        interpreter = known_python(HERE, root)
        if interpreter is None:
            return
        runtime = held_runtime(root, HERE, interpreter)
        if runtime is None:
            return
        entered.enter_context(runtime)
        python = python_of(runtime.path)
        child = Child(
            [str(python), "-P", "-s", str(runtime.path), "wait"],
            env=variables_in(None, {}),
            takes=True,
            reports=True,
            descriptors=(runtime.handle,),
        )
        _waiting.append(_Ahead(child, runtime.path))


def take(
    environment: Environment, variables: dict[str, str], arguments: list[str], *, reports: bool
) -> Child | None:
    """Have the worker that waits enter an environment; None where none does, or it is another's.

    Args:
        variables: all that it is to have, by name.
        arguments: of the worker.
        reports: whether it is to report through the pipe.
    """
    if not _waiting:
        return None
    found = _waiting.pop()
    child = found.child
    if found.runtime != environment.runtime:  # of another series, or with a cloudpickle of its own
        child.process.kill()
        child.close()
        child.process.wait()
        return None
    options = child.options if reports else child.options[:1]
    order = {
        "arguments": [*arguments, *options],
        "python": str(environment.python),
        "lock": str(environment.lock),
        "variables": {k: v for k, v in variables.items() if child.env.get(k) != v},
        "without": [name for name in child.env if name not in variables],
    }
    text = json.dumps(order).encode()
    child.write([len(text).to_bytes(4, "big"), text])
    return child


def variables_in(python: Path | None, given: dict[str, str]) -> dict[str, str]:
    """Return the variables of this process, with the environment's programs first.

    Without the key, and without what would have a Python find packages of this machine.
    """
    own = {name: value for name, value in os.environ.items() if name not in _LEFT_OUT}
    own["PYTHONUNBUFFERED"] = "1"
    if python is not None:
        own["VIRTUAL_ENV"] = str(python.parent.parent)
        own["PATH"] = os.pathsep.join([str(python.parent), own.get("PATH", os.defpath)])
    return own | given
