"""`prefect.images.dependency_layers`, with the real uv, index and wheels, and wheels of our own."""

import base64
import csv
import gzip
import hashlib
import io
import json
import marshal
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from uv import find_uv_bin
from wheel_making import sdist

from prefect.dependencies import bytecode, installing
from prefect.dependencies.bytecode import Compiler, Interpreter
from prefect.dependencies.installing import install
from prefect.dependencies.lock import lock, read_lock
from prefect.errors import DiskFullError, RequirementsError, SettingError
from prefect.images import dependency_layers as dependencies
from prefect.images.dependency_layers import dependency_layers
from prefect.oci.cache.store import Store

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
OTHER = "3.12" if HERE != "3.12" else "3.13"
AMD64, ARM64 = "x86_64-manylinux_2_36", "aarch64-manylinux_2_28"
SITE = f"opt/prefect/lib/python{HERE}/site-packages"


def build(text, store, **options):
    return dependency_layers(text, **{"python": HERE, "platform": AMD64, "store": store} | options)


@contextmanager
def opened(layer):
    with (
        layer.blob.open() as file,
        gzip.open(file) as unpacked,  # tarfile by itself reads the first member alone
        tarfile.open(fileobj=unpacked, mode="r|") as archive,
    ):
        yield archive


def members(layer) -> dict[str, tarfile.TarInfo]:
    with opened(layer) as archive:
        return {member.name: member for member in archive}


def unpack(layers, directory: Path) -> Path:
    """Lay the layers on each other below a directory; return the prefix."""
    for layer, _ in layers:
        with opened(layer) as archive:
            archive.extractall(directory, filter="tar")
    return directory / "opt" / "prefect"


