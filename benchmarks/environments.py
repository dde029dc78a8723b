"""Sealing a flow, and getting a changed flow into a running container: ours and by hand.

By hand means what a user would write instead: cloudpickle and Fernet, and a Dockerfile that
installs pinned requirements before it copies the script. Medians of one run; the ratio is ours to
theirs. The image's part needs the container engine of `make services`.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import os
import statistics
import tarfile
import time
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING, Any

import cloudpickle
from cryptography.fernet import Fernet

from prefect import Flow, Parameter, task
from prefect.environments import ContainerEnvironment, PickleEnvironment

if TYPE_CHECKING:
    from collections.abc import Callable

DEPENDENCY = "iniconfig"
BY_HAND = """FROM {base}
COPY requirements.txt /app/requirements.txt
RUN python3 -m venv /app/venv && /app/venv/bin/pip install --no-cache-dir -r /app/requirements.txt
COPY flow.py /app/flow.py
CMD ["/app/venv/bin/python", "/app/flow.py"]
"""


def median(times: int, call: Callable[[], Any]) -> float:
    """Return the median of the seconds that a call takes, after one that does not count."""
    seconds = []
    for _ in range(times + 1):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


def make_flow(payload: bytes, tasks: int) -> Flow:
    """Return a flow of so many tasks, with so many bytes of data in it."""

    @task
    def work(x: int) -> int:
        return x + (len(payload) > 0)

    with Flow("measured") as flow:
        x: Any = Parameter("x", default=1)
        for _ in range(tasks):
            x = work(x)
    return flow


def sealing(times: int) -> list[dict[str, Any]]:
    """Measure building, describing and opening a sealed flow against cloudpickle and Fernet."""
    fernet = Fernet(Fernet.generate_key())
    lock, open_ = fernet.encrypt, fernet.decrypt
    rows = []
    for name, size, tasks in (
        ("3 tasks", 0, 3),
        ("1,000 tasks", 0, 1000),
        ("3 tasks, 64 MiB of data", 2**26, 3),
    ):
        flow = make_flow(os.urandom(size), tasks)
        environment = PickleEnvironment()
        sealed, token = environment.build(flow), lock(cloudpickle.dumps(flow))
        build = partial(environment.build, flow), lambda f=flow: lock(cloudpickle.dumps(f))
        info = partial(environment.info, sealed), lambda t=token: cloudpickle.loads(open_(t))
        rows += [
            row(f"{name}: build", *(median(times, call) for call in build)),
            row(f"{name}: info", *(median(times, call) for call in info)),
            row(f"{name}: bytes", len(sealed), len(token), unit="bytes"),
        ]
    return rows


def images(times: int, base: str) -> list[dict[str, Any]]:
    """Measure how long a changed flow takes until its container is running."""
    import docker  # noqa: PLC0415 - only where a container engine is measured

    client = docker.from_env()
    started = []

    def ours() -> None:
        environment = ContainerEnvironment(base, tag="prefect-bench:ours",
                                           python_dependencies=[DEPENDENCY])  # fmt: skip
        environment.build(make_flow(os.urandom(16), 3))
        started.append(environment.run())

    def by_hand() -> None:
        files = {
            "Dockerfile": BY_HAND.format(base=base),
            "requirements.txt": f"{DEPENDENCY}=={metadata.version(DEPENDENCY)}\n",
            "flow.py": f"import {DEPENDENCY}\nprint({os.urandom(16)!r})\n",
        }
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for name, text in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(text)
                tar.addfile(info, io.BytesIO(text.encode()))
        buffer.seek(0)
        image, _ = client.images.build(
            fileobj=buffer, custom_context=True, tag="prefect-bench:by-hand", rm=True
        )
        started.append(client.containers.run(image.id, detach=True))

    try:
        return [
            row("changed flow to running container", median(times, ours), median(times, by_hand))
        ]
    finally:
        for container in started:
            container.remove(force=True)
        for image in client.images.list("prefect-bench"):
            client.images.remove(image.id, force=True)
        client.images.prune()
        client.close()


def row(name: str, ours: float, theirs: float, unit: str = "s") -> dict[str, Any]:
    """Put one comparison into a row."""
    return {"what": name, "ours": ours, "by hand": theirs, "ratio": ours / theirs, "unit": unit}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=7, help="measurements of each [%(default)s]")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    logging.disable()
    rows = sealing(options.times)
    base = os.environ.get("PREFECT_TEST_IMAGE")
    if base:
        rows += images(options.times, base)
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{'':40} {'ours':>12} {'by hand':>12} {'ratio':>7}")
    for line in rows:
        values = [line["ours"], line["by hand"]]
        texts = [
            f"{v:,.0f} B" if line["unit"] == "bytes" else f"{v * 1000:,.2f} ms" for v in values
        ]
        print(f"{line['what']:40} {texts[0]:>12} {texts[1]:>12} {line['ratio']:7.2f}")
    if not base:
        print("PREFECT_TEST_IMAGE is not set: the image's part was left out (see `make services`)")


if __name__ == "__main__":
    main()
