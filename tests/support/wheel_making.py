"""Source distributions for tests, which need no index to be built."""

import io
import tarfile
from pathlib import Path

_BACKEND = """
import json, os, pathlib, zipfile

def _info():
    return {{
        "METADATA": "Metadata-Version: 2.1\\nName: {name}\\nVersion: 1\\n",
        "WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: {tag}\\n",
    }}

def build_wheel(directory, config_settings=None, metadata_directory=None):
    pathlib.Path({told!r}).write_text(json.dumps(dict(os.environ)))
    files = {{f"{name}-1.dist-info/{{k}}": v for k, v in _info().items()}} | {{"{name}.py": "BUILT = 1\\n"}}
    with zipfile.ZipFile(pathlib.Path(directory, "{name}-1-{tag}.whl"), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr("{name}-1.dist-info/RECORD", "".join(f"{{p}},,\\n" for p in files))
    return "{name}-1-{tag}.whl"
"""
_PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""


def sdist(directory: Path, name: str, told: Path, tag: str = "py3-none-any") -> None:
    """Make a source distribution whose build writes its environment, as JSON, to the file told."""
    files = {
        "pyproject.toml": _PROJECT,
        "backend.py": _BACKEND.format(name=name, told=str(told), tag=tag),
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n",
    }
    with tarfile.open(directory / f"{name}-1.tar.gz", "w:gz") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(f"{name}-1/{path}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
