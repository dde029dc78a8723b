"""What importing the package costs, and what it offers."""

import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import prefect

HEAVY = [
    "cloudpickle",
    "cryptography",
    "docker",
    "distributed",
    "dask",
    "click",
    "rich",
    "isal",
    "uv",
]
SLOW = [
    "collections",
    "contextlib",
    "functools",
    "inspect",
    "typing",
    "logging",
    "asyncio",
    "dataclasses",
    "pathlib",
    "threading",
]


def test_import_loads_nothing():
    """`import prefect` loads a handful of modules that do nothing: names are found when used."""
    code = "import sys; before = {*sys.modules}; import prefect; print(*sorted({*sys.modules} - before))"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    own = ["prefect", "prefect.core", "prefect.lazy", "prefect.version"]
    assert set(loaded) - {"__future__"} == set(own)


def test_writing_a_flow_loads_nothing_heavy():
    """What a file of flows imports loads no third-party package, and no slow standard module."""
    code = (
        "import sys; before = {*sys.modules};"
        "from prefect import Flow, Parameter, Task, context, engine, task, triggers, unmapped;"
        "import prefect.engine.flow_run;"
        "print(*{*sys.modules} - before)"
    )
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert not {*HEAVY, *SLOW}.intersection(loaded)


def test_flow_reached_by_any_path_can_run():
    """A flow class that comes from its own module, as unpickling takes it, is bound to the engine."""
    code = "from prefect.core.flow import Flow; assert Flow('f').run().is_successful()"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_all_is_the_public_namespace():
    """`__all__` names what the package offers: no more, no less, and all of it is there."""
    for name in prefect.__all__:
        assert hasattr(prefect, name), name
    public = {
        name
        for name, value in vars(prefect).items()
        if not name.startswith("_")
        and name not in {"annotations", "lazy", "refuse_classic_modules", "TYPE_CHECKING"}
        and not (isinstance(value, ModuleType) and name not in prefect.__all__)
    }
    assert public | {"__version__"} == set(prefect.__all__)
    assert set(prefect.__all__) <= set(dir(prefect))


def test_modules_are_reached_by_attribute():
    """The public submodules need no import of their own."""
    code = (
        "import prefect; prefect.engine.signals.SKIP, prefect.engine.state.Success,"
        "prefect.engine.executors.DaskExecutor, prefect.engine.TaskEvent, prefect.triggers.any_failed,"
        "prefect.environments.Secret, prefect.Secret, prefect.errors.FlowError, prefect.PrefectError"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_attribute_is_an_attribute_error():
    """A name that the package and the engine do not have is refused as of any module."""
    with pytest.raises(AttributeError, match="nonsense"):
        prefect.nonsense  # noqa: B018
    with pytest.raises(AttributeError, match="nonsense"):
        prefect.engine.nonsense  # noqa: B018


def test_version_is_that_of_the_project():
    """The version in the code is the one that is packaged."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert prefect.__version__ == project.get("version", prefect.__version__)
