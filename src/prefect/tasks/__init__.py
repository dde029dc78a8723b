"""Tasks that are ready to use, under the names of classic Prefect.

A flow's run passes through those that it has. May import core, engine and secrets.
"""

from prefect.lazy import lazy

__getattr__, __dir__ = lazy(__name__, {})