def wheel(directory: Path, name: str, version: str, files: dict[str, bytes], hashless=()) -> str:
    """Make a wheel, and return its line in a lock."""
    info = f"{name}-{version}.dist-info"
    every = files | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [
        f"{path},{_told(data) if path not in hashless else ','}\n" for path, data in every.items()
    ]
    every[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"]).encode()
    path = directory / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, data in every.items():
            archive.writestr(file, data)
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def _told(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
    return f"sha256={digest},{len(data)}"


def settle(store) -> None:
    """Wait until nothing is left of a build; it is deleted on the side."""
    while list(store.scratch().iterdir()):
        time.sleep(0.01)


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """A function that makes wheels, which uv finds and no index has."""
    directory = tmp_path / "wheels"
    directory.mkdir()
    monkeypatch.setenv("UV_FIND_LINKS", str(directory))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    # Wheels of one name and version differ from test to test.
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    return lambda *arguments, **options: wheel(directory, *arguments, **options)


@pytest.fixture(scope="session")
def real(tmp_path_factory):
    """Layers of real distributions, in an open store, with their lock."""
    text = lock(["pandas", "pygments", "pytest", "fonttools", "zope-interface"],
                python=HERE, platform=AMD64)  # fmt: skip
    said = []
    with Store(tmp_path_factory.mktemp("store")) as store:
        yield text, store, build(text, store, progress=said.append), said


def test_large_distributions_have_layers_of_their_own(real):
    """The large ones come first, each by itself, and the small ones together come last."""
    _, _, layers, said = real
    comments = [comment for _, comment in layers]
    large = [comment.split()[0] for comment in comments[:-1]]
    assert large[:4] == ["numpy", "pandas", "fonttools", "pygments"]
    assert all("," not in comment for comment in comments[:-1])
    assert {"iniconfig", "pluggy", "python-dateutil"} <= {
        part.split()[0] for part in comments[-1].split(", ")
    }
    assert sum(line.startswith("Packed ") for line in said) == len(layers)


def test_nothing_changed_costs_no_work(real, monkeypatch):
    """The same lock again, in whatever order, calls neither uv nor a compiler."""
    text, store, layers, _ = real
    monkeypatch.setattr(installing, "install", None)
    monkeypatch.setattr(dependencies, "write_layer", None)
    assert build(text, store) == layers
    entries = [one.text for one in read_lock(text)]
    random.Random(1).shuffle(entries)
    assert build("# a comment\n" + "\n".join(entries), store) == layers


def test_a_changed_version_costs_its_own_layer(real, monkeypatch):
    """A large one leaves all others as they are, a small one leaves all large ones."""
    text, store, layers, _ = real
    written = []
    write = dependencies.write_layer
    monkeypatch.setattr(
        dependencies, "write_layer", lambda *a, **k: written.append(1) or write(*a, **k)
    )
    older = lock(["pygments<2.19"], python=HERE, platform=AMD64)
    changed = build(
        text[: text.index("pygments==")] + older + text[text.index("pytest==") :], store
    )
    assert sum(one not in changed for one in layers) == 1
    assert len(written) == 1
    small = lock(["iniconfig<2"], python=HERE, platform=AMD64)
    rest = text[text.index("iniconfig==") :].partition("\n" + "kiwi")[0]
    rest = rest[rest.index("\nnumpy==") + 1 :]
    changed = build(text[: text.index("iniconfig==")] + small + rest, store)
    assert changed[:-1] == layers[:-1]
    assert changed[-1] != layers[-1]
    assert len(written) == 2


def test_what_is_installed_runs(real, tmp_path):
    """In an environment, packages are imported from bytecode, and console scripts start."""
    prefix = unpack(real[2], tmp_path)
    (prefix / "pyvenv.cfg").write_text(f"home = {Path(sys._base_executable).parent}\n")
    (prefix / "bin" / "python").symlink_to(os.path.realpath(sys.executable))
    before = sorted(path for path in prefix.rglob("*"))
    code = (
        "import pandas, pygments, zope.interface, sys, json\n"
        "own = [m for m in sys.modules.values() if 'site-packages' in (getattr(m, '__file__', 0) or '')"
        " and m.__file__.endswith('.py')]\n"
        "import os; assert all(os.path.exists(m.__cached__) for m in own), own\n"
        "print(json.dumps([len(own), pandas.DataFrame({'a': [1, 2]})['a'].sum().item()]))\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    python = str(prefix / "bin" / "python")
    done = subprocess.run([python, "-W", "error", "-c", code], capture_output=True, text=True,
                          env=environment, check=False, cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    count, total = json.loads(done.stdout)
    assert count > 300
    assert total == 3
    for script in ("pytest", "pygmentize", "f2py"):
        first, _, rest = (prefix / "bin" / script).read_text().partition("\n")
        assert first == "#!/opt/prefect/bin/python"
        assert os.access(prefix / "bin" / script, os.X_OK)
        done = subprocess.run([python, "-c", rest, "--help"], capture_output=True, text=True,
                              env=environment, check=False, cwd=tmp_path)  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert sorted(path for path in prefix.rglob("*")) == before  # nothing was compiled again


def test_records_tell_what_is_there(real, tmp_path):
    """Each RECORD's paths, hashes and sizes are those of the image, console scripts included."""
    prefix = unpack(real[2], tmp_path)
    packages = prefix / "lib" / f"python{HERE}" / "site-packages"
    listed = set()
    for record in packages.glob("*.dist-info/RECORD"):
        for path, digest, size in csv.reader(io.StringIO(record.read_text())):
            data = (packages / path).read_bytes()
            listed.add((packages / path).resolve())
            if digest:
                own = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
                assert (digest, int(size)) == (f"sha256={own}", len(data)), path
    there = {p for p in prefix.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    assert there == listed
    assert (prefix / "share" / "man" / "man1" / "ttx.1").exists()  # a data file, by its prefix
    assert not list(packages.glob("*.dist-info/INSTALLER"))
    assert not list(packages.glob("*.dist-info/direct_url.json"))


def test_bytecode_is_what_its_python_takes(real, tmp_path):
    """Its header says unchecked hash; its code names files in the image; tests have none."""
    prefix = unpack(real[2], tmp_path)
    compiled = list(prefix.rglob("*.pyc"))
    assert len(compiled) > 600
    tag = f"cpython-{HERE.replace('.', '')}"
    for path in compiled:
        assert path.parent.name == "__pycache__"
        data = path.read_bytes()
        assert data[4:8] == b"\x01\0\0\0"
        name = f"{path.name.partition('.')[0]}.py"
        assert path.name == name.removesuffix("py") + f"{tag}.pyc"
        source = path.parents[1] / name
        code = marshal.loads(data[16:])
        assert code.co_filename == f"/{source.relative_to(tmp_path)}"
        assert "tests" not in path.parts


def test_layers_hold_nothing_else(real):
    """Owners, modes and times are fixed, and of directories only those of the prefix are there."""
    seen = set()
    for layer, _ in real[2]:
        found = members(layer)
        assert not seen & {name for name, m in found.items() if not m.isdir()}
        seen |= found.keys()
        for name, member in found.items():
            assert name == "opt/prefect" or name.startswith("opt/prefect/")
            assert (member.uid, member.gid, member.mtime) == (0, 0, 0)
            assert member.isreg() or member.isdir()
            assert member.mode == (0o755 if member.isdir() or "/bin/" in name else member.mode)
            assert member.mode in {0o644, 0o755}
    assert "opt/prefect/.lock" not in seen


BUILD = """
import json, os, sys, locale
from pathlib import Path
os.umask(int(sys.argv[4], 8))
from prefect.oci.cache.store import Store
from prefect.images.dependency_layers import dependency_layers
with Store(Path(sys.argv[1])) as store:
    layers = dependency_layers(Path(sys.argv[2]).read_text(), python=sys.argv[3],
        platform=sys.argv[5], store=store)
    for layer, comment in layers:
        with layer.blob.open() as file:
            assert len(file.read()) == layer.blob.size
    print(json.dumps([(l.diff_id, l.blob.digest, c) for l, c in layers]))
"""


def in_process(store, text, *, python=HERE, platform=AMD64, umask="022", **variables):
    return subprocess.Popen(
        [sys.executable, "-c", BUILD, store, text, python, umask, platform],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | variables,
    )  # fmt: skip


def result(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return json.loads(out)


def test_the_bytes_depend_on_the_lock_alone(tmp_path):
    """Other stores, directories, umasks, hash seeds, locales and settings give the same digests."""
    text = tmp_path / "lock"
    text.write_text(lock(["click", "jinja2", "numpy"], python=HERE, platform=AMD64))
    (tmp_path / "a rather long name, with a space").mkdir()
    one = result(in_process(tmp_path / "one", text, PYTHONHASHSEED="1", LC_ALL="C"))
    two = result(
        in_process(
            tmp_path / "a rather long name, with a space" / "two", text, umask="077",
            PYTHONHASHSEED="2", LC_ALL="C.UTF-8", TZ="Asia/Tokyo", UV_COMPILE_BYTECODE="1",
            UV_LINK_MODE="copy", PYTHONDONTWRITEBYTECODE="1", PYTHONOPTIMIZE="2",
            TMPDIR=str(tmp_path / "a rather long name, with a space"),
        )
    )  # fmt: skip
    assert one == two


def test_other_pythons_and_processors_need_neither(tmp_path):
    """For arm64 and another Python, files are there as for this one, with headers in their place."""
    text = lock(["numpy", "greenlet"], python=OTHER, platform=ARM64)
    with Store(tmp_path / "store") as store:
        layers = build(text, store, python=OTHER, platform=ARM64, prefix="/srv/own")
        names = set().union(*(members(layer) for layer, _ in layers))
        prefix = unpack(layers, tmp_path / "root").parents[1] / "srv" / "own"
        assert f"srv/own/include/site/python{OTHER}/greenlet/greenlet.h" in names
        extensions = [name for name in names if name.endswith(".so")]
        assert extensions
        assert all("aarch64" in name for name in extensions if "cpython" in name)
        assert not [name for name in names if f"python{HERE}/" in name]
        packages = prefix / "lib" / f"python{OTHER}" / "site-packages"
        (record,) = packages.glob("greenlet-*.dist-info/RECORD")
        for line in record.read_text().splitlines():
            assert (packages / line.partition(",")[0]).exists()
        assert (prefix / "bin" / "f2py").read_text().startswith("#!/srv/own/bin/python\n")


def test_without_a_matching_python_there_is_no_bytecode(tmp_path, monkeypatch, wheels):
    """Shims that are no Python of that series are passed over; the layers are others."""
    text = wheels("one", "1", {"one.py": b"x = 1\n"})
    shim = tmp_path / "bin" / f"python{OTHER}"
    shim.parent.mkdir()
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    with Store(tmp_path / "store") as store:
        ((layer, _),) = build(text, store, python=OTHER)
        assert not [name for name in members(layer) if name.endswith(".pyc")]
        assert bytecode.find_interpreter(OTHER, store) is None
        shim.unlink()
        shim.symlink_to(sys.executable)  # of another series than its name says
        assert bytecode.find_interpreter(OTHER, store) is None
        assert bytecode.find_interpreter(HERE, store).program == sys.executable


def test_an_interpreter_on_the_path_is_asked_once(tmp_path, monkeypatch):
    """A program of another series is found by its name, and remembered while it stays the same."""
    monkeypatch.setattr(sys.implementation, "cache_tag", "cpython-399")
    program = tmp_path / f"python{HERE}"
    program.symlink_to(os.path.realpath(sys.executable))
    monkeypatch.setenv("PATH", str(tmp_path))
    with Store(tmp_path / "store") as store:
        found = bytecode.find_interpreter(HERE, store)
        assert found.version.startswith(f"{HERE}.")
        monkeypatch.setattr(subprocess, "run", None)
        assert bytecode.find_interpreter(HERE, store) == found


def test_what_does_not_compile_is_left_without(tmp_path):
    """Templates, other Pythons' files and what overflows the compiler: no bytecode, no error."""
    sources = {
        "good.py": b"x = 1\n",
        "syntax.py": b"print 'hello'\n",
        "template.py": b"{{ name }} = \xff\n",
        "null.py": b"x = '\0'\n",
        "deep.py": b"x = " + b"(" * 5000 + b")" * 5000,
        "nested.py": b"x = " + b"-" * 200_000 + b"1\n",
        "latin.py": "# coding: latin-1\nx = 'é'\n".encode("latin-1"),
    }
    for name, text in sources.items():
        (tmp_path / name).write_bytes(text)
    with closing(Compiler(Interpreter(sys.executable, ""), tmp_path)) as compiler:
        done = compiler.compile([(tmp_path / name, f"/{name}") for name in sources])
    compiled = dict(zip(sources, done, strict=True))
    assert [name for name, path in compiled.items() if path] == ["good.py", "latin.py"]


def test_bytecode_does_not_depend_on_what_was_compiled_before(tmp_path):
    """One process after another, in any order, writes the same bytes for a file."""
    library = Path(os.__file__).parent
    names = ["argparse.py", "ast.py", "dataclasses.py", "inspect.py", "typing.py", "os.py"]
    results = []
    for number, order in enumerate([names, names[::-1], *[[name] for name in names]]):
        directory = tmp_path / str(number)
        directory.mkdir()
        with closing(Compiler(Interpreter(sys.executable, ""), directory)) as compiler:
            done = compiler.compile([(library / name, f"/{name}") for name in order])
        results += [(name, path.read_bytes()) for name, path in zip(order, done, strict=True)]
    assert len(set(results)) == len(names)


def test_what_two_distributions_have_belongs_to_both(tmp_path, wheels):
    """Each layer has its own content, whichever uv wrote last; by name, the later one counts."""
    same = {"shared/__init__.py": b""}
    text = [
        wheels("alpha", "1", {**same, "shared/alpha.py": b"", "clash.txt": b"alpha's"}),
        wheels("beta", "1", {**same, "shared/beta.py": b"", "clash.txt": b"beta's own"}),
        wheels("gamma", "1", {"gamma.py": b""}),
    ]
    with Store(tmp_path / "store") as store:
        ((layer, comment),) = build("".join(text), store)
        assert comment == "alpha 1, beta 1, gamma 1"
        prefix = unpack([(layer, comment)], tmp_path / "together")
        packages = prefix / "lib" / f"python{HERE}" / "site-packages"
        assert (packages / "clash.txt").read_text() == "beta's own"
        assert {p.name for p in (packages / "shared").glob("*.py")} == {
            "__init__.py", "alpha.py", "beta.py",
        }  # fmt: skip
        for number, content in enumerate([b"alpha's", b"beta's own"]):
            alone = build(text[number], store)
            prefix = unpack(alone, tmp_path / str(number))
            packages = prefix / "lib" / f"python{HERE}" / "site-packages"
            assert (packages / "clash.txt").read_bytes() == content
            assert (packages / "shared" / "__init__.py").exists()


@pytest.fixture
def cached(tmp_path, wheels):
    """A function that makes a wheel, and returns its line and its directory in uv's cache."""

    def cached(name: str, files: dict[str, bytes], **options) -> tuple[str, Path]:
        line = wheels(name, "1", files, **options)
        lock = tmp_path / f"{name}.lock"
        lock.write_text(line)
        install = [find_uv_bin(), "pip", "install", "--quiet", "--target", str(tmp_path / "venv")]
        install += ["--link-mode", "copy", "--python", sys.executable, "-r", str(lock)]
        subprocess.run(install, check=True)
        (metadata,) = (tmp_path / "uv").rglob(f"{name}-1.dist-info/METADATA")
        return line, metadata.parents[1]

    return cached


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize(
    "path", ["evil.pth", "alpha/evil.py", "evil.pyc", "alpha-1.dist-info/entry_points.txt"]
)
def test_what_was_added_to_uvs_cache_enters_no_layer(tmp_path, cached, wheels, path, alone):
    """A file beside a wheel's own, which its RECORD does not list, is refused, each time anew."""
    text, directory = cached("alpha", {"alpha/__init__.py": b""})
    text += "" if alone else wheels("beta", "1", {"beta.py": b""})
    (directory / path).parent.mkdir(exist_ok=True)
    (directory / path).write_bytes(b"[console_scripts]\nevil = alpha:evil\n")
    for _ in range(2):
        with (
            Store(tmp_path / "store") as store,
            pytest.raises(
                RequirementsError,
                match=rf"^{path} of alpha is not in the RECORD .* `uv cache clean alpha`",
            ),
        ):
            build(text, store)
    assert not list((tmp_path / "store").rglob("blobs/*"))
    subprocess.run([find_uv_bin(), "cache", "clean", "--quiet", "alpha"], check=True)
    with Store(tmp_path / "store") as store:
        ((layer, _),) = build(text, store)
        assert f"{SITE}/{path}" not in members(layer)


@pytest.mark.parametrize("path", ["alpha-1.data/scripts/evil", "beta-1.dist-info/RECORD"])
def test_what_uv_itself_refuses_of_its_cache_is_told_with_the_fix(tmp_path, cached, path):
    """Scripts and metadata that were added are refused, and the error says nothing of other wheels."""
    text, directory = cached("alpha", {"alpha-1.data/scripts/run": b"#!python\n"})
    (directory / path).parent.mkdir(exist_ok=True)
    (directory / path).write_bytes(b"")
    with Store(tmp_path / "store") as store, pytest.raises(RequirementsError) as caught:
        build(text, store, sources=["alpha"])
    assert "`uv cache clean alpha`" in str(caught.value)
    assert "Only wheels" not in str(caught.value)


def test_what_was_deleted_from_uvs_cache_is_refused(tmp_path, cached):
    """A file that the RECORD lists has to be there."""
    text, directory = cached("alpha", {"alpha.py": b""})
    (directory / "alpha.py").unlink()
    with (
        Store(tmp_path / "store") as store,
        pytest.raises(
            RequirementsError, match=r"^alpha\.py of alpha is not there.* cache clean alpha"
        ),
    ):
        build(text, store)


def test_what_installers_write_enters_no_layer(tmp_path, cached):
    """It is in a RECORD only once it was written, and so is no reason to refuse a wheel."""
    text, directory = cached("alpha", {"alpha.py": b""})
    names = ("INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "RECORD.jws")
    for name in names:
        (directory / "alpha-1.dist-info" / name).write_bytes(b"{}")
    (directory / "__pycache__").mkdir()
    (directory / "__pycache__" / f"alpha.cpython-{HERE.replace('.', '')}.pyc").write_bytes(b"evil")
    with Store(tmp_path / "store") as store:
        ((layer, _),) = build(text, store)
        assert not [name for name in members(layer) if name.endswith(names)]
        prefix = unpack([(layer, "")], tmp_path / "root")
    (compiled,) = prefix.rglob("*.pyc")
    assert compiled.read_bytes() != b"evil"


def test_metadata_that_a_distribution_vendors_is_its_own(tmp_path, wheels):
    """It gives its files to no other distribution of that name, and need not be complete."""
    vendored = {"alpha/vendor/beta.py": b"", "alpha/vendor/beta-1.dist-info/RECORD":
                b"beta.py,,\n../bin/beta,,\n"}  # fmt: skip
    text = wheels("alpha", "1", vendored)
    with Store(tmp_path / "store") as store:
        build(text, store)
    beside = text + wheels("beta", "1", {"beta.py": b""})
    found = install(read_lock(beside), tmp_path, python=HERE, platform=AMD64, prefix="/opt/prefect")
    assert not [entry for entry in found["beta"].entries if "/alpha/" in entry.path]
    assert found["beta"].unproven == []


def test_what_has_no_hash_is_told_by_each_build_and_kept_by_none(tmp_path, wheels):
    """A wheel's RECORD may lack hashes; a layer with such a file is not for the next build."""
    text = wheels("alpha", "1", {"alpha.py": b""}, hashless=["alpha.py"])
    text += wheels("beta", "1", {"beta.py": b""})
    made = []
    for _ in range(2):
        said = []
        with Store(tmp_path / "store") as store:
            ((layer, _),) = build(text, store, progress=said.append)
            assert {f"{SITE}/alpha.py", f"{SITE}/beta.py"} <= members(layer).keys()
            made.append(layer.blob.digest)
        assert "Taking without a hash in its RECORD, of alpha: alpha.py" in said
        assert not list((tmp_path / "store").rglob("blobs/*"))
    assert made[0] == made[1]


@pytest.mark.parametrize("alone", [True, False])
def test_what_was_edited_in_a_virtual_environment_enters_no_layer(tmp_path, wheels, alone):
    """Its files are hard links into uv's cache: each is compared with its wheel's RECORD."""
    text = wheels("alpha", "1", {"alpha.py": b"x = 1\n", "alpha-1.data/data/etc/a": b"1"})
    more = "" if alone else wheels("beta", "1", {"beta.py": b""})
    (tmp_path / "lock").write_text(text)
    install = [find_uv_bin(), "pip", "install", "--quiet", "--target", str(tmp_path / "here"),
               "--link-mode", "hardlink", "--python", sys.executable, "-r", str(tmp_path / "lock")]  # fmt: skip
    subprocess.run(install, check=True)
    with (tmp_path / "here" / "alpha.py").open("w") as file:
        file.write("x = 2\n")
    with (
        Store(tmp_path / "store") as store,
        pytest.raises(
            RequirementsError, match=r"^alpha\.py of alpha is not .* `uv cache clean alpha`"
        ),
    ):
        build(text + more, store)
    subprocess.run([find_uv_bin(), "cache", "clean", "--quiet", "alpha"], check=True)
    with Store(tmp_path / "store") as store:
        build(text + more, store)


@pytest.fixture
def failing_uv(tmp_path, monkeypatch):
    """A function that puts a program in uv's place that only fails, with a text."""

    def failing_uv(text: str) -> None:
        program = tmp_path / "failing-uv"
        # What it is told to write to stands behind --prefix, or behind --output-file.
        program.write_text(
            "#!/bin/sh\nwhile [ $# -gt 1 ]; do case $1 in --prefix|--output-file) where=$2;; esac; "
            f"shift; done\nsed \"s!STAGE!$where!\" >&2 <<'END'\n{text}\nEND\nexit 2\n"
        )
        program.chmod(0o755)
        monkeypatch.setattr("prefect.dependencies.installing.uv_program", lambda: str(program))
        monkeypatch.setattr("prefect.dependencies.resolving.uv_program", lambda: str(program))

    return failing_uv


COPY = """error: Failed to install: alpha-1-py3-none-any.whl (alpha==1)
  cause: failed to copy file from UV/archive-v0/x/alpha.py to STAGE/lib/.tmp1: No space left on \
device (os error 28)"""
WRITE = """error: Failed to write to the client cache
  cause: failed to write to file `UV/simple-v28/pypi/.tmp1`: Disk quota exceeded (os error 122)"""
INIT = """error: Failed to initialize cache at `UV`
  cause: failed to create directory `UV`: Permission denied (os error 13)"""


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        (COPY, DiskFullError, r"the cache {store}: .*XDG_CACHE_HOME"),
        (WRITE, DiskFullError, r"uv's cache {uv}: .*uv cache clean.*UV_CACHE_DIR"),
        (WRITE.replace("UV/", "/var/x/"), DiskFullError, r"temporary files .*TMPDIR"),
        (INIT, SettingError, r"uv's cache {uv} cannot be used: .*UV_CACHE_DIR"),
    ],
)
def test_a_disk_of_uvs_is_no_matter_of_dependencies(
    tmp_path, wheels, failing_uv, text, error, says
):
    """Full, or closed to it: the error names the directory, and the variable that names another."""
    line = wheels("alpha", "1", {"alpha.py": b""})
    text = text.replace("UV", os.environ["UV_CACHE_DIR"])
    says = says.format(uv=os.environ["UV_CACHE_DIR"], store=tmp_path / "store")
    failing_uv(text)
    with Store(tmp_path / "store") as store, pytest.raises(error, match=says):
        build(line, store)
    if text.startswith("error: Failed to install"):
        return
    with pytest.raises(error, match=says):
        lock(["alpha"], python=HERE, platform=AMD64)


def test_a_full_disk_under_the_compiler_is_told(tmp_path):
    """Its program ends with the system's own number."""
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "0.pyc").symlink_to("/dev/full")
    with (
        closing(Compiler(Interpreter(sys.executable, ""), tmp_path)) as compiler,
        pytest.raises(OSError, match="space"),
    ):
        compiler.compile([(tmp_path / "a.py", "/a.py")])


def test_where_no_cache_can_be_made_uv_has_none(tmp_path, monkeypatch, wheels):
    """Also where a home's permissions promise one, as in /proc: a build takes longer, and goes on."""
    text = wheels("alpha", "1", {"alpha.py": b""})
    monkeypatch.delenv("UV_CACHE_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/proc")
    with Store(tmp_path / "store") as store:
        build(text, store)


def test_what_is_staged_shares_nothing_with_uvs_cache(tmp_path, wheels, monkeypatch):
    """Whatever a variable says: an edit during a build reaches no layer."""
    monkeypatch.setenv("UV_LINK_MODE", "hardlink")
    text = wheels("alpha", "1", {"alpha.py": b"x = 1\n"})
    entries = install(read_lock(text), tmp_path, python=HERE, platform=AMD64, prefix="/opt/x")
    files = [one.content for one in entries["alpha"].entries if isinstance(one.content, Path)]
    assert files
    assert {file.stat().st_nlink for file in files} == {1}


def test_scripts_are_for_the_images_python(tmp_path, wheels):
    """Wheels' own scripts for Python too; those for other programs stay as they are."""
    scripts = {
        "alpha-1.data/scripts/plain": b"#!python\nprint(1)\n",
        "alpha-1.data/scripts/options": b"#!python -u\nprint(1)\n",
        "alpha-1.data/scripts/shell": b"#!/bin/sh\necho 1\n",
        "alpha-1.data/scripts/binary": b"\x7fELF\0\1\2",
        "alpha-1.data/data/etc/alpha.conf": b"#!python\n",
    }
    text = wheels("alpha", "1", scripts)
    with Store(tmp_path / "store") as store:
        layers = build(text, store)
        prefix = unpack(layers, tmp_path)
    found = {path.name: path.read_bytes() for path in (prefix / "bin").iterdir()}
    assert found["plain"] == b"#!/opt/prefect/bin/python\nprint(1)\n"
    assert found["options"].startswith(b"#!/opt/prefect/bin/python")
    assert found["shell"] == b"#!/bin/sh\necho 1\n"
    assert found["binary"] == b"\x7fELF\0\1\2"
    assert (prefix / "etc" / "alpha.conf").read_bytes() == b"#!python\n"


def test_scripts_of_an_interpreter_with_a_long_path(tmp_path, wheels, monkeypatch):
    """What uv writes for it, a shell script that starts Python, becomes a plain first line."""
    home = tmp_path / ("a long name with spaces " * 6)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    text = wheels("alpha", "1", {
        "alpha.py": b"def main(): print('it runs')\n",
        "alpha-1.dist-info/entry_points.txt": b"[console_scripts]\nrun-alpha = alpha:main\n",
    })  # fmt: skip
    plain = build(text, Store(tmp_path / "one"))
    monkeypatch.setattr(sys, "executable", str(home / "bin" / "python"))
    long = build(text, Store(tmp_path / "two"))
    assert long == plain
    script = unpack(long, tmp_path / "root") / "bin" / "run-alpha"
    assert script.read_text().startswith("#!/opt/prefect/bin/python\n# -*- coding")


@pytest.mark.parametrize("path", ["bin/activate", "pyvenv.cfg", "flow/payload.pickle"])
def test_the_environments_own_files_are_not_replaced(tmp_path, wheels, path):
    """A distribution that brings another Python, or flow, for the prefix is refused by name."""
    text = wheels("evil", "1", {f"evil-1.data/data/{path}": b""})
    with (
        Store(tmp_path / "store") as store,
        pytest.raises(RequirementsError, match=f"evil would replace /opt/prefect/{path}"),
    ):
        build(text, store)


def test_a_distribution_without_a_wheel_is_named(tmp_path):
    """The error says which, for which Python and platform, and what to do."""
    text = lock(["sgmllib3k"], python=HERE, platform=AMD64, sources=["sgmllib3k"])
    with (
        Store(tmp_path / "store") as store,
        pytest.raises(RequirementsError, match=rf"Python {HERE} on {AMD64}") as caught,
    ):
        build(text, store)
    assert "sgmllib3k" in str(caught.value)
    assert "Only wheels can be installed" in str(caught.value)
    assert "/tmp" not in str(caught.value)


def test_plain_python_is_built_where_that_is_allowed(tmp_path, wheels, monkeypatch):
    """For any Python and processor; a wheel is preferred, and has a layer of its own making."""
    told = tmp_path / "told.json"
    directory = Path(os.environ["UV_FIND_LINKS"])
    sdist(directory, "strangeofours", told)
    target = {"python": OTHER, "platform": ARM64}
    text = lock(["strangeofours"], **target, sources=["strangeofours"])
    with Store(tmp_path / "store") as store:
        with pytest.raises(RequirementsError, match="--allow-source"):
            build(text, store, **target)
        ((layer, _),) = build(text, store, **target, sources=["strangeofours"])
        assert any(name.endswith("site-packages/strangeofours.py") for name in members(layer))
        told.unlink()
        line = wheels("strangeofours", "1", {"strangeofours.py": b""}).strip()
        ((other, _),) = build(line, store, **target, sources=["strangeofours"])
        assert other.diff_id != layer.diff_id
        assert not told.exists()


def test_what_was_compiled_for_this_machine_enters_no_image(tmp_path, wheels):
    """Also where Python and processor are the image's: the C library is not."""
    tag = f"cp{HERE.replace('.', '')}-cp{HERE.replace('.', '')}-linux_x86_64"
    sdist(Path(os.environ["UV_FIND_LINKS"]), "strangeofours", tmp_path / "told.json", tag)
    text = lock(["strangeofours"], python=HERE, platform=AMD64, sources=["strangeofours"])
    with (
        Store(tmp_path / "store") as store,
        pytest.raises(
            RequirementsError, match=r"strangeofours was built for this machine|not compatible"
        ),
    ):
        build(text, store, sources=["strangeofours"])


def test_the_resolvers_variables_have_no_say_any_more(tmp_path, wheels, monkeypatch):
    """A lock that they made, or that somebody else made, is installed as it is."""
    text = wheels("alpha", "1", {"alpha.py": b""})
    (tmp_path / "constraints").write_text("alpha==2\n")
    for variable in ("UV_CONSTRAINT", "UV_OVERRIDE"):
        monkeypatch.setenv(variable, str(tmp_path / "constraints"))
    monkeypatch.setenv("UV_EXCLUDE_NEWER", "2020-01-01")
    monkeypatch.setenv("UV_NO_BINARY", "1")
    with Store(tmp_path / "store") as store:
        assert build(text, store)[0][1] == "alpha 1"


def test_altered_wheels_are_refused(tmp_path, wheels):
    """What an index serves is compared with the hash in the lock."""
    wheels("alpha", "1", {"alpha.py": b""})
    with Store(tmp_path / "store") as store, pytest.raises(RequirementsError, match=r"[Hh]ash"):
        build(f"alpha==1 --hash=sha256:{'0' * 64}\n", store)


@pytest.mark.parametrize(
    "line", ["numpy", "numpy==1", "-r other --hash=sha256:00", "numpy>=1 --hash=x:y"]
)
def test_what_is_no_lock_is_refused(line):
    """Every line names one version and its hashes."""
    with pytest.raises(RequirementsError, match="lock the dependencies again"):
        read_lock(line)


def test_a_marker_that_is_not_met_leaves_nothing(tmp_path, wheels):
    """A universal lock's lines for other platforms are left out, and an empty lock has no layers."""
    text = wheels("alpha", "1", {"alpha.py": b""})
    other = wheels("beta", "1", {"beta.py": b""}).replace(" --", " ; sys_platform == 'win32' --", 1)
    with Store(tmp_path / "store") as store:
        ((_, comment),) = build(text + other, store)
        assert comment == "alpha 1"
        assert build(other, store) == []
        assert build("", store) == []


def test_there_are_never_too_many_layers(tmp_path, wheels, monkeypatch):
    """However many distributions there are, container engines can still stack the image."""
    monkeypatch.setattr(dependencies, "_LARGE", 500)
    monkeypatch.setattr(dependencies, "_SHARED", 10)
    monkeypatch.setattr(dependencies, "_MOST", 6)
    monkeypatch.setattr(dependencies, "_MOST_SHARED", 4)
    text = "".join(wheels(f"d{i}", "1", {f"d{i}.py": b"#" * 100 * i}) for i in range(20))
    with Store(tmp_path / "store") as store:
        layers = build(text, store)
    comments = [comment for _, comment in layers]
    assert len(layers) == 6
    assert all("," not in comment for comment in comments[:2])
    assert sorted(", ".join(comments).split(", ")) == sorted(f"d{i} 1" for i in range(20))


def test_a_changed_small_one_costs_the_layer_that_it_shares(tmp_path, wheels, monkeypatch):
    """Where many small ones have several layers, one of them is made anew, and none is reordered."""
    monkeypatch.setattr(dependencies, "_SHARED", 1500)
    lines = {f"d{i}": wheels(f"d{i}", "1", {f"d{i}.py": b"#" * 100}) for i in range(20)}
    with Store(tmp_path / "store") as store:
        before = build("".join(lines.values()), store)
        lines["d7"] = wheels("d7", "2", {"d7.py": b"#" * 200})
        after = build("".join(lines.values()), store)
    assert len(before) == len(after) > 3
    changed = [(one, two) for one, two in zip(before, after, strict=True) if one != two]
    assert len(changed) == 1
    assert "d7 1" in changed[0][0][1]
    assert "d7 2" in changed[0][1][1]


def test_nothing_of_the_making_is_left(tmp_path, wheels):
    """Staged files go as soon as the layers are there, and uv's cache is not written to."""
    text = wheels("alpha", "1", {
        "alpha.py": b"", "alpha-1.dist-info/entry_points.txt": b"[console_scripts]\nx = alpha:x\n",
    })  # fmt: skip
    with Store(tmp_path / "store") as store:
        build(text, store)
        settle(store)
    records = list((tmp_path / "uv").rglob("RECORD"))
    assert records
    assert not any("/bin/x" in record.read_text() for record in records)


def test_layers_are_told_of_in_their_order_while_others_are_made(tmp_path):
    """Each time from the first one up; all of them together are what is returned."""
    text, told = lock(["click", "fonttools", "pygments"], python=HERE, platform=AMD64), []
    with Store(tmp_path / "store") as store:
        layers = [layer for layer, _ in build(text, store, ready=told.append)]
        assert len(layers) == 3
        assert told[0] == (layers[0],)
        assert all(ready == tuple(layers[: len(ready)]) for ready in told)
        assert all(len(ready) < 3 for ready in told)
        again = []
        build(text, store, ready=again.append)
        assert again == []


def test_an_altered_layer_is_installed_again(tmp_path, wheels):
    """What was damaged in the cache is noticed when it is read, and made again from the lock."""
    text = wheels("alpha", "1", {"alpha.py": b"x = 1\n"})
    with Store(tmp_path / "store") as store:
        ((good, _),) = build(text, store)
    (path,) = (tmp_path / "store" / "v1" / "blobs").iterdir()
    path.write_bytes(bytes(path.stat().st_size))
    with Store(tmp_path / "store") as store:
        ((layer, _),) = build(text, store)
        assert layer == good
        assert f"{SITE}/alpha.py" in members(layer)
        settle(store)


def test_builds_at_once_and_killed_ones(tmp_path):
    """Several builds of one lock agree, and after kills at random moments the next one is right."""
    text = tmp_path / "lock"
    text.write_text(lock(["click", "pygments"], python=HERE, platform=AMD64))
    expected = result(in_process(tmp_path / "reference", text))
    store, randomly = tmp_path / "store", random.Random(1)
    for _ in range(4):
        process = in_process(store, text)
        time.sleep(randomly.random() * 0.8)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    running = [in_process(store, text) for _ in range(3)]
    assert [result(process) for process in running] == [expected] * 3
    # A killed build's uv may write on while others remove that: the next one with work to do does.
    for _ in range(100):
        with Store(store) as later:
            later.scratch()
        if not (left := list((store / "v1" / "work").iterdir())):
            break
        time.sleep(0.05)
    assert left == []
    shutil.rmtree(store)
