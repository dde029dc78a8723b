"""One run of the tests, in however many processes: its name, its directory, what it made.

Its name begins the names and is the label of all that it puts into a container engine, which may be
its user's own: an engine's images and containers are removed by these marks and by nothing else.
Images on `base_image` inherit the label, and so do their containers.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import uuid
from pathlib import Path

import docker
import docker.errors

LABEL = "prefect-test-run"
_VARIABLE = "PREFECT_TEST_RUN"
_CHECKOUT = Path(__file__).resolve().parents[2]


def begin() -> None:
    """Begin a run: processes that are started from now on belong to it."""
    shared = Path(tempfile.gettempdir(), f"prefect-test-{uuid.uuid4().hex[:8]}")
    shared.mkdir(mode=0o700)
    os.environ[_VARIABLE] = str(shared)
    # Neither what users have in their caches nor what tests make of them is of the other's concern.
    os.environ["XDG_CACHE_HOME"] = str(shared / "cache")
    # What uv has downloaded is no result, and seldom another in the next run.
    os.environ["UV_CACHE_DIR"] = str(_CHECKOUT / ".cache" / "uv")


def end() -> None:
    """Remove what the run made."""
    try:
        if (directory() / "used-an-engine").exists():
            with contextlib.closing(docker.from_env()) as client:
                remove_made_by(name(), client)
    finally:
        shutil.rmtree(directory(), ignore_errors=True)


def directory() -> Path:
    """Return the directory that the processes of this run share."""
    return Path(os.environ[_VARIABLE])


def name() -> str:
    """Return what names of this run begin with: such as "prefect-test-1f83a20c"."""
    return directory().name


@contextlib.contextmanager
def alone(subject: str):
    """Keep other processes of this run from doing the same meanwhile."""
    with (directory() / f"{subject}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def client_of_engine():
    """Return docker's client of the engine, which is cleaned when the run ends."""
    (directory() / "used-an-engine").touch()
    return docker.from_env()


def labelled(client, image: str, run: str) -> str:
    """Have an image of a registry once more, with the label of a run; return its name there."""
    registry, _, path = image.partition("/")
    own = f"{registry}/{run}/{path}"
    with tempfile.TemporaryDirectory() as context:
        Path(context, "Dockerfile").write_text(f"FROM {image}\nLABEL {LABEL}={run}\n")
        client.images.build(path=context, tag=own, rm=True)
    for line in client.images.push(own, stream=True, decode=True):
        if "error" in line:
            raise RuntimeError(f"{own} cannot be pushed: {line['error']}")
    return own


def remove_made_by(run: str, client) -> None:
    """Remove the containers and images that bear the label or a name of a run, and no others."""
    mark = {"label": f"{LABEL}={run}"}
    for container in client.containers.list(all=True, filters=mark, ignore_removed=True):
        with contextlib.suppress(docker.errors.NotFound):
            container.remove(force=True, v=True)
    for image in client.images.list():
        for own in (*image.tags, *(image.attrs.get("RepoDigests") or ())):
            if any(part.startswith(run) for part in own.split("/")):
                with contextlib.suppress(docker.errors.ImageNotFound):  # went with its tag
                    client.images.remove(own)
    for image in client.images.list(filters=mark):
        with contextlib.suppress(docker.errors.ImageNotFound):  # a part of one that went before
            client.images.remove(image.id, force=True)
