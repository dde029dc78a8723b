"""A machine that has Python and this package, and nothing else: no packages, no index, no network."""

import subprocess
import sys
from pathlib import Path

import pytest

from prefect.dependencies.uv import uv_program

ROOT = Path(__file__).parents[2]
FLOW = """
import iniconfig
from prefect import Flow, Parameter, task

@task
def use(n):
    print("used", iniconfig.__name__, n)

with Flow("bare") as flow:
    use(Parameter("n", default=1))
"""


@pytest.mark.services
def test_a_sealed_flow_brings_what_it_needs_to_a_bare_machine(tmp_path, daemon, base_image):
    """One command makes an environment of what the flow brought, and runs it there."""
    (tmp_path / "bare.py").write_text(FLOW)
    prefect = [sys.executable, "-m", "prefect"]
    for command in (
        [*prefect, "keygen", "flow.key"],
        [*prefect, "build", "bare.py", "-o", "bare.flow", "--key-file", "flow.key", "--vendor",
         "--python", "3.11"],
        [uv_program(), "pip", "install", "-q", "--python-version", "3.11", "--target", "site", ROOT],
    ):  # fmt: skip
        subprocess.run(command, cwd=tmp_path, check=True, stdin=subprocess.DEVNULL)
    run = "python3 -c 'import iniconfig' 2>/dev/null && exit 9; "
    run += "python3 -m prefect run /given/bare.flow --key-file /given/flow.key -p n=2 2>&1"
    output = daemon.containers.run(
        base_image,
        ["sh", "-c", run],
        network_mode="none",
        environment={"PYTHONPATH": "/given/site", "PYTHONDONTWRITEBYTECODE": "1"},
        volumes={str(tmp_path): {"bind": "/given", "mode": "ro"}},
        remove=True,
    ).decode()
    assert "used iniconfig 2" in output
    assert "It runs in an environment made for it (--in venv)" in output
