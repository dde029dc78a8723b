"""What people build images with instead, each as its manual recommends."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import docker
from docker.errors import APIError, ImageNotFound
from uv import find_uv_bin

if TYPE_CHECKING:
    from pathlib import Path

COLD, WARM, FLOW, NOTHING = "cold", "cold, download cache warm", "changed flow", "nothing changed"
SMALL, LARGE = "changed tzdata", "changed pandas"
# Debian's own programs first: the container engine is Debian's, and newer clients need a plugin for
# BuildKit.
PATH = "/usr/sbin:/usr/bin:/sbin:/bin:" + os.environ.get("PATH", "")
FLOW_FILE = """import pandas
print(pandas.__version__, {nonce!r})
"""
HEAD = """FROM {base}
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
"""
TAIL = """COPY flow.py /app/
CMD ["/app/venv/bin/python", "/app/flow.py"]
"""
VENV_PIP = """RUN python3 -m venv /app/venv
COPY requirements.txt /app/
RUN {mount} /app/venv/bin/pip install {options} --require-hashes -r /app/requirements.txt
"""
# Its own layer, which neither the lock nor the flow changes. The file itself in the context, as
# below, would be sent to the classic builder at every build.
UV_BY_PIP = """RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir uv=={uv}
"""
UV_INSTALL = """COPY requirements.txt /app/
RUN {mount} {program} venv -q /app/venv && {program} pip install {options} \\
    --python /app/venv/bin/python --compile-bytecode --require-hashes -r /app/requirements.txt
"""
UV_MOUNTS = "--mount=type=bind,source=uv,target=/bin/uv --mount=type=cache,target=/root/.cache/uv"
PIP = HEAD + VENV_PIP.format(mount="", options="--no-cache-dir") + TAIL
PIP_MOUNT = HEAD + VENV_PIP.format(mount="--mount=type=cache,target=/root/.cache/pip", options="")
PIP_MOUNT += TAIL
UV = HEAD + UV_BY_PIP
UV += UV_INSTALL.format(mount="", program="/opt/uv/bin/uv", options="-q --no-cache") + TAIL
UV_MOUNT = HEAD
UV_MOUNT += UV_INSTALL.format(mount=UV_MOUNTS, program="uv", options="-q --link-mode=copy") + TAIL
# pyoci 0.2.1 speaks https alone, and ends with an AttributeError where a base's config has no
# labels, as `docker push` writes it. Both are got round, at no cost to it.
PYOCI = """
import pyoci.builder
import pyoci.oci
from pyoci import cli, registry_client

class Plain(registry_client.RegistryClient):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.base_url = self.base_url.replace("https:", "http:", 1)

pyoci.builder.RegistryClient = Plain
pyoci.oci.is_distroless = lambda config: False
cli.main()
"""
PYOCI_SETTINGS = """[build]
entrypoint = ["python3", "/app/app/flow.py"]
output_dir = "{directory}/image"
cache_dir = "{directory}/cache"
include_deps = true
[build.env]
PYTHONPATH = "/app/venv/lib/python{minor}/site-packages"
"""


def call(*command: str | Path, **environment: str) -> str:
    """Run a program of the system and return what it prints."""
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        env=os.environ | {"PATH": PATH} | environment,
    )  # fmt: skip
    return done.stdout


def reason_of(error: Exception) -> str:
    """Return the end of what a program said when it failed."""
    text = (getattr(error, "stderr", "") or str(error)).strip()
    return " / ".join(text.splitlines()[-3:])


class Daemon:
    """The container engine, as far as measurements need it; whatever they make is below prefect-bench/."""

    def __init__(self) -> None:
        self.client: Any = docker.from_env(timeout=600)
        self.program = shutil.which("docker", path=PATH) or "docker"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def pull(self, image: str) -> None:
        """Have the base in the engine."""
        self.client.images.pull(image)

    def push(self, image: str) -> None:
        """Push an image."""
        call(self.program, "push", "-q", image)

    def platform(self, image: str) -> dict[str, str]:
        """Return the Python and the platform of a base, for its lock."""
        program = "import os, sys; print(sys.version_info[1], os.confstr('CS_GNU_LIBC_VERSION'))"
        text = self.client.containers.run(image, ["python3", "-c", program], remove=True)
        minor, _, glibc = text.decode().split()
        name = f"{os.uname().machine}-manylinux_{glibc.replace('.', '_')}"
        return {"python": f"3.{minor}", "platform": name}

    def layers(self, image: str) -> int:
        """Return how many layers an image has."""
        return len(self.client.images.get(image).attrs["RootFS"]["Layers"])

    def run(self, image: str) -> str:
        """Run an image and return what it prints; it fails if that does."""
        return str(self.client.containers.run(image, remove=True).decode())

    def kept(self) -> int:
        """Return how many bytes its layers and BuildKit's cache have, shared ones once."""
        used = self.client.api.df()
        cache = sum(one["Size"] for one in used["BuildCache"] or () if not one["Shared"])
        return int(used["LayersSize"] + cache)

    def remove(self, image: str) -> None:
        """Remove an image and those of its layers that no other has."""
        with suppress(ImageNotFound):
            self.client.images.remove(image, force=True)

    def clean(self, cache: str = "") -> None:
        """Remove what measurements made, and BuildKit's cache."""
        for image in self.client.images.list():
            for tag in image.tags:
                if tag.startswith("prefect-bench/") or "/bench/" in tag:
                    with suppress(ImageNotFound, APIError):
                        self.client.images.remove(tag, force=True)
        self.client.images.prune()
        if cache != WARM:
            self.client.api.prune_builds()


