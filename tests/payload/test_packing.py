"""`prefect.payload.packing`: what travels, what is required, what is refused."""

import sys
from importlib import metadata
from pathlib import Path

import pytest
from installing import install

from prefect import Flow, installed, task
from prefect.errors import ArtifactError, CompatibilityError, NotAFlowError, PicklingError
from prefect.payload import local_modules
from prefect.payload.loading import load_flow
from prefect.payload.manifest import Manifest
from prefect.payload.packing import pickle_flow

COUNTER = """
count = 0
seen = []

def increase():
    global count
    count += 1
    seen.append(count)

class Counter:
    def get(self):
        increase()
        return count
"""
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
    "import sys; from prefect.payload.manifest import Manifest;"
    "from prefect.payload.loading import load_flow;"
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

        def innermost():
            import pandas.errors  # noqa: F401

        return json.decoder, innermost

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


def load_elsewhere(pickled, directory, run_python):
    """Load and run a pickled flow in a process that knows nothing of its sources."""
    directory.mkdir(exist_ok=True)
    (directory / "m").write_bytes(pickled.manifest.to_json())
    (directory / "p").write_bytes(pickled.payload)
    done = run_python("-c", OPEN, cwd=directory)
    assert done.returncode == 0, done.stderr
    return done.stdout.rpartition("result ")[2].strip()


def write_module(directory, name, text, monkeypatch):
    """Write a module that is importable here, and forgotten afterwards."""
    path = directory.joinpath(*name.split(".")).with_suffix(".py")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    monkeypatch.syspath_prepend(str(directory))
    parts = name.removesuffix(".__init__").split(".")
    for depth in range(1, len(parts) + 1):
        module = ".".join(parts[:depth])
        if module not in sys.modules:
            monkeypatch.setitem(sys.modules, module, None)  # so that it is removed afterwards
            del sys.modules[module]
    return path


def test_a_module_and_its_functions_share_their_globals(tmp_path, monkeypatch, run_python):
    """A function that rebinds a global is seen through the module, as where it was written."""
    name = f"counter_{tmp_path.name}"
    write_module(tmp_path, name, COUNTER, monkeypatch)
    counter = import_module(name)

    @task
    def count():
        counter.increase()
        return [counter.Counter().get(), counter.count, counter.seen]

    with Flow("counting") as flow:
        count()
    pickled = pickle_flow(flow)
    assert load_elsewhere(pickled, tmp_path / "elsewhere", run_python) == "[2, 2, [1, 2]]"
    loaded = load_flow(pickled.manifest, pickled.payload)
    assert next(iter(loaded.run().result.values())).result == [2, 2, [1, 2]]
    assert counter.count == 0  # what was loaded is apart from what is imported here


def test_packages_and_namespaces_beside_the_script_travel(tmp_path, monkeypatch, run_python):
    """Submodules, relative imports at a module's top, and directories without __init__.py."""
    package, space = f"package_{tmp_path.name}", f"space_{tmp_path.name}"
    write_module(tmp_path, f"{package}.__init__", "from .inner import ten\n", monkeypatch)
    write_module(tmp_path, f"{package}.inner", "def ten():\n    return 10\n", monkeypatch)
    write_module(tmp_path, f"{space}.util", "def one():\n    return 1\n", monkeypatch)
    __import__(f"{space}.util")
    outer, namespace = import_module(package), sys.modules[space]

    @task
    def add():
        return outer.ten() + outer.inner.ten() + namespace.util.one()

    with Flow("packages") as flow:
        add()
    assert load_elsewhere(pickle_flow(flow), tmp_path / "elsewhere", run_python) == "21"


def test_a_compiled_module_beside_the_script_is_refused(tmp_path, monkeypatch):
    """It cannot travel, so the build says so, instead of the other machine."""
    import _ctypes_test  # a compiled module to copy

    name = "_ctypes_test"
    path = tmp_path / _ctypes_test.__file__.rpartition("/")[2]
    path.write_bytes(Path(_ctypes_test.__file__).read_bytes())
    monkeypatch.setattr(_ctypes_test, "__file__", str(path))
    monkeypatch.setattr(
        "prefect.payload.local_modules.is_local",
        lambda n, m, f=local_modules.is_local: n == name or f(n, m),
    )

    @task
    def use():
        return _ctypes_test.__name__

    with Flow("compiled") as flow:
        use()
    with pytest.raises(PicklingError, match="compiled module that is not installed"):
        pickle_flow(flow)


def test_functions_that_are_instances_are_required_too():
    """Functions of numpy are no functions by type, and are imported all the same."""
    from numpy import add

    with Flow("numpy") as flow:
        task(lambda: add(1, 2))()
    assert list(pickle_flow(flow).manifest.requirements) == ["numpy"]


