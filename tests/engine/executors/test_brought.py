"""Modules that were brought as source."""

import gc
import importlib
import sys
import threading
from types import ModuleType

import pytest

from prefect.engine.executors import brought
from prefect.engine.executors.brought import Modules, bring, sources_of
from prefect.engine.executors.local_modules import LocalModules
from prefect.engine.executors.travelling import by_value, packed, unpacked
from prefect.errors import CompatibilityError
from prefect.installed import is_local

NAMES = (
    "brought_one",
    "brought_two",
    "brought_pack",
    "brought_pack.inner",
    "brought_pack.one",
    "brought_pack.two",
)


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """Leave nothing of it behind."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(brought, "_known", {})
    yield
    for name in NAMES:
        sys.modules.pop(name, None)


def of(text, *, is_package=False):
    return text, "<brought>", is_package


def pack(value):
    """Return a pack whose modules import each other in all ways, also within functions."""
    text = "from .inner import VALUE\ndef late():\n    import brought_pack.inner\n    return brought_pack.inner.VALUE\n"
    inner = (
        f"VALUE = {value}\nclass Thing:\n    def late(self):\n"
        "        from . import inner\n        from brought_pack import VALUE\n        return inner.VALUE, VALUE\n"
    )
    return {"brought_pack": of(text, is_package=True), "brought_pack.inner": of(inner)}


def test_modules_of_one_name_are_kept_apart():
    """Each finds its own when it imports, and what is pickled of one is of that one where it is loaded."""
    modules = [Modules(pack(value)) for value in (1, 2)]
    for value, each in enumerate(modules, 1):
        assert value == each.module("brought_pack").VALUE
    for value, each in enumerate(modules, 1):
        assert each.module("brought_pack").late() == value
        thing = each.module("brought_pack.inner").Thing()
        assert thing.late() == (value, value)
        loaded = unpacked(packed([thing, type(thing), each.module("brought_pack").late]))
        assert type(loaded[0]) is loaded[1] is type(thing)
        assert loaded[2]() == value


def test_what_is_needed_is_noted():
    """Only what a flow pickles is sent to others, and executed there when it is first asked for."""
    modules = [Modules(pack(value)) for value in (1, 2)]
    things = [each.module("brought_pack.inner").Thing() for each in modules]
    needed = set()
    with brought.noting(needed):
        data = packed(things[0])
    assert brought.sources_of(needed) == [pack(1)]
    brought._known.clear()  # as in another process
    with pytest.raises(CompatibilityError, match=r"'brought_pack.inner' .* has not come"):
        unpacked(data)
    brought.bring([pack(1)])
    assert unpacked(data).late() == (1, 1)


def test_pickling_leaves_nothing_for_the_collector():
    """However many values go to and fro."""
    brought.bring([pack(1)])
    packed(1)
    gc.collect()
    gc.disable()
    try:
        for _ in range(1000):
            packed(1)
        assert gc.collect() < 1000  # other threads, of a Dask client, leave some hundreds meanwhile
    finally:
        gc.enable()


def test_a_module_of_a_file_stays_in_its_place():
    """One that was brought makes way for a later one, for who asks by the name alone."""
    ours = Modules({"brought_one": of("VALUE = 1")})
    ours.module("brought_one")
    Modules({"brought_one": of("VALUE = 2")}).module("brought_one")
    assert sys.modules["brought_one"].VALUE == 2
    there = sys.modules["brought_one"] = type(sys)("brought_one")
    Modules({"brought_one": of("VALUE = 3")}).module("brought_one")
    assert sys.modules["brought_one"] is there
    assert ours.module("brought_one").VALUE == 1


def test_no_module_that_was_brought_comes_into_a_package_of_files(tmp_path, monkeypatch):
    """Else code of that package would import what it has never seen."""
    (tmp_path / "brought_pack").mkdir()
    for name in ("__init__", "inner"):
        (tmp_path / "brought_pack" / f"{name}.py").write_text("VALUE = 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    there = importlib.import_module("brought_pack")
    ours = Modules(pack(1), whole=False)
    assert ours.module("brought_pack.inner").VALUE == 1
    assert sys.modules["brought_pack"] is there
    assert importlib.import_module("brought_pack.inner").VALUE == 0
    assert ours.module("brought_pack.inner").VALUE == 1


def test_modules_make_way_when_the_last_run_that_brought_them_has_ended():
    """For those of a run that goes on; what is of them is the same again in a later run."""
    sources = [{"brought_one": of(f"VALUE = {value}")} for value in (1, 2)]
    first, second = (Modules(each) for each in sources)
    bring([*sources, sources[1]])
    ones = [each.module("brought_one") for each in (first, second)]
    brought.leave(second.digest)
    assert sys.modules["brought_one"] is ones[1]
    brought.leave(second.digest)
    assert sys.modules["brought_one"] is ones[0]
    brought.leave(first.digest)
    assert "brought_one" not in sys.modules
    bring([sources[1]])
    assert sys.modules["brought_one"] is ones[1] is second.module("brought_one")


def test_modules_that_were_never_executed_are_forgotten_with_their_run():
    """As nothing can be of them."""
    bring([pack(1)])
    brought.leave(Modules(pack(1)).digest)
    assert not brought.is_any()


def test_modules_that_cannot_be_executed_leave_what_was_there():
    """The error is the module's own."""
    there = sys.modules["brought_one"] = type(sys)("brought_one")
    with pytest.raises(ZeroDivisionError):
        Modules({"brought_one": of("1 / 0")}).module("brought_one")
    assert sys.modules["brought_one"] is there


