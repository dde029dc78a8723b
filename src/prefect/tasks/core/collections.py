"""Tasks that gather their inputs."""

from prefect.core.inputs import Dict, FrozenSet, List, Set, Tuple

__all__ = ["Dict", "FrozenSet", "List", "Set", "Tuple"]
