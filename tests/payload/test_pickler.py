"""`prefect.payload.pickler`: what a payload does not tell of where and how it was made."""

import functools
import itertools
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from prefect import Flow, task
from prefect.payload.loading import load_flow
from prefect.payload.packing import pickle_flow, pickle_flow_into

RICH = Path(__file__).parent / "rich_flow"
OPEN = (
    "import sys; from prefect.payload.manifest import Manifest;"
    "from prefect.payload.loading import load_flow;"
    "flow = load_flow(Manifest.from_json(open('m', 'rb').read()), open('p', 'rb').read());"
    "states = flow.run().result.values();"
    "print([s.traceback for s in states if s.is_failed()] or 'all well')"
)
# Hash seed, locale and time zone, directory, order in which files are written, words for build.py.
PLACES = [
    ("0", "C", "UTC", "a", False, ()),
    ("1", "C.UTF-8", "Asia/Tokyo", "a", False, ()),  # from the __pycache__ of the first
    ("2", "C", "UTC", "another place/with more/to it", True, ("others",)),
    ("3", "C.UTF-8", "UTC", "c", True, ("run",)),
    ("random", "POSIX", "America/Lima", "d", False, ("others", "run")),
]


def built(place, start, root):
    """Build the rich flow in a process of its own; return the digests that it prints."""
    seed, locale, zone, name, backwards, words = place
    directory = root / name
    if not directory.exists():
        files = sorted(path for path in RICH.rglob("*.py"))
        for path in reversed(files) if backwards else files:
            target = directory / path.relative_to(RICH)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            os.utime(target, (10**9 + len(target.parts), 10**9 + len(name)))
    elsewhere = root / "somewhere"
    done = subprocess.run(
        [sys.executable, start if backwards else directory / start, ".", *words],
        cwd=directory if backwards else elsewhere,
        env=os.environ | {"PYTHONHASHSEED": seed, "LC_ALL": locale, "TZ": zone},
        umask=0o077 if backwards else 0o022,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return next(line for line in done.stdout.splitlines() if line.startswith("digest"))


@pytest.mark.parametrize("start", ["etl.py", "build.py"])
def test_the_same_sources_give_the_same_bytes(start, tmp_path):
    """Of another directory, hash seed, locale, zone, history or umask nothing is seen.

    `etl.py` is the script that is run, `build.py` imports it.
    """
    (tmp_path / "somewhere").mkdir()
    first = built(PLACES[0], start, tmp_path)
    with ThreadPoolExecutor(2) as pool:
        others = list(pool.map(lambda place: built(place, start, tmp_path), PLACES[1:]))
    assert {first, *others} == {first}


def test_another_source_gives_other_bytes(tmp_path):
    """What is canonical is not constant: one number in the helper's source shows."""
    (tmp_path / "somewhere").mkdir()
    before = built(PLACES[0], "etl.py", tmp_path)
    state = tmp_path / "a" / "helpers" / "state.py"
    state.write_text(state.read_text().replace("calls = 0", "calls = 3"))
    after = built(PLACES[0], "etl.py", tmp_path)
    assert after.split()[1] != before.split()[1]  # the manifest, which tells of the global
    assert after.split()[2] != before.split()[2]


def test_the_rich_flow_runs_elsewhere(tmp_path, run_python):
    """What was made the same everywhere still does what it did."""
    (tmp_path / "somewhere").mkdir()
    built(PLACES[0], "etl.py", tmp_path)
    done = run_python("-c", OPEN, cwd=tmp_path / "somewhere")
    assert "all well\n" in done.stdout, done.stdout + done.stderr


def test_a_traceback_elsewhere_is_readable(tmp_path, run_python):
    """It names file, line and function, and shows the line, though another file has its name."""
    somewhere = tmp_path / "somewhere"
    somewhere.mkdir()
    built((*PLACES[0][:-1], ("failing",)), "etl.py", tmp_path)
    (somewhere / "etl.py").write_text("another = 'file'\n" * 300)
    done = run_python("-c", OPEN, cwd=somewhere)
    source = (tmp_path / "a" / "etl.py").read_text().splitlines()
    number = next(n for n, line in enumerate(source, 1) if "a comment, too" in line)
    assert f'File "etl.py", line {number}, in fail' in done.stdout
    assert source[number - 1].strip() in done.stdout
    assert str(tmp_path / "a") not in done.stdout


def test_only_lines_of_functions_travel(tmp_path, monkeypatch):
    """What a script's top level says beside the functions stays at home, a key for example."""
    (tmp_path / "with_key.py").write_text(
        "from prefect import Flow, task\nKEY = 'a ' 'key'  # in clear\n\n"
        "@task\ndef go():\n    return 1  # a remark\n\nwith Flow('keyed') as flow:\n    go()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "with_key", None)
    del sys.modules["with_key"]
    import with_key

    pickled = pickle_flow(with_key.flow)
    assert pickled.manifest.sources == {
        "with_key.py": [[4, "@task\ndef go():\n    return 1  # a remark\n"]]
    }
    for part in (pickled.payload, pickled.manifest.to_json()):
        assert b"in clear" not in part
        assert str(tmp_path).encode() not in part


def classes():
    """Return a flow with a class of its own, and that class."""

    class Own:
        pass

    @task
    def make():
        return Own()

    with Flow("own") as flow:
        make()
    return flow, Own


def result(flow):
    """Return what the one task of a flow returns."""
    return next(iter(flow.run().result.values())).result


def test_each_load_has_classes_of_its_own():
    """Loads of one payload, and of two, are never confused with one another."""
    flow, own = classes()
    pickled = pickle_flow(flow)
    assert pickle_flow(flow).payload == pickled.payload
    one, two = (result(load_flow(pickled.manifest, pickled.payload)) for _ in range(2))
    assert len({type(one), type(two), own}) == 3


def test_a_stream_keeps_the_classes_of_its_process():
    """What was sealed here gives, here, instances of the script's own classes."""
    import io

    flow, own = classes()
    buffer = io.BytesIO()
    manifest = pickle_flow_into(flow, buffer)
    assert type(result(load_flow(manifest, buffer.getvalue()))) is own


def test_cached_functions_and_properties_travel(tmp_path, run_python):
    """With their caches empty, and of the size that was asked for."""

    @functools.lru_cache(maxsize=7)
    def fibonacci(n):
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    class Thing:
        @functools.cached_property
        def value(self):
            return fibonacci(20)

    @task
    def compute():
        assert fibonacci.cache_info()[2:] == (7, 0)
        thing = Thing()
        assert [thing.value, vars(thing)] == [6765, {"value": 6765}]

    with Flow("cached") as flow:
        compute()
    fibonacci(5)
    pickled = pickle_flow(flow)
    fibonacci(50)
    assert pickle_flow(flow).payload == pickled.payload
    (tmp_path / "m").write_bytes(pickled.manifest.to_json())
    (tmp_path / "p").write_bytes(pickled.payload)
    done = run_python("-c", OPEN, cwd=tmp_path)
    assert "all well\n" in done.stdout, done.stdout + done.stderr


def test_what_was_looked_at_is_not_what_changed():
    """Annotations that were asked for, warnings that were shown and `isinstance` leave no mark."""
    import abc
    import typing

    class Plain:
        pass

    class Shape(abc.ABC):  # noqa: B024
        pass

    @task
    def use():
        return Plain, Shape

    with Flow("looked at") as flow:
        use()
    before = pickle_flow(flow).payload
    typing.get_type_hints(Plain)
    assert Plain.__annotations__ == {}
    assert not isinstance(Plain(), Shape)
    flow.serialize()
    flow.run()
    assert pickle_flow(flow).payload == before


def test_the_order_of_imports_does_not_show():
    """Submodules that a function uses are named in one order, whichever came first."""
    import concurrent.futures
    import xml.dom
    import xml.etree.ElementTree  # noqa: ICN001

    @task
    def use():
        return xml.dom, xml.etree.ElementTree, concurrent.futures

    with Flow("imports") as flow:
        use()
    payloads = set()
    names = ["xml.dom", "xml.etree", "xml.etree.ElementTree"]
    for order in itertools.permutations(names):
        for name in order:
            sys.modules[name] = sys.modules.pop(name)
        payloads.add(pickle_flow(flow).payload)
    assert len(payloads) == 1
