"""`prefect.packaging.pickling`: what travels, what is required, what is refused."""

import sys
from importlib import metadata

import pytest

from prefect import Flow, task
from prefect.errors import ArtifactError, CompatibilityError, NotAFlowError, PicklingError
from prefect.packaging.manifest import Manifest
from prefect.packaging.pickling import load_flow, pickle_flow

HELPER = "import numpy\n\nFACTOR = 3\n\ndef scale(x):\n    return int(numpy.int64(x) * FACTOR)\n"
SCRIPT = """
import {helper}
from {helper} import FACTOR
from prefect import Flow, Parameter, Task, task

class Scale(Task):
    def run(self, x):
        return {helper}.scale(x) + FACTOR

with Flow("scaled") as flow:
    Scale()(Parameter("x", default=2))
"""
OPEN = (
    "import sys; from prefect.packaging.manifest import Manifest;"
    "from prefect.packaging.pickling import load_flow;"
    "flow = load_flow(Manifest.from_json(open('m', 'rb').read()), open('p', 'rb').read());"
    "print('result', [s.result for s in flow.run().result.values()][-1])"
)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A script and the helper module beside it, importable here and nowhere else."""
    helper, script = f"helper_{tmp_path.name}", f"script_{tmp_path.name}"
    (tmp_path / f"{helper}.py").write_text(HELPER)
    (tmp_path / f"{script}.py").write_text(SCRIPT.format(helper=helper))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield helper, script
    for name in (helper, script):
        sys.modules.pop(name, None)


def import_module(name):
    __import__(name)
    return sys.modules[name]


def test_the_helper_beside_the_script_travels(project, tmp_path, run_python):
    """Where neither file exists, the flow runs all the same, helper module included."""
    _, script = project
    pickled = pickle_flow(import_module(script).flow)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "m").write_bytes(pickled.manifest.to_json())
    (elsewhere / "p").write_bytes(pickled.payload)
    done = run_python("-c", OPEN, cwd=elsewhere)
    assert "result 9\n" in done.stdout, done.stderr


def test_installed_distributions_are_required_and_local_modules_are_not(project):
    """The manifest names what the payload imports, in the version here."""
    _, script = project
    pickled = pickle_flow(import_module(script).flow)
    assert pickled.manifest.requirements == {"numpy": f"numpy=={metadata.version('numpy')}"}


def test_an_import_within_a_task_is_required_too():
    """What a function imports when it runs counts as what it refers to."""

    @task
    def lazily():
        import json.decoder

        import pandas.errors  # noqa: F401

        return json.decoder

    with Flow("lazy") as flow:
        lazily()
    version = metadata.version("pandas")
    assert pickle_flow(flow).manifest.requirements == {"pandas": f"pandas=={version}"}


def test_a_local_module_that_is_imported_within_a_task_is_refused(project):
    """It could not travel, so the build says where to import it instead."""
    helper, _ = project
    namespace = {}
    exec(f"def run():\n    import {helper}\n    return {helper}.FACTOR\n", namespace)
    with Flow("hidden") as flow:
        task(namespace["run"])()
    with pytest.raises(PicklingError, match=f"imports {helper} within a function"):
        pickle_flow(flow)


def test_packaging_leaves_cloudpickles_registry_as_it_was(project):
    """Modules are carried by value for the length of one build only."""
    import cloudpickle

    _, script = project
    before = set(cloudpickle.list_registry_pickle_by_value())
    pickle_flow(import_module(script).flow)
    assert set(cloudpickle.list_registry_pickle_by_value()) == before


def test_a_deep_flow_travels():
    """Ten thousand tasks in a row do not meet the recursion limit."""

    @task
    def plus_one(x):
        return x + 1

    with Flow("deep") as flow:
        x = 0
        for _ in range(10_000):
            x = plus_one(x)
    pickled = pickle_flow(flow)
    assert len(load_flow(pickled.manifest, pickled.payload).tasks) == 10_000


def test_only_a_flow_is_loaded():
    """A payload of something else is refused once it is known."""
    import pickle

    manifest = pickle_flow(Flow("f")).manifest
    with pytest.raises(NotAFlowError, match="no Flow"):
        load_flow(manifest, pickle.dumps([1]))


def test_a_payload_that_does_not_load_names_the_cause():
    """The original error is quoted; a missing module is named."""
    manifest = pickle_flow(Flow("f")).manifest
    with pytest.raises(ArtifactError, match="cannot be loaded here: UnpicklingError"):
        load_flow(manifest, b"no pickle")
    with pytest.raises(CompatibilityError, match="'no_such_module'"):
        load_flow(manifest, b"cno_such_module\nx\n.")


def test_a_manifest_describes_this_interpreter():
    """Python, cloudpickle and this package are named with their versions."""
    manifest = pickle_flow(Flow("f")).manifest
    assert manifest.python_minor == "{}.{}".format(*sys.version_info)
    assert manifest.cloudpickle == metadata.version("cloudpickle")
    assert Manifest.from_json(manifest.to_json()) == manifest
    manifest.check_compatible()
