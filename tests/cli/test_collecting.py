"""How often a command looks for garbage."""

import subprocess
import sys

FLOW = """
import gc
from prefect import Flow, task

loading = gc.get_threshold()

@task
def look():
    print("enabled", gc.isenabled(), "seldom while it was loaded", loading[0] > 10_000)
    print("now", gc.get_threshold())

with Flow("looks") as flow:
    look()
"""


def test_tasks_have_the_collector_as_python_has_it(tmp_path):
    """In the command's own process, from the file and packaged."""
    (tmp_path / "looks.py").write_text(FLOW)

    def prefect(*words):
        command = [sys.executable, "-m", "prefect", *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    usual = subprocess.run(
        [sys.executable, "-c", "import gc; print(gc.get_threshold())"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    told = prefect("run", "looks.py")
    assert "enabled True seldom while it was loaded True" in told
    assert f"now {usual}" in told
    prefect("keygen", "flow.key")
    prefect("build", "looks.py", "-o", "looks.flow", "--key-file", "flow.key")
    for place in ("here", "venv"):
        told = prefect("run", "looks.flow", "--key-file", "flow.key", "--in", place)
        assert "enabled True" in told
        assert f"now {usual}" in told
