"""`prefect.payload.manifest`."""

import json
import platform
import subprocess
import sys
from importlib import metadata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect import Flow
from prefect.errors import CompatibilityError, FlowError, FormatError
from prefect.frozen import replace
from prefect.payload.image_facts import ImageFacts
from prefect.payload.manifest import Manifest
from prefect.pylock import File, Lock, Package, Target

FLOW = Flow("f").serialize()
GOOD = Manifest.describe(FLOW, {"numpy": "numpy==1.0"})


FILE = {"executable": False, "sha256": "0" * 64, "size": 1}
HERE = Target(f"3.{sys.version_info[1]}", sys.platform, platform.machine())


def locked(target, **versions):
    """Return the text of a lock of some packages."""
    return Lock.of(
        {
            target: [
                Package(
                    name.replace("_", "-"), version,
                    (File(f"{name}-{version}-py3-none-any.whl", 1, "0" * 64),), frozenset(),
                )
                for name, version in versions.items()
            ]
        }
    ).text()  # fmt: skip


LOCK = locked(HERE, no_such="2.0")
PIN = f"idna==3.6 --hash=sha256:{'0' * 64}\n"
FACTS = {
    "base": "",
    "digest": "",
    "platform": "linux/amd64",
    "python": "3.11",
    "setup": [],
    "lock": PIN,
}
BAD_PATHS = [
    "", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a\\b", "a\nb", "a\x1b[2J", "a\0", "\ud800",
    "a" * 256, "/".join(["a" * 200] * 6),
]  # fmt: skip


def changed(**values):
    return json.dumps(GOOD.to_dict() | values).encode()


@given(
    st.text(),
    st.dictionaries(
        st.from_regex(r"[a-z]{1,5}(\.[a-z_]{1,5})?", fullmatch=True),
        st.from_regex(r"[A-Za-z][A-Za-z0-9._-]{0,9}==[0-9][0-9a-z.!+]{0,9}", fullmatch=True),
    ),
)
def test_what_is_written_is_read_again(name, requirements):
    """Any description survives, and equal ones are equal bytes."""
    manifest = Manifest.describe(FLOW | {"name": name}, requirements)
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert Manifest.from_json(manifest.to_json()).to_json() == manifest.to_json()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b"[" * 100_000,
        changed(format=5),
        changed(format=1),  # which has no `installed`
        changed(format=2),  # which has no `files`
        changed(lock=None),
        changed(lock='lock-version = "1.0"\n'),
        changed(lock=LOCK.replace('path = "', 'path = "../')),
        changed(files=[]),
        changed(files={"a": {"size": 1}}),
        *(changed(files={path: FILE}) for path in BAD_PATHS),
        changed(files={"a": FILE, "a/b": FILE}),
        changed(files={"a": FILE | {"size": -1}}),
        changed(files={"a": FILE | {"size": True}}),
        changed(files={"a": FILE | {"sha256": "A" * 64}}),
        changed(files={"a": FILE | {"executable": 1}}),
        changed(files={"a": FILE, "b": FILE | {"size": 2}}),
        changed(wheels={"../a.whl": FILE}),
        changed(sources=[]),
        changed(sources={"a.py": []}),
        changed(sources={"": [[1, "x\n"]]}),
        changed(sources={"a" * 1001: [[1, "x\n"]]}),
        changed(sources={"a.py": [[0, "x\n"]]}),
        changed(sources={"a.py": [[True, "x\n"]]}),
        changed(sources={"a.py": [[1, "x"]]}),
        changed(sources={"a.py": [[1, ""]]}),
        changed(sources={"a.py": [[1, "x\n", 1]]}),
        changed(sources={"a.py": [[1, "x\n"], [2, "y\n"]]}),  # which is one run
        changed(sources={"a.py": [[5, "x\n"], [1, "y\n"]]}),
        changed(sources={"a.py": [[1 << 40, "x\n"]]}),
        changed(sources={str(n): [[1_000_000, "x\n"]] for n in range(5)}),
        changed(sources={"a.py": "x\n"}),
        changed(image={}),
        changed(image=[]),
        changed(image=FACTS | {"digest": "sha256:1"}),
        changed(image=FACTS | {"base": "a b"}),
        changed(image=FACTS | {"platform": "linux"}),
        changed(image=FACTS | {"python": "3.11\n"}),
        changed(image=FACTS | {"setup": "true"}),
        changed(image=FACTS | {"setup": [1]}),
        changed(image=FACTS | {"lock": None}),
        changed(image=FACTS | {"lock": PIN[:-1]}),
        changed(image=FACTS | {"lock": PIN + PIN}),
        changed(image=FACTS | {"lock": PIN + "a==1\n"}),
        changed(image=FACTS | {"lock": PIN.replace("idna", "IDNA")}),
        changed(image=FACTS | {"lock": PIN.replace(" --", "\x0b--")}),
        changed(image=FACTS | {"lock": PIN * 100_000}),
        changed(globals=[]),
        changed(globals={"": "1"}),
        changed(globals={"A of f.py": 1}),
        changed(globals={"A of f.py": ""}),
        changed(globals={"A of f.py": "1" * 1001}),
        changed(globals={f"A{n} of f.py": "1" for n in range(10_001)}),
        changed(fixed={}),
        changed(fixed=[1]),
        changed(fixed=[""]),
        changed(fixed=["b", "a"]),
        changed(fixed=["a", "a"]),
        changed(fixed=["a" * 3000]),
        changed(runtime=None),
        changed(runtime="0" * 63),
        changed(runtime="G" * 64),
        changed(format=True),
        changed(installed=None),
        changed(installed={"numpy": "1\nsigned by me"}),
        changed(installed={"a b": "1"}),
        changed(format="1"),
        changed(more=1),
        changed(flow=[]),
        changed(python=3.11),
        changed(requirements=["numpy"]),
        changed(requirements={"numpy": 1}),
        changed(requirements={"numpy": "numpy==1.0\nsigned by me (trusted)"}),
        changed(prefect="1\x1b[2J"),
        changed(requirements={".x": "x==1"}),
        changed(flow={}),
        changed(flow=FLOW | {"name": 5}),
        changed(flow=FLOW | {"tasks": [5]}),
        changed(flow=FLOW | {"tasks": [{"id": "a"}]}),
        changed(flow=FLOW | {"edges": [{"upstream": "a"}]}),
        changed(flow=FLOW | {"parameters": {"a": 1}}),
        changed(flow=FLOW | {"environment": {"type": "x", "secrets": [1]}}),
    ],
    ids=lambda data: repr(data[:20]),
)
def test_what_is_no_manifest_is_refused(data):
    """Malformed, unknown and newer ones are errors of format."""
    with pytest.raises(FormatError):
        Manifest.from_json(data)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"python": "3.10.2", "fixed": ["f of <string> (no \x1b[2J)"]}, r"Run it with Python 3.10"),
        ({"python": "3.10.2", "fixed": ["f of <string> (no \x1b[2J)"]}, r"f of <string> \(no \\x1b\[2J\)"),
        ({"python": "3.10.2", "fixed": list("abcdefg")}, "a; b; c; d; e; and 2 more"),
        ({"implementation": "pypy"}, "packaged by pypy"),
        ({"cloudpickle": "99.1.0"}, "Install cloudpickle==99.1.0"),
        ({"requirements": {"no_such": "no-such==1", "also_not": "also-not==2"}},
         "pip install also-not==2 no-such==1"),
    ],
)  # fmt: skip
def test_what_does_not_fit_here_is_said_with_the_fix(values, says):
    """The error tells what the payload needs, what is here, and what to do."""
    with pytest.raises(CompatibilityError, match=says):
        Manifest.from_json(changed(**values)).check_compatible()


