"""Projects of a user's own, from which wheels are built."""

import json
import os
import subprocess
from pathlib import Path

_BACKENDS = {
    "hatchling": ("hatchling", "hatchling.build"),
    "setuptools": ("setuptools>=64", "setuptools.build_meta"),
}
# Needs no index: modules of the project's directory, or of its src, as they are.
_PLAIN = """
import json, os, pathlib, zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    about = json.loads(pathlib.Path("about.json").read_text())
    if about["told"]:
        pathlib.Path(about["told"]).write_text(json.dumps(dict(os.environ)))
    info = f"{about['name']}-{about['version']}.dist-info"
    root = pathlib.Path("src" if pathlib.Path("src").is_dir() else ".")
    name = f"{about['name']}-{about['version']}-{about['tag']}.whl"
    files = {p.relative_to(root).as_posix(): p.read_bytes() for p in root.glob("*/**/*") if p.is_file()}
    needs = "".join(f"Requires-Dist: {need}\\n" for need in about["needs"])
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\\nName: {about['name']}\\nVersion: {about['version']}\\n{needs}"
    files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: {about['tag']}\\n"
    with zipfile.ZipFile(pathlib.Path(directory, name), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(f"{info}/RECORD", "".join(f"{p},,\\n" for p in files))
    return name

build_editable = build_wheel
"""


def project(
    directory: Path,
    name: str = "ownlib",
    *,
    backend: str = "plain",
    version: str = "1.0",
    needs: tuple[str, ...] = (),
    code: str = "ANSWER = 42\n",
    layout: str = "src",
    tag: str = "py3-none-any",
    told: Path | str = "",
) -> Path:
    """Make a project of one package, with a file of data beside its module; return its directory."""
    package = directory / layout / name if layout else directory / name
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(code)
    (package / "table.csv").write_text("a,b\n1,2\n")
    if backend == "plain":
        (directory / "backend.py").write_text(_PLAIN)
        about = {"name": name, "version": version, "needs": needs, "tag": tag, "told": str(told)}
        (directory / "about.json").write_text(json.dumps(about))
        system = 'requires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    else:
        requires, module = _BACKENDS[backend]
        system = f'requires = ["{requires}"]\nbuild-backend = "{module}"\n'
    listed = ", ".join(f'"{need}"' for need in needs)
    (directory / "pyproject.toml").write_text(
        f"[build-system]\n{system}"
        f'[project]\nname = "{name}"\nversion = "{version}"\ndependencies = [{listed}]\n'
        f'[project.scripts]\n{name}-say = "{name}:say"\n'
        f'[tool.setuptools.package-data]\n{name} = ["*.csv"]\n'
    )
    return directory


def git(directory: Path, *arguments: str) -> None:
    """Run git in a directory, with an author that needs no settings."""
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org"}
    who |= {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.org"}
    who |= {"GIT_CONFIG_GLOBAL": "/dev/null"}
    subprocess.run(
        ["git", *arguments], cwd=directory, env=os.environ | who, check=True, capture_output=True
    )
