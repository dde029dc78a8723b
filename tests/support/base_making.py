"""Base images for tests, made by hand: a few files where others have a system."""

import sys
from pathlib import Path

from image_making import image_of, layer_of, tar_of, write_layout

from prefect.oci.images import Image

SYMLINK = b"2"
HERE = "{}.{}".format(*sys.version_info)
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
BANNER = "GNU C Library (Debian GLIBC 2.36-9+deb12u10) stable release version 2.36.\n"


def program(loader: str = "/lib64/ld-linux-x86-64.so.2") -> str:
    """Return what a program begins with."""
    return "\x7fELF" + "\2\1\1" + "\0" * 60 + loader + "\0"


def debian(architecture: str = "amd64", python: str = HERE) -> list:
    """Return the members of a system with merged /usr, a Python, and a glibc 2.36."""
    triple = f"{MACHINES[architecture]}-linux-gnu"
    return [
        ("bin", SYMLINK, "usr/bin"),
        ("lib", SYMLINK, "usr/lib"),
        (f"usr/bin/python{python}", program()),
        ("usr/bin/python3", SYMLINK, f"python{python}"),
        (f"usr/lib/python{python}/os.py", "pass"),
        (f"usr/lib/{triple}/libc.so.6", f"\x7fELF\0{BANNER}"),
    ]


def base(architecture: str = "amd64", *layers, python: str = HERE, **settings) -> Image:
    """Return a base image for an architecture, with more layers upon it."""
    config = {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"]} | settings
    every = [layer_of(tar_of(*members)) for members in (debian(architecture, python), *layers)]
    return image_of(*every, platform=f"linux/{architecture}", config=config)


def layout(directory: Path, image: Image | None = None, **options) -> str:
    """Write a base image as an OCI layout; return how a user names it."""
    directory.mkdir(exist_ok=True)
    write_layout(directory, image or base(**options))
    return str(directory)