class Rival:
    """A program that builds from a Dockerfile in the container engine, and pushes what it built."""

    name, needs_daemon_to_push, cases = "", True, (COLD, SMALL, LARGE, FLOW, NOTHING)
    dockerfile, buildkit = "", "0"

    def __init__(self, base: str, work: Path, daemon: Daemon) -> None:
        self.daemon, self.base, self.case = daemon, base, ""
        self.slug = "-".join(re.findall(r"\w+", self.name.lower()))
        self.tag, self.context = f"prefect-bench/{self.slug}:1", work / self.slug
        self.context.mkdir()
        uv = call(find_uv_bin(), "--version").split()[1]
        (self.context / "Dockerfile").write_text(self.dockerfile.format(base=base, uv=uv))
        if self.dockerfile is UV_MOUNT:
            shutil.copy(find_uv_bin(), self.context / "uv")

    def start(self, case: str) -> None:
        """Have what a case starts from."""
        self.case = case
        if case == COLD:
            self.forget()

    def build(self, lock_file: Path, nonce: str, case: str) -> None:
        """Have an image of a lock and a flow."""
        # A changed dependency is a new change each time: the builder must not remember it.
        comment = f"# {uuid.uuid4().hex}\n" if case in {SMALL, LARGE} else ""
        (self.context / "requirements.txt").write_text(comment + lock_file.read_text())
        (self.context / "flow.py").write_text(FLOW_FILE.format(nonce=nonce))
        self.make("--no-cache" if case == WARM else "")

    def make(self, option: str) -> None:
        """Run the builder."""
        command = [self.daemon.program, "build", "-q", "-t", self.tag, str(self.context)]
        call(*command, *filter(None, [option]), DOCKER_BUILDKIT=self.buildkit)

    def push(self, lock_file: Path, nonce: str, target: str) -> None:  # noqa: ARG002
        """Push what was built."""
        call(self.daemon.program, "tag", self.tag, target)
        call(self.daemon.program, "push", "-q", target)

    def check(self) -> str:
        """Run what was built."""
        return self.daemon.run(self.tag)

    def kept(self) -> int:
        """Return how many bytes the container engine has."""
        return self.daemon.kept()

    def forget(self) -> None:
        """Remove everything that was made."""
        self.daemon.clean()


class ClassicPip(Rival):
    """The builder that container engines have by themselves, with pip."""

    name, dockerfile = "docker build, classic: pip", PIP


class ClassicUv(Rival):
    """The same with uv."""

    name, dockerfile = "docker build, classic: uv", UV


class BuildkitPip(Rival):
    """BuildKit with pip and its cache."""

    name, dockerfile, buildkit = "docker build, BuildKit: pip", PIP_MOUNT, "1"
    cases = (COLD, WARM, SMALL, LARGE, FLOW, NOTHING)


class BuildkitUv(Rival):
    """BuildKit with uv and its cache."""

    name, dockerfile, buildkit = "docker build, BuildKit: uv", UV_MOUNT, "1"
    cases = (COLD, WARM, SMALL, LARGE, FLOW, NOTHING)


class Buildah(Rival):
    """buildah with uv and its cache, in a storage of its own: the container engine has nothing of it."""

    name, dockerfile = "buildah: uv", UV_MOUNT
    cases = (COLD, WARM, SMALL, LARGE, FLOW, NOTHING)

    def __init__(self, base: str, work: Path, daemon: Daemon) -> None:
        super().__init__(base, work, daemon)
        self.root = work / "buildah"
        self.temporary = work / "buildah-temporary"  # where its cache mounts are, too

    def buildah(self, command: str, *options: str | Path) -> str:
        """Run one of its commands."""
        program = shutil.which("buildah", path=PATH) or "buildah"
        storage = ["--root", self.root / "root", "--runroot", self.root / "run"]
        storage += ["--storage-driver", "overlay"]
        return call(program, *storage, command, *options, TMPDIR=str(self.temporary))

    def make(self, option: str) -> None:
        """Run the builder; chroot and the host's network start fastest."""
        options = ["--layers", "--isolation=chroot", "--network=host", "--pull-never", "-q"]
        self.buildah("bud", *options, *filter(None, [option]), "-t", self.tag, self.context)

    def push(self, lock_file: Path, nonce: str, target: str) -> None:  # noqa: ARG002
        """Push what was built."""
        self.buildah("push", "-q", "--tls-verify=false", self.tag, f"docker://{target}")

    def check(self) -> str:
        """Run what was built."""
        container = self.buildah("from", "--pull-never", self.tag).strip()
        program = ["/app/venv/bin/python", "/app/flow.py"]
        return self.buildah("run", "--isolation=chroot", container, *program)

    def kept(self) -> int:
        """Return how many bytes its storage and its cache mounts have."""
        text = call("du", "-s", "-c", "--block-size=1", self.root, self.temporary)
        return int(text.split()[-2])

    def forget(self) -> None:
        """Empty its storage, but for the base."""
        if self.root.exists():
            with suppress(subprocess.CalledProcessError):
                self.buildah("rm", "--all")
                self.buildah("rmi", "--all", "--force")
        call("rm", "-rf", self.root, self.temporary)
        self.temporary.mkdir(parents=True)
        self.buildah("pull", "-q", "--tls-verify=false", self.base)


