"""`prefect.images.base.python`, on trees of files such as images have."""

import posixpath

import pytest

from prefect.errors import ImageError
from prefect.images.base.python import declared_python, find_libc, find_python

GLIBC = b"\x7fELF...GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\nCopyright"
OLD_GLIBC = b"GNU C Library (GNU libc) stable release version 2.17, by Roland McGrath et al."
ELF = b"\x7fELF\2\1\1" + bytes(500)
MUSL_ELF = ELF + b"/lib/ld-musl-x86_64.so.1\0"


class Tree:
    """Files by path; a str is a link's target."""

    def __init__(self, files):
        self.files = {path.strip("/"): content for path, content in files.items()}

    def follow(self, path):
        parts, real = path.split("/")[::-1], ""
        for _ in range(100):
            if not parts:
                break
            part = parts.pop()
            real = posixpath.normpath(posixpath.join("/", real, part)).strip("/")
            target = self.files.get(real)
            if isinstance(target, str):
                real = "" if target.startswith("/") else posixpath.dirname(real)
                parts += target.split("/")[::-1]
        return f"/{real}" if isinstance(self.files.get(real), bytes) else None

    def read(self, path):
        real = self.follow(path)
        if real is None:
            raise FileNotFoundError(path)
        return self.files[real.strip("/")]


