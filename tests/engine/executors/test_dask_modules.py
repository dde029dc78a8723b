"""Local modules on the workers of a cluster, which have other ones, or none."""

import signal
import subprocess
import sys
import textwrap
import time

import pytest
from dask_cluster import Cluster
from observing import when_told

from prefect import Flow, task
from prefect.engine.executors import DaskExecutor
from prefect.engine.executors.dask import sending

FLOW = """
import sys
{imports}
from prefect import Flow, task

@task
def work():
    {body}

if __name__ == "__main__":
    with Flow("f") as flow:
        worked = work()
    state = flow.run(executor=sys.argv[1])
    print(state.result[worked].result)
    sys.exit(not state.is_successful())
"""


@pytest.fixture
def cluster(tmp_path):
    """A scheduler, of which the test starts workers."""
    (tmp_path / "cluster").mkdir()
    made = Cluster(tmp_path / "cluster")
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def home(tmp_path):
    """The directory of the script."""
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def write(directory, files):
    """Write modules."""
    for path, text in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(textwrap.dedent(text))


def script(home, cluster, body, imports=""):
    """Write a script whose task is this; return the command that runs it."""
    body = textwrap.indent(textwrap.dedent(body), "    ").strip()
    (home / "script.py").write_text(FLOW.format(imports=imports, body=body))
    return [sys.executable, "script.py", f"dask:{cluster.address}"]


def brought(client):
    """Return what the scheduler has of modules for its workers, and what these have."""

    def ours(dask_worker):  # or the scheduler, by the same name
        plugins = getattr(dask_worker, "worker_plugins", dask_worker.plugins)
        return sorted(name for name in plugins if name.startswith("prefect-modules"))

    return [client.run_on_scheduler(ours), *client.run(ours).values()]


def wait_for(found, wanted):
    """Wait until something is found: a scheduler forgets in its own time."""
    until = time.monotonic() + 120
    while (last := found()) != wanted:
        assert time.monotonic() < until, last
        time.sleep(0.05)


def run(home, cluster, body, imports=""):
    """Run a script whose task is this; return what that came to, as text."""
    done = subprocess.run(
        script(home, cluster, body, imports), cwd=home, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr + cluster.output.read_text()
    return done.stdout.strip()


def test_modules_of_namespace_packages_travel_that_are_imported_within_functions(home, cluster):
    """As those of packages do, also of one within another; a directory that none of them is in does not matter."""
    write(home, {
        "space/inner/one.py": "from space.inner import two\nONE = 1 + two.TWO\n",
        "space/inner/two.py": "TWO = 2\n",
        "space/pack/__init__.py": "from .late import LATE\n",
        "space/pack/late.py": "LATE = 4\n",
        "helper/__init__.py": "data = 8\n",
        "helper/data/numbers.txt": "1",
    })  # fmt: skip
    cluster.worker()
    result = run(home, cluster, """
        from helper import data
        from space.inner.one import ONE
        from space.pack import LATE
        return ONE + LATE + data
    """)  # fmt: skip
    assert result == "15"


def test_a_scheduler_forgets_the_modules_of_a_run_that_has_ended(home, cluster, tmp_path):
    """However it ends; another run of the same modules keeps those that it has brought."""
    write(home, {"helper.py": "def wait(*paths):\n    import os, time\n"
                              "    open(paths[0], 'w').close()\n"
                              "    while len(paths) > 1 and not os.path.exists(paths[1]): time.sleep(0.05)\n"})  # fmt: skip
    cluster.worker(threads=2)
    begun, goes_on = tmp_path / "begun", tmp_path / "goes_on"
    command = script(
        home, cluster, f"helper.wait({str(begun)!r}, {str(goes_on)!r})", "import helper"
    )
    with cluster.client() as client, subprocess.Popen(command, cwd=home) as first:
        try:
            wait_for(begun.exists, wanted=True)
            (name,), others = brought(client)
            assert others == [name]
            run(home, cluster, f"helper.wait({str(tmp_path / 'second')!r})", "import helper")
            wait_for(lambda: brought(client), [[name], [name]])
        finally:
            first.kill()
            goes_on.touch()
        wait_for(lambda: brought(client), [[], []])


def test_a_worker_has_its_own_package_again_after_a_run_with_another_one(home, cluster, tmp_path):
    """For all others that import it there by its name; in the run it is the flow's."""
    write(home, {"tool/__init__.py": "", "tool/part.py": "VALUE = 'of the flow'\n"})
    write(tmp_path / "own", {"tool/__init__.py": "", "tool/part.py": "VALUE = 'its own'\n"})
    cluster.worker(f"sys.path.insert(0, {str(tmp_path / 'own')!r})")
    imports = "import tool.part"
    assert run(home, cluster, "return tool.part.VALUE", imports) == "of the flow"

    def own():
        import tool.part

        return tool.part.VALUE

    with cluster.client() as client:
        wait_for(lambda: brought(client), [[], []])
        assert [*client.run(own).values()] == ["its own"]
    assert run(home, cluster, "return tool.part.VALUE", imports) == "of the flow"
    with cluster.client() as client:
        assert [*client.run(own).values()] == ["its own"]


def test_modules_that_were_edited_between_runs_of_one_worker(home, cluster):
    """Each run has its own, also where an edit is taken back, and where somebody has imported an ended run's by name."""
    cluster.worker()

    def version_of(name, body, **versions):
        write(home, {f"{each}.py": f"VALUE = {value!r}\n" for each, value in versions.items()})
        write(home, {"tool/__init__.py": "", "tool/part.py": f"VALUE = {versions['helper2']!r}\n"})
        return run(home, cluster, body, "import helper2")

    first = "import helper\nreturn helper.VALUE"
    second = "import helper2\nfrom tool import part\nimport tool.part\nreturn [helper2.VALUE, part.VALUE, tool.part.VALUE]"
    assert version_of("helper", first, helper="v1", helper2="v1") == "v1"
    assert version_of("helper2", second, helper="v1", helper2="v2") == "['v2', 'v2', 'v2']"

    def imports():
        import contextlib
        import importlib

        for name in ("helper", "helper2", "tool.part"):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)

    with cluster.client() as client:
        client.run(imports)
    assert version_of("helper2", second, helper="v1", helper2="v1") == "['v1', 'v1', 'v1']"
    by_name = "import importlib\nreturn importlib.import_module('helper2').VALUE"
    assert version_of("helper2", by_name, helper="v1", helper2="v3") == "v3"
    assert version_of("helper2", by_name, helper="v1", helper2="v2") == "v2"


