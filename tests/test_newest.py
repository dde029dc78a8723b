"""`scripts/newest.py`, which finds the Pythons that `make newest` tests."""

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[1] / "scripts"
FIND = "import json, newest; print(json.dumps({k: str(v[1]) for k, v in newest.pythons().items()}))"


def executable(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_pythons_are_those_that_start(tmp_path):
    """On PATH and in pyenv, the newest of a series; neither shims without one nor what is no release."""
    shims, versions = tmp_path / "shims", tmp_path / "pyenv" / "versions"
    executable(shims / "python3.41", "echo 'pyenv: python3.41: command not found' >&2; exit 127")
    executable(shims / "python3.42", f"echo 3 42 0 {tmp_path}")
    executable(shims / "python3.42-config", f"echo 3 42 9 {tmp_path}")
    executable(versions / "3.42.1" / "bin" / "python3.42", f"echo 3 42 1 {tmp_path}")
    (shims / "python3.43").write_text("not to be executed")
    done = subprocess.run(
        [sys.executable, "-c", FIND], cwd=SCRIPTS, capture_output=True, text=True, check=True,
        env=os.environ | {"PATH": str(shims), "PYENV_ROOT": str(tmp_path / "pyenv")},
    )  # fmt: skip
    found = json.loads(done.stdout)
    here = "{}.{}".format(*sys.version_info)
    assert set(found) == {here, "3.42"}
    assert found["3.42"] == str(versions / "3.42.1" / "bin" / "python3.42")
    assert Path(found[here]).samefile(sys.executable)
