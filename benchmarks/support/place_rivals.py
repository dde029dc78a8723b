"""What runs the same functions as a packaged flow, ours and others', and what each keeps on disk."""

from __future__ import annotations

import shutil
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from checkout import Checkout
from image_rivals import HEAD, Daemon, call

if TYPE_CHECKING:
    from collections.abc import Callable

    from meter import Taken

FUNCTIONS = """{imports}

def add(x, y):
    print("first line {nonce}", flush=True)
    return x + y

def total(x):
    print({expression}, flush=True)
"""
PLAIN = FUNCTIONS + "\nif __name__ == '__main__':\n    total(add(20, 1))\n"
FLOW = FUNCTIONS.replace("def ", "@task\ndef ") + (
    "\nwith Flow('measured') as flow:\n    total(add(20, 1))\n"
)
FLOW_IMPORT = "from prefect import Flow, task\n"
INLINE = """# /// script
# requires-python = ">=3.11"
# dependencies = [{dependencies}]
# ///
"""
DOCKERFILE = HEAD + "{install}COPY flow.py /app/\n" + 'CMD ["{python}", "/app/flow.py"]\n'
INSTALL = """COPY requirements.txt /app/
RUN python3 -m venv /app/venv && /app/venv/bin/pip install -q --no-cache-dir -r /app/requirements.txt
"""
# Podman gives containers limits that only who may raise limits can give.
LIMITS = "--ulimit nofile=1024:1024 --ulimit nproc=1024:1024"
TRIVIAL, PANDAS = "a trivial flow", "a flow with pandas"
KINDS = {
    TRIVIAL: ("", "2 * x", ()),
    PANDAS: ("import pandas", "pandas.DataFrame({'x': [x, x]}).x.sum()", ("pandas",)),
}


@dataclass
class Program:
    """One way to run the functions.

    Args:
        line: for a shell.
        rival: the name of the program that it is compared with.
        below: what it may at most take, as a ratio, and of whom: "ready" or "rival".
        forget: removes what a first run has made; None, where a first run makes nothing.
        kept: tells the bytes that are kept afterwards; None, where that is nothing of its own.
        prepare: makes what it runs, once.
        watched: "exit" or "first", which of the two the limit is for.
    """

    name: str
    line: str
    rival: str = ""
    below: tuple[float, str] | None = None
    forget: Callable[[], object] | None = None
    kept: Callable[[], int] | None = None
    prepare: Callable[[], object] = lambda: None
    watched: str = "exit"
    env: dict[str, str] = field(default_factory=dict)
    failed: str = ""
    disk: int | None = None
    peak: int = 0
    cold: list[Taken] = field(default_factory=list)
    warm: list[Taken] = field(default_factory=list)


def size(*paths: Path) -> int:
    """Return what files and directories occupy, a file with several names once."""
    there = [str(path) for path in paths if path.exists()]
    return int(call("du", "-s", "-c", "--block-size=1", *there).split()[-2]) if there else 0


def discard(*paths: Path) -> None:
    """Remove files and directories, also those that may not be written to."""
    for path in paths:
        call("rm", "-rf", path)


class Bench(Checkout):
    """A directory with everything that is compared; each program has caches of its own in it."""

    nonce = ""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.environment["UV_PYTHON"] = sys.executable
        self.versions: dict[str, str] = {}

    def use_installed(self) -> None:
        """Measure the command that is installed here, to save the time of installing."""
        self.bin = Path(sys.executable).parent
        self.environment["PATH"] = f"{self.bin}:{self.environment['PATH']}"

    def install_rival(self, name: str, *packages: str) -> Path:
        """Install from the index into an environment of its own; return the directory of its programs."""
        environment = self.place / name
        self.call(f"{self.uv} venv -q --python {sys.executable} {environment}")
        if packages:
            command = f"{self.uv} pip install -q --compile-bytecode --python {environment}"
            self.call(f"{command} {' '.join(packages)}")
        return environment / "bin"

    def text(self, line: str) -> str:
        """Return what a program prints."""
        done = subprocess.run(
            line, shell=True, cwd=self.place, env=self.environment, check=True, text=True,
            capture_output=True,
        )  # fmt: skip
        return done.stdout.strip()

    def caches(self, name: str) -> Path:
        """Return the directory of the caches of a program."""
        directory = self.place / "caches" / name
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def write(self, stem: str, kind: str, pins: dict[str, str]) -> None:
        """Write functions that are not as those before: as a flow, as a script, and for rivals."""
        imports, expression, packages = KINDS[kind]
        self.nonce = uuid.uuid4().hex
        values = {"imports": imports, "expression": expression, "nonce": self.nonce}
        pinned = [f"{name}=={pins[name]}" for name in packages]
        plain = PLAIN.format(**values)
        (self.place / f"{stem}.py").write_text(FLOW_IMPORT + FLOW.format(**values))
        (self.place / f"{stem}_plain.py").write_text(plain)
        inline = INLINE.format(dependencies=", ".join(f'"{pin}"' for pin in pinned))
        (self.place / f"{stem}_inline.py").write_text(inline + plain)
        (self.place / f"{stem}_pex").mkdir(exist_ok=True)
        (self.place / f"{stem}_pex" / "main.py").write_text(plain)
        context = self.place / f"{stem}_context"
        context.mkdir(exist_ok=True)
        (context / "flow.py").write_text(plain)
        (context / "requirements.txt").write_text("".join(f"{pin}\n" for pin in pinned))

    def write_dockerfile(self, stem: str, kind: str, base: str) -> None:
        """Write what a user would: packages first, as they seldom change."""
        packages = KINDS[kind][2]
        text = DOCKERFILE.format(
            base=base, install=INSTALL if packages else "",
            python="/app/venv/bin/python" if packages else "python3",
        )  # fmt: skip
        (self.place / f"{stem}_context" / "Dockerfile").write_text(text)


