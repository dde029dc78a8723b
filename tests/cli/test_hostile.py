"""Artifacts that somebody hostile made: the command refuses or shows them, and nothing else."""

import json

import pytest
from click.testing import CliRunner
from edits import edits

from prefect import Flow, Parameter, task
from prefect.cli.main import main
from prefect.payload.manifest import Manifest
from prefect.sealed.keys.encryption import EncryptionKey
from prefect.sealed.writing import seal


@task(max_retries=1, tags=["t"])
def double(x):
    return 2 * x


@pytest.mark.parametrize("command", ["info", "graph"])
def test_no_single_edit_of_a_manifest_is_a_traceback(tmp_path, monkeypatch, command):
    """The status is 0 or 2, and what is printed commands no terminal."""
    key = EncryptionKey.generate()
    monkeypatch.setenv("PREFECT_ENCRYPTION_KEY", key.encode())
    with Flow("small") as flow:
        double.map(Parameter("xs", default=[1]))
    manifest = json.loads(Manifest.describe(flow.serialize(), {"numpy": "numpy==2.0"}).to_json())
    path, run = tmp_path / "f.flow", CliRunner()
    for where, text in edits(manifest):
        path.write_bytes(seal(text.encode(), b"never read", key))
        done = run.invoke(main, [command, str(path)])
        assert done.exit_code in {0, 2}, (where, done.output, done.exception)
        assert "".join(done.output.split("\n")).isprintable(), where


def test_a_name_forges_no_line(tmp_path, monkeypatch):
    """A newline in a flow's, a task's or a secret's name is shown as one, in the line of that name."""
    key = EncryptionKey.generate()
    monkeypatch.setenv("PREFECT_ENCRYPTION_KEY", key.encode())
    forged = "x\nsigned by me (trusted)"
    with Flow(forged) as flow:
        task(lambda n: n, name=forged)(Parameter(forged, default=forged))
    description = flow.serialize() | {"environment": {"type": forged, "secrets": [forged]}}
    path = tmp_path / "f.flow"
    path.write_bytes(seal(Manifest.describe(description, {}).to_json(), b"never read", key))
    for command in ("info", "graph"):
        done = CliRunner().invoke(main, [command, str(path)])
        assert done.exit_code == 0
        assert not [line for line in done.output.splitlines() if line.strip().startswith("signed")]
