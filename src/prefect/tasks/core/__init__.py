"""Tasks that flows add by themselves, under the names of classic Prefect.

A run passes through those that a flow has. May import core.
"""

from prefect.lazy import lazy

__getattr__, __dir__ = lazy(__name__, {})