USRMERGE = {"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64"}
PYTHONS = {
    "the official image": (
        {"usr/local/bin/python3": "python3.12", "usr/local/bin/python3.12": ELF,
         "usr/bin/python3": "python3.11", "usr/bin/python3.11": ELF},
        {"PATH": "/usr/local/bin:/usr/local/sbin:/usr/bin:/bin"},
        ("/usr/local/bin/python3.12", "3.12"),
    ),
    "Debian": (
        USRMERGE | {"usr/bin/python3": "python3.11", "usr/bin/python3.11": ELF},
        {},
        ("/usr/bin/python3.11", "3.11"),
    ),
    "merged /usr, and a PATH of /bin alone": (
        USRMERGE | {"usr/bin/python3": "python3.11", "usr/bin/python3.11": ELF},
        {"PATH": "/bin"},
        ("/usr/bin/python3.11", "3.11"),
    ),
    "Alpine": (
        {"usr/bin/python3": "python3.12", "usr/bin/python3.12": MUSL_ELF},
        {"PATH": "/usr/bin:/bin"},
        ("/usr/bin/python3.12", "3.12"),
    ),
    "alternatives": (
        {"usr/bin/python3": "/etc/alternatives/python3",
         "etc/alternatives/python3": "/usr/bin/python3.13", "usr/bin/python3.13": ELF},
        {},
        ("/usr/bin/python3.13", "3.13"),
    ),
    "conda": (
        {"opt/conda/bin/python": "python3.11", "opt/conda/bin/python3": "python3.11",
         "opt/conda/bin/python3.11": ELF, "usr/bin/python3.12": ELF,
         "usr/bin/python3": "python3.12"},
        {"PATH": "/opt/conda/bin:/usr/bin"},
        ("/opt/conda/bin/python3.11", "3.11"),
    ),
    "a program without a version in its name": (
        {"opt/python/bin/python3": ELF, "opt/python/lib/python3.14/os.py": b""},
        {"PATH": "/opt/python/bin"},
        ("/opt/python/bin/python3", "3.14"),
    ),
    "python alone": (
        {"usr/bin/python": "python3.11", "usr/bin/python3.11": ELF}, {},
        ("/usr/bin/python3.11", "3.11"),
    ),
    "an empty PATH": (
        {"usr/bin/python3": "python3.11", "usr/bin/python3.11": ELF}, {"PATH": ""},
        ("/usr/bin/python3.11", "3.11"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", PYTHONS)
def test_the_python_that_starts_is_found(kind):
    """Its program, with links followed as a shell would, and its series."""
    files, environment, found = PYTHONS[kind]
    assert find_python(Tree(files), environment, "demo:1") == found


UNFIT = {
    "no Python": ({"usr/bin/perl": ELF}, "has no Python"),
    "a link to nowhere": ({"usr/bin/python3": "python3.11"}, "has no Python"),
    "links in a circle": ({"usr/bin/python3": "python", "usr/bin/python": "python3"},
                          "has no Python"),
    "a script of pyenv's": ({"usr/bin/python3": b"#!/usr/bin/env bash\nexec pyenv"}, "a script"),
    "PyPy": ({"usr/bin/python3": "pypy3", "usr/bin/pypy3": "pypy3.11", "usr/bin/pypy3.11": ELF},
             "has pypy3.11; flows need CPython"),
    "an old one": ({"usr/bin/python3": "python3.9", "usr/bin/python3.9": ELF},
                   "has CPython 3.9; flows need CPython 3.11"),
    "a Python 2": ({"usr/bin/python": "python2.7", "usr/bin/python2.7": ELF}, "does not tell"),
    "free threads": ({"usr/bin/python3": "python3.13t", "usr/bin/python3.13t": ELF}, "has python3.13t"),
    "no library": ({"usr/bin/python3": ELF}, "does not tell its version"),
    "two libraries": ({"usr/bin/python3": ELF, "usr/lib/python3.11/os.py": b"",
                       "usr/lib/python3.12/os.py": b""}, "does not tell its version"),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNFIT)
def test_what_is_not_fit_is_refused(kind):
    """The error names the image, what it has, and what to do."""
    files, says = UNFIT[kind]
    with pytest.raises(ImageError, match=says) as caught:
        find_python(Tree(files), {}, "demo:1")
    assert "demo:1" in str(caught.value)
    assert "python:3.11-slim" in str(caught.value) or "PATH" in str(caught.value)


OFFICIAL = {
    "PATH": "/usr/local/bin:/usr/local/sbin:/usr/bin",
    "PYTHON_VERSION": "3.12.4",
    "GPG_KEY": "x",
}


def test_the_official_images_tell_their_python():
    """Then the layer that has it need not be read."""
    assert declared_python(OFFICIAL) == ("/usr/local/bin/python3.12", "3.12")


@pytest.mark.parametrize(
    "changes",
    [
        {"PYTHON_VERSION": "3.9.19"},
        {"PYTHON_VERSION": "3.12"},
        {"PYTHON_VERSION": ""},
        {"GPG_KEY": None},
        {"PATH": "/opt/conda/bin:/usr/local/bin:/usr/bin"},
        {"PATH": None},
    ],
)
def test_variables_of_others_are_not_believed(changes):
    """An old version, a variable somebody else set, another Python first: the files are asked."""
    environment = {name: value for name, value in (OFFICIAL | changes).items() if value is not None}
    assert declared_python(environment) is None


LIBCS = {
    "Debian's": ({"usr/lib/x86_64-linux-gnu/libc.so.6": GLIBC} | USRMERGE, "amd64", (2, 36)),
    "Debian's for ARM": ({"lib/aarch64-linux-gnu/libc.so.6": GLIBC}, "arm64", (2, 36)),
    "Debian's for RISC-V": ({"lib/riscv64-linux-gnu/libc.so.6": GLIBC}, "riscv64", (2, 36)),
    "Fedora's": ({"usr/lib64/libc.so.6": GLIBC} | USRMERGE, "amd64", (2, 36)),
    "an old one, by a link": ({"lib64/libc.so.6": "libc-2.17.so", "lib64/libc-2.17.so": OLD_GLIBC},
                              "amd64", (2, 17)),
    "Alpine's": ({"lib/ld-musl-x86_64.so.1": ELF}, "amd64", None),
    "Alpine's for ARM": ({"lib/ld-musl-aarch64.so.1": ELF}, "arm64", None),
    "both, and a program for glibc": (
        {"lib/ld-musl-x86_64.so.1": ELF, "lib64/libc.so.6": GLIBC, "usr/bin/python3.11": ELF},
        "amd64", (2, 36)),
    "both, and a program for musl": (
        {"lib/ld-musl-x86_64.so.1": ELF, "lib64/libc.so.6": GLIBC, "usr/bin/python3.11": MUSL_ELF},
        "amd64", None),
}  # fmt: skip


@pytest.mark.parametrize("kind", LIBCS)
def test_the_c_library_is_found(kind):
    """A glibc by what it says of itself, musl by its loader; of both, the program's."""
    files, architecture, version = LIBCS[kind]
    found = find_libc(Tree(files), architecture, "/usr/bin/python3.11", "demo:1")
    assert found == version


@pytest.mark.parametrize(
    "files",
    [{}, {"lib64/libc.so.6": b"no banner"}, {"lib/aarch64-linux-gnu/libc.so.6": GLIBC},
     {"lib/ld-musl-aarch64.so.1": ELF}],
)  # fmt: skip
def test_without_a_c_library_of_its_own_a_base_is_refused(files):
    """Neither, one that does not tell its version, or another machine's."""
    with pytest.raises(ImageError, match="cannot be told"):
        find_libc(Tree(files), "amd64", "/usr/bin/python3.11", "demo:1")