def environments(bench: Bench, stem: str, kind: str, *, pex: bool, pyz: bool) -> list[Program]:
    """Return what runs the functions with the packages that they name, and no others."""
    key, flow = "--key-file flow.key", bench.place / f"{stem}.flow"
    packages = KINDS[kind][2]
    venv, uv = bench.caches(f"{stem}-venv"), bench.caches(f"{stem}-uv")
    script = "uv run --script"
    programs = [
        Program("functions, ready environment", f"{bench.place}/ready/bin/python {stem}_plain.py",
                kept=lambda: size(bench.place / "ready")),
        Program("prefect run X.flow --in here", f"prefect run {stem}.flow {key} --in here",
                prepare=lambda: bench.call(f"prefect build {stem}.py -o {stem}.flow {key}")),
        Program("prefect run X.flow --in venv", f"prefect run {stem}.flow {key} --in venv",
                script, (1.1, "ready"), lambda: discard(venv / "prefect"), lambda: size(venv, flow),
                env={"XDG_CACHE_HOME": str(venv)}),
        Program(script, f"{bench.uv} run --script {stem}_inline.py",
                forget=lambda: discard(*uv.glob("environments-*")), kept=lambda: size(uv),
                env={"UV_CACHE_DIR": str(uv)}),
    ]  # fmt: skip
    if pyz:
        own, file = bench.caches(f"{stem}-pyz"), bench.place / f"{stem}.pyz"
        vendor = " --vendor" if packages else ""
        programs.append(
            Program("python X.pyz", f"{bench.place}/empty/bin/python {stem}.pyz {key}", "pex --venv",
                    forget=lambda: discard(own / "prefect"), kept=lambda: size(own, file),
                    prepare=lambda: bench.call(f"prefect build {stem}.py -o {stem}.pyz {key}{vendor}"),
                    env={"XDG_CACHE_HOME": str(own)})
        )  # fmt: skip
    if pex:
        root, file = bench.caches(f"{stem}-pex"), bench.place / f"{stem}.pex"
        wanted = " ".join(f"{name}=={bench.versions[name]}" for name in packages)
        build = f"{bench.place}/pex/bin/pex {wanted} --venv -D {stem}_pex -m main -o {stem}.pex"
        programs.append(
            Program("pex --venv", f"{bench.place}/empty/bin/python {stem}.pex",
                    forget=lambda: discard(root), kept=lambda: size(root, file),
                    prepare=lambda: bench.call(build), env={"PEX_ROOT": str(root)})
        )  # fmt: skip
    return programs


