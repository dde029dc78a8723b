"""Where a flow is packaged to run: an encrypted pickle or a container image.

Thin: build, info and run of the fixed API pass here on their way to `sealing` and `images`. Each kind
is imported when it is first asked for: inside an image there need be neither cryptography nor what
makes images or locks dependencies, to which there are lazy doors.
"""

from __future__ import annotations

from prefect.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prefect.environments.container import ContainerEnvironment
    from prefect.environments.environment import Environment
    from prefect.environments.pickle import PickleEnvironment
    from prefect.secrets.secret import Secret

__all__ = ["ContainerEnvironment", "Environment", "PickleEnvironment", "Secret"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "ContainerEnvironment": "prefect.environments.container",
        "Environment": "prefect.environments.environment",
        "PickleEnvironment": "prefect.environments.pickle",
        "Secret": "prefect.secrets.secret",
    },
)