def test_an_older_patch_of_cloudpickle_is_no_obstacle():
    """Only major and minor versions of cloudpickle count."""
    major, minor = GOOD.cloudpickle.split(".")[:2]
    Manifest.from_json(changed(cloudpickle=f"{major}.{minor}.999")).check_compatible()


def test_other_versions_than_packaged_are_told():
    """A module that is here in another version is no error, but can be named."""
    import numpy as np

    assert GOOD.differing_requirements() == [("numpy==1.0", np.__version__)]


def test_what_is_needed_in_turn_is_compared_too():
    """By version; what is not here is none of another version."""
    here = metadata.version("numpy")
    manifest = Manifest.from_json(changed(installed={"idna": "0.1", "no-such": "1", "numpy": here}))
    assert manifest.differing_requirements() == [("idna==0.1", metadata.version("idna"))]


@pytest.mark.parametrize(("number", "lacks"), [(1, {"installed"}), (2, set()), (3, None)])
def test_manifests_of_former_formats_are_read_and_written(number, lacks):
    """The first tells direct requirements alone, which are compared; the third of no image.

    The payloads of the first two are bytecode alone, which needs its series of Python.
    """
    of_third = {"files", "wheels", "lock", "sources", "fixed"}
    of_fourth = {"globals", "image", "runtime"}
    lacks = of_fourth if lacks is None else lacks | of_third | of_fourth
    values = {name: v for name, v in GOOD.to_dict().items() if name not in lacks}
    values |= {"format": number, "python": "3.10.1"}
    old = Manifest.from_json(json.dumps(values).encode())
    assert (old.installed, old.sources) == ({}, {})
    assert Manifest.from_json(old.to_json()) == old
    assert [line for line, _ in old.differing_requirements()] == ["numpy==1.0"]
    if number < 3:
        with pytest.raises(CompatibilityError, match="an earlier prefect packed bytecode alone"):
            old.check_compatible()