def test_a_shared_namespace_is_resolved_by_file(tmp_path, monkeypatch):
    """Of several distributions below one name, the one that owns the module is required."""
    for letter in "ab":
        info = tmp_path / f"goo_{letter}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: goo-{letter}\nVersion: 1.0\n")
        (info / "RECORD").write_text(f"goo/{letter}.py,,\n{info.name}/METADATA,,\n")
        write_module(tmp_path, f"goo.{letter}", "def f():\n    return 1\n", monkeypatch)
    prefixes = (*installed._installed_prefixes(), f"{tmp_path}/")
    monkeypatch.setattr(installed, "_installed_prefixes", lambda: prefixes)
    local_modules._providers.cache_clear()
    __import__("goo.b")
    function = sys.modules["goo.b"].f
    with Flow("namespace") as flow:
        task(lambda: [function()])()
    try:
        assert pickle_flow(flow).manifest.requirements == {"goo.b": "goo-b==1.0"}
    finally:
        local_modules._providers.cache_clear()


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A directory in which distributions of one module can be installed for this process."""
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    prefixes = (*installed._installed_prefixes(), f"{tmp_path}/")
    monkeypatch.setattr(installed, "_installed_prefixes", lambda: prefixes)
    local_modules._providers.cache_clear()
    yield site
    local_modules._providers.cache_clear()


def test_what_a_call_needs_is_required(site):
    """Pandas imports pyarrow when read_parquet is called, in a nested function, by a method, too."""
    import pandas as pd

    for name in ("pyarrow", "fastparquet", "openpyxl", "lxml", "tabulate"):
        install(site, name, "1.5")

    @task
    def transform(path):
        def nested(frame):
            frame.to_markdown()

        nested(pd.read_parquet(path))

    with Flow("calls") as flow:
        transform("x.parquet")
    manifest = pickle_flow(flow).manifest
    assert manifest.requirements.keys() == {"pandas", "pyarrow", "tabulate"}
    assert manifest.requirements["pyarrow"] == "pyarrow==1.5"
    assert manifest.installed["tabulate"] == "1.5"


def test_a_method_of_a_frame_that_a_library_made_counts(site):
    """The flow need not import pandas itself, as long as what it imports requires it."""
    install(site, "makes_frames", "1.0", "pandas")
    install(site, "pyarrow", "1.5")
    import makes_frames

    @task
    def save():
        makes_frames.frame().to_parquet("x")

    with Flow("method") as flow:
        save()
    assert pickle_flow(flow).manifest.requirements.keys() == {"makes_frames", "pyarrow"}


def test_of_several_ways_the_one_that_is_installed_is_required(site):
    """What is not here cannot have been tried here, and is not guessed."""
    import pandas as pd

    @task
    def read(path):
        return pd.read_parquet(path), pd.read_excel(path)

    with Flow("ways") as flow:
        read("x")
    assert pickle_flow(flow).manifest.requirements.keys() == {"pandas", "pyarrow"}
    install(site, "openpyxl", "3.2")
    local_modules._providers.cache_clear()
    assert pickle_flow(flow).manifest.requirements.keys() == {"pandas", "pyarrow", "openpyxl"}


def test_what_an_extra_of_a_module_needs_is_required():
    """`dask.dataframe` is a part of dask that imports pandas and pyarrow, which dask alone does not require."""

    @task
    def frame():
        import dask.dataframe

        return dask.dataframe

    with Flow("extra") as flow:
        frame()
    assert pickle_flow(flow).manifest.requirements.keys() == {"dask", "pandas", "pyarrow"}


def test_odd_entries_among_the_modules_are_passed_over(monkeypatch):
    """What libraries put into sys.modules in a module's place does not disturb a build."""

    class Odd:
        __name__ = "odd_entry"
        __file__ = "/somewhere/odd_entry.py"

    monkeypatch.setitem(sys.modules, "odd_entry", Odd())
    pickle_flow(Flow("f"))


def test_the_manifest_tells_what_requirements_need_in_turn(run_python, tmp_path):
    """Through extras and markers, as installed here; a flow without requirements tells nothing."""
    site = tmp_path / "site-packages"
    install(site, "topofours", "1.5", "Mid_Of.Ours[more]>=1; python_version > '3'", "gone",
            "never; sys_platform == 'win32'", "extraofours; extra == 'other'")  # fmt: skip
    install(site, "mid_of_ours", "2+local", "extraofours; extra == 'more'", "topofours", "odd ><")
    install(site, "extraofours", "3")
    (tmp_path / "job.py").write_text(
        "import topofours\nfrom prefect import Flow, task\n"
        "from prefect.payload.packing import pickle_flow\n"
        "@task\ndef use():\n    return topofours.version\n"
        "with Flow('job') as flow:\n    use()\n"
        "print(pickle_flow(flow).manifest.installed)\n"
    )
    done = run_python("job.py", cwd=tmp_path, PYTHONPATH=str(site))
    assert done.stdout.strip() == str(
        {"extraofours": "3", "mid-of-ours": "2+local", "topofours": "1.5"}
    ), done.stderr
    with Flow("plain") as plain:
        constant()
    assert pickle_flow(plain).manifest.installed == {}


@task
def constant():
    return 1
