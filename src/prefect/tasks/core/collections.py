"""Tasks that gather their inputs."""

from prefect.core.inputs import Dict, FrozenSet, List, Set, Tuple
from prefect.unsupported import refusing

__all__ = ["Dict", "FrozenSet", "List", "Set", "Tuple"]

__getattr__ = refusing(__name__)