def test_what_two_bring_alike_is_pickled_as_of_the_one_that_it_came_with():
    """The home of the other has never heard of that."""
    first = Modules({"brought_one": of("class Thing:\n    pass\n"), "brought_two": of("")})
    second = Modules({"brought_one": of("class Thing:\n    pass\n")})
    first.module("brought_one")
    needed = set()
    with brought.noting(needed):
        packed(second.module("brought_one").Thing())
    assert needed == {second.digest}


def test_modules_are_executed_one_by_one_as_they_are_needed():
    """Where no registry has them know each other; by a name alone they are found, too."""
    inner = "from brought_pack import VALUE\n"
    sources = {
        "brought_pack": of("VALUE = 1\ndef late():\n    from . import inner\n    return inner.VALUE\n", is_package=True),
        "brought_pack.inner": of(inner),
        "brought_one": of("1 / 0"),
    }  # fmt: skip
    brought.bring([sources], whole=False)
    (modules,) = brought._known.values()
    assert modules.module("brought_pack").late() == 1
    assert modules.made.keys() == {"brought_pack", "brought_pack.inner"}
    with pytest.raises(
        CompatibilityError, match=r"'brought_one' came as source, .* ZeroDivisionError"
    ):
        brought.brought(modules.digest, "brought_one", "")
    assert __import__("brought_pack").late() == 1


def test_what_a_package_has_under_a_name_comes_before_a_module_of_it():
    """As Python has it; what it lacks is imported, also while another module is executed, and by its `__all__`."""
    sources = {
        "brought_pack": of("__all__ = ['two']\none = 1\n", is_package=True),
        "brought_pack.one": of(""),
        "brought_pack.two": of(""),
        "brought_pack.inner": of(
            "from . import one, two\ndef late():\n    from brought_pack import one, two\n    return one, two\n"
        ),
        "brought_one": of("from brought_pack import *\n"),
    }
    modules = Modules(sources, whole=False)
    modules.module("brought_pack")
    inner, two = modules.module("brought_pack.inner"), modules.module("brought_pack.two")
    assert (inner.one, inner.two) == inner.late() == (1, two)
    assert modules.module("brought_one").two is two
    assert "brought_pack.one" not in modules.made


def test_an_import_does_not_wait_for_ever_for_who_waits_for_it():
    """A thread that executes modules may wait for the very import that waits for that."""
    bring([{"brought_one": of("VALUE = 1")}])
    held, over = threading.Event(), threading.Event()

    def hold():
        with brought._lock:
            held.set()
            over.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert held.wait(60)
        assert importlib.import_module("brought_one").VALUE == 1
    finally:
        over.set()
        thread.join()


def test_a_package_that_makes_a_flow_is_there_for_what_is_in_it(tmp_path, monkeypatch):
    """It is not executed elsewhere; an object that makes itself when it is looked at is left alone."""
    package = tmp_path / "brought_pack"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from prefect import Flow\nfrom brought_pack import inner\n"
        "class Lazy:\n    @property\n    def __class__(self): raise RuntimeError\n"
        'lazy = Lazy()\nflow = Flow("f")\n'
    )
    (package / "inner.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("brought_pack")
    local = LocalModules()
    try:
        (digest,) = local.digests
        (sources,) = sources_of([digest])
    finally:
        local.close()
    assert sources["brought_pack"][0] == ""
    assert sources["brought_pack"][2] is True
    assert sources["brought_pack.inner"][0] == "VALUE = 1\n"


def test_two_runs_have_the_modules_that_make_flows_by_value(tmp_path, monkeypatch):
    """Until the last of them has ended."""
    (tmp_path / "brought_one.py").write_text('from prefect import Flow\nflow = Flow("f")\n')
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("brought_one")
    first, second = LocalModules(), LocalModules()
    first.close()
    assert by_value("brought_one")
    second.close()
    assert not by_value("brought_one")


def test_a_module_that_makes_up_its_attributes_is_none_of_ours():
    """Such as torch.classes, whose `__path__` is anything but one."""
    module = ModuleType("made_up")
    module.__getattr__ = lambda name: object()
    assert not is_local("made_up", module)
