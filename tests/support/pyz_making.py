"""Files that run by themselves: one that is built for the tests, and runs of it with nothing but Python."""

import os
import subprocess

KEY = "PREFECT_ENCRYPTION_KEY"


def run(python, archive, *arguments, cwd, options=("-I", "-S"), before=(), **more):
    """Run a file by a Python that has neither this package nor a variable of this process.

    Args:
        options: for Python; by default nothing that is installed beside it is found.
        before: a program and its arguments that runs it.
        more: `environment`, and arguments of `subprocess.run`.
    """
    environment = {"PATH": os.environ["PATH"], "HOME": "/proc/none"} | more.pop("environment", {})
    return subprocess.run(
        [*before, python, *options, archive, *arguments],
        cwd=cwd, env={k: v for k, v in environment.items() if v is not None},
        capture_output=True, text=True, check=False, timeout=240, stdin=subprocess.DEVNULL, **more,
    )  # fmt: skip