class Images:
    """What runs images: the container engine, podman, and sandboxes.

    All pull from the registry, where nothing has been run. Podman has a storage of its own.
    """

    def __init__(self, bench: Bench, daemon: Daemon, base: str, registry: str) -> None:
        self.bench, self.daemon, self.base, self.registry = bench, daemon, base, registry
        self.floor = 0
        storage = bench.place / "podman"
        storage.mkdir()
        settings = bench.place / "registries.conf"
        settings.write_text(f'[[registry]]\nlocation = "{registry}"\ninsecure = true\n')
        self.podman_env = {"CONTAINERS_REGISTRIES_CONF": str(settings), "TMPDIR": str(storage)}
        self.podman = (
            f"podman --root={storage}/storage --runroot={storage}/run --tmpdir={storage}/tmp "
            "--runtime=runc --cgroup-manager=cgroupfs --events-backend=file"
        )
        self.storage = storage

    def close(self) -> None:
        """Remove what was made."""
        if shutil.which("podman"):
            environment = self.bench.environment | self.podman_env
            subprocess.run(f"{self.podman} rm -fa; {self.podman} rmi -fa", shell=True, check=False,
                           env=environment, capture_output=True)  # fmt: skip
            mount = self.storage / "storage" / "overlay"
            subprocess.run(["umount", "-l", mount], check=False, capture_output=True)
        self.daemon.clean()

    def forget(self, image: str) -> None:
        """Have the container engine know neither an image nor its base."""
        for one in (image, self.base):
            self.daemon.remove(one)
        self.daemon.clean()
        self.floor = self.daemon.kept()

    def programs(self, stem: str) -> list[Program]:
        """Return what runs an image of the flow."""
        bench, image = self.bench, f"{self.registry}/bench/places-{stem}:1"
        tar = bench.place / f"{stem}.tar"
        of_file, of_registry = bench.caches(f"{stem}-tar"), bench.caches(f"{stem}-registry")
        # As a user has it who packages nothing there: what the build keeps is not the run's.
        build = f"prefect build {stem}.py --image {self.base}"
        podman = self.podman

        def kept() -> int:
            return self.daemon.kept() - self.floor

        def forget_podman() -> None:
            subprocess.run(f"{podman} rmi -fa", shell=True, check=True, capture_output=True,
                           env=bench.environment | self.podman_env)  # fmt: skip

        in_engine = {"forget": lambda: self.forget(image), "kept": kept}
        sandbox, docker = (0.7, "rival"), "docker run"
        return [
            Program("prefect run X.tar --in sandbox", f"prefect run {stem}.tar --in sandbox", docker,
                    sandbox, lambda: discard(of_file / "prefect"), lambda: size(of_file, tar),
                    lambda: bench.call(f"{build} --export {stem}.tar"), env={"XDG_CACHE_HOME": str(of_file)}),
            Program("prefect run IMAGE --in sandbox", f"prefect run {image} --in sandbox", docker,
                    sandbox, lambda: discard(of_registry / "prefect"), lambda: size(of_registry),
                    lambda: bench.call(f"{build} --push {image}"),
                    env={"XDG_CACHE_HOME": str(of_registry)}),
            Program("prefect run IMAGE --in engine", f"prefect run {image} --in engine", docker,
                    **in_engine),  # type: ignore[arg-type]
            Program(docker, f"{self.daemon.program} run --rm {image}", **in_engine),  # type: ignore[arg-type]
            Program("docker run --network none",
                    f"{self.daemon.program} run --rm --network none {image}"),
            Program("podman run --network none", f"{podman} run --rm --network none {LIMITS} {image}", docker,
                    forget=forget_podman, kept=lambda: size(self.storage), env=self.podman_env),
        ]  # fmt: skip

    def changed(self, stem: str, *, sandboxed: bool) -> list[Program]:
        """Return what takes a changed flow to its first line."""
        bench, key, caches = self.bench, "--key-file flow.key", self.bench.caches(f"{stem}-changed")
        ours, theirs = f"{self.registry}/bench/changed-{stem}:1", f"prefect-bench/{stem}:1"
        docker, build = self.daemon.program, f"prefect build {stem}.py"
        rival, env = "docker build && docker run", {"XDG_CACHE_HOME": str(caches)}
        uv = {"UV_CACHE_DIR": str(bench.caches(f"{stem}-changed-uv"))}
        direct = f"prefect run {stem}.py --image {self.base} --in sandbox"
        limit = (0.4, "rival")
        both = f"{build} --image {self.base} --export {stem}.tar && prefect run {stem}.tar --in sandbox"
        programs = [
            Program("prefect build --export X.tar && run --in sandbox", both, rival,
                    None if sandboxed else limit, env=env, watched="first"),
            Program("prefect build --tag && run --in engine",
                    f"{build} --image {self.base} --tag {ours} && prefect run {ours} --in engine",
                    rival, env=env, watched="first"),
            Program(rival, f"{docker} build -q -t {theirs} {stem}_context && "
                    f"{docker} run --rm {theirs}"),
            Program("prefect build -o X.flow && run --in venv",
                    f"{build} -o {stem}.flow {key} && prefect run {stem}.flow {key} --in venv",
                    "uv run --script", env=env, watched="first"),
            Program("uv run --script", f"{bench.uv} run --script {stem}_inline.py", env=uv),
        ]  # fmt: skip
        if sandboxed:
            name = "prefect run X.py --image --in sandbox"
            programs.insert(0, Program(name, direct, rival, limit, env=env, watched="first"))
        return [
            Program(
                "functions, ready environment", f"{bench.place}/ready/bin/python {stem}_plain.py"
            ),
            *programs,
        ]
