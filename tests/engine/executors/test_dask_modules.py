"""Local modules on the workers of a cluster, which have other ones, or none."""

import subprocess
import sys
import textwrap

import pytest
from tests.support.dask_cluster import Cluster

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


def run(home, cluster, body, imports=""):
    """Run a script whose task is this; return what that came to, as text."""
    body = textwrap.indent(textwrap.dedent(body), "    ").strip()
    (home / "script.py").write_text(FLOW.format(imports=imports, body=body))
    done = subprocess.run(
        [sys.executable, "script.py", f"dask:{cluster.address}"],
        cwd=home, capture_output=True, text=True, check=False, timeout=240,
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
