"""What flows use beside tasks, under the names of classic Prefect, as far as it needs no server.

No trip passes through it. May import core and engine.
"""

from prefect.lazy import lazy

__getattr__, __dir__ = lazy(__name__, {})
