"""From a changed flow to the first line that it prints, and a run of an image: in a sandbox, and by docker.

    python benchmarks/sandboxes.py [--rounds 5]

The flow, its base and its dependencies are the same: docker builds, by BuildKit, the Dockerfile that
`prefect build --dockerfile` writes, whose writing is not counted, and runs what it built. Whole commands, one
after the other in each round. Medians and minima are compared; where the machine is busy, the
latter say more, as what is ours computes while docker's command waits.

It needs the container engine and the base of `make services`, a docker command with BuildKit, and bubblewrap.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

FLOW = """from prefect import Flow, task

@task
def work():
    print("line", {nonce!r})

with Flow("measured-in-sandboxes") as flow:
    work()
"""
PREFECT = [sys.executable, "-m", "prefect"]
SANDBOX, DOCKER = "sandbox", "docker"


def seconds(*command: str, directory: Path, first_line: bool = False) -> float:
    """Return how long a command takes to its end, or to its first line."""
    begun = time.perf_counter()
    environment = os.environ | {"DOCKER_BUILDKIT": "1"}
    with subprocess.Popen(
        command,
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        told = time.perf_counter() - begun
        rest = process.communicate()
        taken = time.perf_counter() - begun
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{line}{''.join(rest)}")
    return told if first_line else taken


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    base, tag = os.environ["PREFECT_TEST_IMAGE"], f"prefect-bench-{uuid.uuid4().hex[:8]}"
    changed: dict[str, list[float]] = {SANDBOX: [], DOCKER: []}
    again: dict[str, list[float]] = {SANDBOX: [], DOCKER: []}
    with tempfile.TemporaryDirectory() as name:
        at = Path(name)

        def change() -> None:
            (at / "flow.py").write_text(FLOW.format(nonce=uuid.uuid4().hex))

        def ours() -> float:
            change()
            command = [*PREFECT, "run", "flow.py", "--image", base, "--in", "sandbox"]
            return seconds(*command, directory=at, first_line=True)

        def theirs() -> float:
            change()
            render = [*PREFECT, "build", "flow.py", "--image", base, "--dockerfile", "context"]
            seconds(*render, directory=at)
            built = seconds("docker", "build", "-q", "-t", tag, "context", directory=at)
            return built + seconds("docker", "run", "--rm", tag, directory=at, first_line=True)

        try:
            ours(), theirs()
            export = [*PREFECT, "build", "flow.py", "--image", base, "--export", "flow.tar"]
            seconds(*export, directory=at)
            run = [*PREFECT, "run", "./flow.tar", "--in", "sandbox"]
            seconds(*run, directory=at)
            for _ in range(rounds):
                changed[SANDBOX].append(ours())
                changed[DOCKER].append(theirs())
                again[SANDBOX].append(seconds(*run, directory=at))
                again[DOCKER].append(seconds("docker", "run", "--rm", tag, directory=at))
        finally:
            subprocess.run(["docker", "rmi", "-f", tag], capture_output=True, check=False)
    for what, found in (("a changed flow, to its first line", changed), ("an image again", again)):
        print(what)
        for who, times in found.items():
            print(f"  {who:8} median {statistics.median(times):6.3f} s, min {min(times):6.3f} s")
        median, least = (of(found[SANDBOX]) / of(found[DOCKER]) for of in (statistics.median, min))
        print(f"  sandbox / docker: {median:.2f} of the medians, {least:.2f} of the minima")
    print(f"load: {', '.join(f'{load:.1f}' for load in os.getloadavg())}")


if __name__ == "__main__":
    main()
