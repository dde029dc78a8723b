"""Flows with a lock, and the wheels that it has, made without an index."""

import base64
import hashlib
import platform
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from prefect import Flow, task
from prefect.frozen import replace
from prefect.payload.packing import pickle_flow
from prefect.pylock import File, Lock, Package, Target

HERE = "{}.{}".format(*sys.version_info)


def wheel(
    directory: Path,
    name: str,
    version: str = "1",
    *,
    tag: str = "py3-none-any",
    files: Mapping[str, str] = MappingProxyType({}),
    **modules: str,
) -> Path:
    """Write the wheel of a distribution; its modules' texts by their names, and further files."""
    info = f"{name}-{version}.dist-info"
    files = {f"{module}.py": text for module, text in (modules or {name: ""}).items()} | dict(files)
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n"
    files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{name}-tool = {name}:main\n"
    record = "".join(f"{path},sha256={_base64(text)},{len(text)}\n" for path, text in files.items())
    path = directory / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for each, text in files.items():
            archive.writestr(each, text)
        archive.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    return path


def _base64(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def package(path: Path, *targets: Target) -> Package:
    """Return a wheel, or a source distribution, as a lock has it."""
    name, version = path.name.removesuffix(".tar.gz").split("-")[:2]
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    file = File(path.name, path.stat().st_size, sha256)
    return Package(name, version, (file,), frozenset(targets))


def target(series: str = HERE, machine: str = platform.machine()) -> Target:
    """Return a series of Python here, or on another machine."""
    return Target(series, sys.platform, machine)


def manifest(*wheels: Path, series: tuple[str, ...] = (HERE,), **changes):
    """Return the manifest of a flow that has wheels locked for some Pythons, of which it needs none."""

    @task
    def nothing():
        pass

    with Flow("locked") as flow:
        nothing()
    targets = [target(each) for each in series]
    lock = Lock.of({each: [package(path) for path in wheels] for each in targets})
    text = lock.text() if wheels else ""
    return replace(pickle_flow(flow).manifest, **{"lock": text} | changes)