class Pyoci(Rival):
    """pyoci with uv: no container engine builds, and one pulls what is to run from the registry.

    It takes what it finds in a virtual environment beside the flow, of which uv installs what has
    changed. It has no lock and compares no hashes by itself: uv does.
    """

    name, needs_daemon_to_push = "pyoci: uv", False
    cases = (COLD, WARM, SMALL, LARGE, FLOW, NOTHING)

    def __init__(self, base: str, work: Path, daemon: Daemon) -> None:
        super().__init__(base, work, daemon)
        self.tag = f"{base.partition('/')[0]}/bench/pyoci:1"
        self.program, self.made = work / "pyoci-program", work / "pyoci-made"
        self.made.mkdir()
        (self.context / "app").mkdir()
        minor = daemon.platform(base)["python"]
        self.settings = work / "pyoci.toml"
        self.settings.write_text(PYOCI_SETTINGS.format(directory=self.made, minor=minor))
        self.minor = minor
        self.installed = self.first = ""  # locks

    def uv(self, *arguments: str | Path) -> None:
        """Run uv with a cache of its own."""
        call(find_uv_bin(), *arguments, UV_CACHE_DIR=str(self.made / "uv"), UV_NO_CONFIG="1")

    def start(self, case: str) -> None:
        """Have what a case starts from."""
        if not self.program.exists():
            self.uv("venv", "-q", self.program)
            self.uv("pip", "install", "-q", "--python", self.program, "pyoci==0.2.1")
        if case == COLD:
            self.forget()
        elif case == WARM:
            self.daemon.remove(self.tag)
            call("rm", "-rf", self.context / "venv", self.made / "image", self.made / "cache")
            self.installed = ""
        elif case in {SMALL, LARGE} and self.first:
            self.install(self.first)

    def install(self, lock: str) -> None:
        """Have what a lock says in the virtual environment."""
        environment, requirements = self.context / "venv", self.made / "requirements.txt"
        if not environment.exists():
            self.uv("venv", "-q", "--python", self.minor, environment)
        requirements.write_text(lock)
        options = ["-q", "--compile-bytecode", "--require-hashes", "--python", environment]
        self.uv("pip", "install", *options, "-r", requirements)
        self.installed = lock

    def build(self, lock_file: Path, nonce: str, case: str) -> None:
        """Push an image, and have the container engine pull it."""
        self.push(lock_file, nonce, self.tag, case)
        call(self.daemon.program, "pull", "-q", self.tag)

    def push(self, lock_file: Path, nonce: str, target: str, case: str = "") -> None:  # noqa: ARG002
        """Build an image and push it."""
        (self.context / "app" / "flow.py").write_text(FLOW_FILE.format(nonce=nonce))
        lock = lock_file.read_text()
        if self.installed != lock:
            self.first = self.first or lock
            self.install(lock)
        python, architecture = self.program / "bin" / "python", os.uname().machine
        platform = {"x86_64": "amd64", "aarch64": "arm64"}.get(architecture, architecture)
        command = [python, "-c", PYOCI, "build", "--config", self.settings, "--push"]
        command += ["--base-image", self.base, "--tag", target, "--platform", f"linux/{platform}"]
        call(*command, "--include-deps", "--context", self.context)

    def kept(self) -> int:
        """Return how many bytes the container engine has, its cache, and its own last image."""
        kept = [path for path in (self.made / "image", self.made / "cache") if path.exists()]
        text = call("du", "-s", "-c", "--block-size=1", self.settings, *kept)
        return self.daemon.kept() + int(text.split()[-2])

    def forget(self) -> None:
        """Remove everything that was made."""
        self.daemon.clean()
        call("rm", "-rf", self.context / "venv", self.made)
        self.made.mkdir()
        self.installed = ""


RIVALS = (ClassicPip, ClassicUv, BuildkitPip, BuildkitUv, Buildah, Pyoci)