def test_in_an_image_its_own_lock_is_what_is_wanted():
    """Whatever was installed where the flow was packaged."""
    manifest = replace(GOOD, installed={"idna": "1.0", "numpy": "1.0"})
    here = metadata.version("idna")
    for version, differing in ((here, []), ("0.5", [("idna==0.5", here)])):
        facts = ImageFacts.read(FACTS | {"lock": PIN.replace("3.6", version)})
        told = Manifest.from_json(manifest.of_image(facts).to_json())
        assert told == manifest.of_image(facts)
        assert told.installed == {"idna": version}
        assert told.requirements == {"numpy": "numpy==1.0"}  # of the base, if anybody's
        assert [one.line() for one in told.locked()] == facts.lock.splitlines()
        assert told.differing_requirements() == differing


def test_another_series_is_no_obstacle_by_itself():
    """Functions are compiled there from the sources that the manifest has."""
    values = {"python": "3.10.2", "requirements": {}}
    Manifest.from_json(changed(**values, sources={"a.py": [[1, "x\n"]]})).check_compatible()


def test_reading_a_manifest_cannot_unpickle():
    """The modules that read manifests do not load cloudpickle, nor what loads payloads."""
    code = (
        "import sys, prefect.payload.manifest, prefect.sealed.reading;"
        "print([m for m in ('cloudpickle', 'prefect.payload.packing') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_odd_versions_are_no_crash():
    """What is no version of Python or cloudpickle is refused: it would compare with none."""
    Manifest.from_json(changed(cloudpickle="3.1.0rc1+own")).check_compatible()
    for version in ("x.1", "3", "latest", "\u00b2.1", "3.1\n"):
        for name in ("cloudpickle", "python"):
            with pytest.raises(FormatError):
                Manifest.from_json(changed(**{name: version}))


def test_as_many_requirements_as_nobody_has_are_refused():
    """Each is looked for where the flow is to run; what is not there costs no search of its own."""
    many = {f"no_such_{i}": f"no-such-{i}==1.0" for i in range(5_000)}
    found = Manifest.from_json(changed(requirements=many))
    assert found.differing_requirements() == []
    with pytest.raises(FormatError):
        Manifest.from_json(changed(requirements=many | {"one_more": "one-more==1.0"}))
    with pytest.raises(FormatError):
        Manifest.from_json(changed(installed={f"a{i}": "1" for i in range(5_001)}))


def test_a_hundred_thousand_tasks_fit_and_a_million_do_not():
    """What cannot be read again is refused where it is written, and described so."""
    task, edge = ({"id": "double-100000", "name": "double", "max_retries": 0, "tags": [], "slug": ""},
                  {"upstream": "double-100000", "downstream": "double-100001", "mapped": False})  # fmt: skip
    for count, fits in ((100_000, True), (1_000_000, False)):
        flow = FLOW | {"name": "wide", "tasks": [task] * count, "edges": [edge] * count}
        described = Manifest.describe(flow, {})
        if fits:
            assert described.to_json()
        else:
            with pytest.raises(FlowError, match="'wide' is too large"):
                described.to_json()
    with pytest.raises(FormatError, match="larger than any"):
        Manifest.from_json(b"[" + b"1," * 3_000_000 + b"1]")
    with pytest.raises(FormatError, match="larger than any"):
        Manifest.from_json(b" " * (1 << 26))


def test_what_is_missing_is_named_in_its_locked_version():
    """Who installs it gets what was locked, and not what happened to be installed at the build."""
    manifest = replace(GOOD, requirements={"no_such": "No.Such==1.0"}, lock=LOCK)
    with pytest.raises(CompatibilityError, match=r"pip install No.Such==2\.0;"):
        manifest.check_compatible()


def test_versions_here_are_compared_with_what_is_locked_for_here():
    """Another Python may get others than the build had; what is locked elsewhere says nothing here."""
    version = metadata.version("click")
    requires = {"requirements": {"click": "click==1.0"}, "installed": {"click": "1.0"}}
    manifest = replace(GOOD, **requires, lock=locked(HERE, click=version))
    assert manifest.differing_requirements() == []
    elsewhere = Target("3.99", "linux", "x86_64")
    manifest = replace(manifest, lock=locked(elsewhere, click=version))
    assert manifest.differing_requirements() == [("click==1.0", version)]