def test_two_runs_at_once_with_other_versions_of_a_module(home, cluster, tmp_path):
    """Each has its own, in functions within functions as well, and not what the worker has of that name."""
    write(home, {"helper.py": "VALUE = 'first'\n"})
    write(tmp_path / "other", {"helper.py": "VALUE = 'second'\n"})
    write(tmp_path / "own", {"helper.py": "VALUE = 'its own'\n"})
    begun, goes_on = tmp_path / "begun", tmp_path / "goes_on"
    cluster.worker(f"sys.path.insert(0, {str(tmp_path / 'own')!r})", threads=2)
    body = """
        import helper
        def later():
            import helper
            return helper.VALUE
        {waits}
        return [helper.VALUE, later()]
    """
    waits = f"import os, time; open({str(begun)!r}, 'w').close()\n"
    waits += f"        while not os.path.exists({str(goes_on)!r}): time.sleep(0.05)"
    command = script(home, cluster, body.format(waits=waits))
    with subprocess.Popen(command, cwd=home, stdout=subprocess.PIPE, text=True) as first:
        try:
            wait_for(begun.exists, wanted=True)
            result = run(tmp_path / "other", cluster, body.format(waits="pass"))
        finally:
            goes_on.touch()
        assert result == "['second', 'second']"
        assert first.communicate()[0].strip() == "['first', 'first']"


def test_functions_among_inputs_import_local_modules(home, cluster):
    """As tasks do."""
    write(home, {"helper.py": "VALUE = 'there'\n"})
    cluster.worker()
    imports = "def late():\n    import helper\n    return helper.VALUE\n"
    (home / "script.py").write_text(
        FLOW.format(imports=imports, body="return function()")
        .replace("def work():", "def work(function):").replace("work()\n    state", "work(late)\n    state")
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "script.py", f"dask:{cluster.address}"],
        cwd=home, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.stdout.strip() == "there", done.stderr


def test_a_module_that_is_only_spoken_of(home, cluster):
    """It does not leave this machine, and may be none that Python understands."""
    write(home, {"secret_settings.py": "PASSWORD = 'hunter2'\n", "legacy.py": ""})
    (home / "legacy.py").write_bytes(b"name = '\xe9'\n")
    cluster.worker()
    text = '"""Once: from secret_settings import PASSWORD"""  # and import legacy\nimport helper'
    write(home, {"helper.py": "VALUE = 1\n"})
    body = """
        helper.VALUE
        from prefect.engine.executors import brought
        return sorted({name for each in brought._known.values() for name in each.sources})
    """
    assert run(home, cluster, body, text) == "['helper']"


def test_a_worker_that_is_frozen_when_modules_are_sent(cluster, monkeypatch):
    """The others are not kept waiting for it."""

    @task(resources={"one": 1})
    def work():
        import observing

        return observing.__name__

    cluster.worker(name="one", resources={"one": 1})
    two = cluster.worker(name="two")
    cluster.wait_for_workers(2)
    monkeypatch.setattr(sending, "ANSWERED", 1)
    with Flow("test") as flow:
        worked = work()
    executor = DaskExecutor(cluster.address)
    with when_told("flow 'test' starts", lambda: two.send_signal(signal.SIGSTOP)):
        state = flow.run(executor=executor, timeout=100)
    two.send_signal(signal.SIGCONT)
    assert state.result[worked].result == "observing"
