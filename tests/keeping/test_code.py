"""What the code of a task consists of: a stale result is worse than none."""

import copy
import dis
import importlib
import pickle
import sys
import textwrap

import pytest
from notes import Noted

from prefect import Flow, task
from prefect.keeping.bytecode import globals_in
from prefect.keeping.code import Codes
from prefect.payload.code_within import codes_within
from prefect.payload.loading import load_flow
from prefect.payload.packing import pickle_flow

CHANGES = {
    "a constant": "N = 1\n@task\ndef go(): return N",
    "a helper": "def h(): return 1\n@task\ndef go(): return h()",
    "a helper's helper": "def g(): return 1\ndef h(): return g()\n@task\ndef go(): return h()",
    "a function within": "@task\ndef go():\n    def f(): return 1\n    return f()",
    "a lambda": "f = lambda: 1\n@task\ndef go(): return f()",
    "a default": "@task\ndef go(x=1): return x",
    "a method": "class A:\n    def f(self): return 1\n@task\ndef go(): return A().f()",
    "a base's method": "class B:\n    def f(self): return 1\nclass A(B): pass\n@task\ndef go(): return A().f()",
    "a method of an object": "class A:\n    def f(self): return 1\na = A()\n@task\ndef go(): return a.f()",
    "a property": "class A:\n    @property\n    def f(self): return 1\na = A()\n@task\ndef go(): return a.f",
    "a cached property": "import functools\nclass A:\n    @functools.cached_property\n    def f(self): return 1\n"
                         "@task\ndef go(): return A().f",
    "a static method": "class A:\n    @staticmethod\n    def f(): return 1\n@task\ndef go(): return A.f()",
    "a frozen dataclass": "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass A:\n    x: int = 0\n"
                          "    def f(self): return 1\na = A()\n@task\ndef go(): return a.f()",
    "a named tuple": "from typing import NamedTuple\nclass A(NamedTuple):\n    x: int = 0\n    def f(self): return 1\n"
                     "a = A()\n@task\ndef go(): return a.f()",
    "an enumeration": "import enum\nclass A(enum.Enum):\n    X = 0\n    def f(self): return 1\na = A.X\n@task\n"
                      "def go(): return a.f()",
    "__missing__": "class A(dict):\n    def __missing__(self, k): return 1\na = A()\n@task\ndef go(): return a['x']",
    "an object in a closure": "class A:\n    def f(self): return 1\ndef made():\n    a = A()\n    @task\n"
                              "    def go(): return a.f()\n    return go\ngo = made()",
    "functions in a list": "def h(): return 1\nSTEPS = [h]\n@task\ndef go(): return STEPS[0]()",
    "functions in a dict": "def h(): return 1\nT = {'a': h}\n@task\ndef go(): return T['a']()",
    "classes in a dict": "class A:\n    def f(self): return 1\nT = {'a': A}\n@task\ndef go(): return T['a']().f()",
    "a registry": "R = []\ndef reg(f):\n    R.append(f)\n    return f\n@reg\ndef h(): return 1\n@task\n"
                  "def go(): return R[0]()",
    "single dispatch": "import functools\n@functools.singledispatch\ndef h(x): return 0\n@h.register\n"
                       "def _(x: int): return 1\n@task\ndef go(): return h(5)",
    "a default factory": "import collections\ndef z(): return 1\nD = collections.defaultdict(z)\n@task\n"
                         "def go(): return D['x']",
    "a class attribute": "def h(): return 1\nclass A:\n    T = {'h': h}\n@task\ndef go(): return A.T['h']()",
    "a function as a default": "def h(): return 1\n@task\ndef go(f=h): return f()",
    "functions within a default": "def h(): return 1\n@task\ndef go(f={'a': h}): return f['a']()",
    "a partial": "import functools\ndef h(x): return x\np = functools.partial(h, 1)\n@task\ndef go(): return p()",
    "a wrapper": "import functools\ndef w(f):\n    @functools.wraps(f)\n    def g(*a): return f(*a) + 1\n    return g\n@w\n"
                 "def h(): return 0\n@task\ndef go(): return h()",
    "a wrapper under @task": "import functools\ndef w(f):\n    @functools.wraps(f)\n    def g(): return f() + 1\n"
                             "    return g\n@task\n@w\ndef go(): return 0",
    "what is wrapped": "import functools\ndef w(f):\n    @functools.wraps(f)\n    def g(): return f() + 5\n    return g\n"
                       "@task\n@w\ndef go(): return 1",
    "a class of wrappers": "import functools\nclass W:\n    def __init__(self, f):\n"
                           "        functools.update_wrapper(self, f)\n        self.f = f\n"
                           "    def __call__(self): return self.f() + 1\n@W\ndef h(): return 0\n@task\n"
                           "def go(): return h()",
    "a cached function": "import functools\n@functools.lru_cache\ndef h(): return 1\n@task\ndef go(): return h()",
    "a task class": "class T(Task):\n    def run(self): return 1\ngo = T()",
    "what a task was given": "class T(Task):\n    def __init__(self, n):\n        self.n = n\n        super().__init__()\n"
                             "    def run(self): return self.n\ngo = T(1)",
    "an object of a task": "class A:\n    def f(self): return 1\nclass T(Task):\n    def __init__(self, a):\n"
                           "        self.a = a\n        super().__init__()\n    def run(self): return self.a.f()\ngo = T(A())",
    "data beside a lock": "import threading\nclass A:\n    def __init__(self):\n        self.lock = threading.Lock()\n"
                          "        self.n = 1\na = A()\n@task\ndef go(): return a.n",
    "a metaclass": "class M(type):\n    def f(cls): return 1\nclass A(metaclass=M): pass\n@task\ndef go(): return A.f()",
    "a task that is called": "@task\ndef other(): return 1\n@task\ndef go(): return other.run()",
    "a set": "S = {'a', 'b', 'c1'}\n@task\ndef go(): return sorted(S)",
}  # fmt: skip
SAME = {
    "a comment": ("@task\ndef go():\n    return 1", "@task\ndef go():\n    # said\n    return 1"),
    "a docstring": ("def h():\n    'one'\n    return 1\n@task\ndef go(): return h()",
                    "def h():\n    'two'\n    return 1\n@task\ndef go(): return h()"),
    "an annotation": ("@task\ndef go(x: int = 1): return x", "@task\ndef go(x: str = 1): return x"),
    "another function": ("def other(): return 1\n@task\ndef go(): return 1", "@task\ndef go(): return 1"),
    "a local name": ("@task\ndef go():\n    a = 1\n    return a", "@task\ndef go():\n    b = 1\n    return b"),
    "the order of a set": ("S = {'a', 'b', 'c'}\n@task\ndef go(): return S", "S = {'c', 'b', 'a'}\n@task\ndef go(): return S"),
    "a lock": ("import threading\nL = threading.Lock()\n@task\ndef go(): return L",) * 2,
}  # fmt: skip


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """Import a module anew, of some source, and tell what its task consists of."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def found(source):
        (tmp_path / "module_for_code.py").write_text(
            "from prefect import Task, context, task\n" + source
        )
        sys.modules.pop("module_for_code", None)
        importlib.invalidate_caches()
        module = importlib.import_module("module_for_code")
        return Codes().of(module.go)

    yield found
    sys.modules.pop("module_for_code", None)


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_task_calls_counts(parts, name):
    """However it is reached; and the same source imported anew counts the same."""
    source = CHANGES[name]
    first = parts(source)
    assert parts(source) == first
    changed = source[::-1].replace("1", "2", 1)[::-1]
    assert changed != source
    assert parts(changed) != first


def test_the_order_of_bases_counts(parts):
    """It decides which method is taken."""
    source = "class A:\n    def f(self): return 1\nclass B:\n    def f(self): return 2\nclass C(A, B): pass\n"
    source += "@task\ndef go(): return C().f()"
    assert parts(source) != parts(source.replace("C(A, B)", "C(B, A)"))


@pytest.mark.parametrize("name", SAME)
def test_what_changes_nothing_does_not_count(parts, name):
    """Comments, docstrings, annotations, names of locals, other functions, the order of sets."""
    first, then = SAME[name]
    assert parts(first) == parts(then)


IN_EACH_PLACE = """
from prefect import Flow

RATE = 2

def depth():
    return RATE

@task
def price():
    return 1

@task
def rate():
    return depth()

@task
def go(d):
    class Row:
        width = RATE
    return {"price": d, "rate": d.depth, "width": Row.width}

with Flow("f") as flow:
    go(price())
    rate()
"""


def test_the_key_is_the_same_where_a_flow_is_packaged(parts):
    """A text or an attribute with the name of something else in the file is not that."""
    first = parts(IN_EACH_PLACE)
    flow = sys.modules["module_for_code"].flow
    packaged = pickle_flow(flow)
    del sys.modules["module_for_code"]
    loaded = load_flow(packaged.manifest, packaged.payload)
    (go,) = loaded.get_tasks(name="go")
    assert Codes().of(go) == first
    assert sorted(first[0]) == ["module_for_code.RATE", "module_for_code.go"]


@pytest.mark.parametrize(
    "body",
    [
        "globals()['price']", "globals().get('price')", "sys.modules[__name__].price",
        "vars(sys.modules[__name__])['price']",
    ],
)  # fmt: skip
def test_a_global_that_is_looked_up_by_a_text_counts(parts, body):
    """The function says itself that it takes globals by their names."""
    source = f"import sys\nprice = 1\n@task\ndef go(): return {body}"
    assert parts(source) != parts(source.replace("price = 1", "price = 2"))


def test_the_names_of_globals_are_those_that_dis_tells():
    """Of any code, also with hundreds of names."""
    many = "def f():\n" + "".join(f"    g{n}(a{n}.b{n}, 't{n}')\n" for n in range(400))
    many += "    class A:\n        x = y\n    global z\n    z = 1\n"
    code = compile(many, "f", "exec")
    told = {
        each.argval
        for within in codes_within(code)
        for each in dis.get_instructions(within)
        if "GLOBAL" in each.opname or each.opname == "LOAD_NAME"
    }
    assert set(globals_in(code)) == told
    assert {"g399", "a399", "y", "z"} <= told


@pytest.mark.parametrize("notes", [copy.copy, pickle.dumps])
def test_what_python_notes_in_a_class_does_not_count(parts, notes):
    """An object that is copied or pickled, as results are, leaves a note there for the next."""
    source = "class A:\n    def __init__(self): self.x = 1\n@task\ndef go(): return A()"
    before = parts(source)
    module = sys.modules["module_for_code"]
    notes(module.A())
    assert Codes().of(module.go) == before


@pytest.mark.parametrize(
    "body",
    [
        "import helper_for_code\n    return helper_for_code.f()",
        "from helper_for_code import f\n    return f()",
    ],
)
def test_what_a_task_imports_when_it_runs_counts(parts, tmp_path, body):
    """With what that imports in turn; nothing of it is imported to find out."""
    (tmp_path / "helper_for_code.py").write_text(
        "import deeper_for_code\ndef f(): return deeper_for_code.N"
    )
    (tmp_path / "deeper_for_code.py").write_text("N = 1\n")
    source = f"@task\ndef go():\n    {body}"
    first = parts(source)
    assert parts(source) == first
    assert "helper_for_code" not in sys.modules
    (tmp_path / "deeper_for_code.py").write_text("N = 2\n")
    importlib.invalidate_caches()
    assert parts(source) != first


@pytest.mark.parametrize("how", ["context.today", "context['today']", "context.get('today')"])
def test_what_a_task_reads_of_the_context_is_known(parts, how):
    """However it is looked up by its name."""
    assert "today" in parts(f"@task\ndef go(): return {how}")[1]


def test_code_of_somebodys_that_raises_when_it_is_looked_at_is_no_error(parts):
    """A proxy that is not connected, a module that has every name."""
    assert parts(
        "class Proxy:\n    def __getattr__(self, name): raise RuntimeError('not connected')\np = Proxy()\n"
        "@task\ndef go(): return p"
    )
    import types

    every = types.ModuleType("every_of_test")
    every.__getattr__ = lambda name: 1
    sys.modules["every_of_test"] = every
    try:
        assert parts("import every_of_test\n@task\ndef go(): return every_of_test.x")
    finally:
        del sys.modules["every_of_test"]


def test_a_method_of_an_input_counts(tmp_path, monkeypatch):
    """The class of what a task is given decides what it comes to, also where the value was stored."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    source = textwrap.dedent("""
        from prefect import Flow, task

        class Row:
            def __init__(self, n):
                self.n = n
            def net(self):
                return self.n * 10

        @task
        def rows():
            return [Row(1), Row(2)]

        @task
        def net(row):
            return row.net()

        @task
        def given(row):
            return row.net()

        with Flow("f") as flow:
            end = net.map(rows())
            other = given(Row(3))
    """)

    def run(text, **options):
        (tmp_path / "rows_for_code.py").write_text(text)
        sys.modules.pop("rows_for_code", None)
        importlib.invalidate_caches()
        module = importlib.import_module("rows_for_code")
        state = module.flow.run(store=tmp_path / "store", **options)
        return state.result[module.end].result, state.result[module.other].result

    assert run(source) == ([10, 20], 30)
    assert run(source, resume=True) == ([10, 20], 30)
    assert run(source.replace("* 10", "* 7"), resume=True) == ([7, 14], 21)
    sys.modules.pop("rows_for_code", None)


def test_mapped_children_are_known_by_what_they_are_given(tmp_path):
    """One more at the front makes one more, and not all again."""
    calls = Noted()

    @task
    def double(x):
        calls.append(x)
        return 2 * x

    def run(items, **options):
        with Flow("f") as flow:
            end = double.map(items)
        return flow.run(store=tmp_path / "store", **options).result[end].result

    assert run([1, 2, 2]) == [2, 4, 4]
    calls.clear()
    assert run([0, 1, 2, 2, 2], resume=True) == [0, 2, 4, 4, 4]
    assert sorted(calls) == [0, 2]


def test_a_cache_key_that_cannot_be_made_fails_its_task_alone(tmp_path):
    """It is named, with what was raised."""

    @task(cache_key=lambda x: 1 / x)
    def one(x):
        return x

    @task
    def two():
        return 2

    with Flow("f") as flow:
        made, other = one(0), two()
    state = flow.run(store=tmp_path / "store")
    assert state.result[made].is_failed()
    assert "cache_key of task 'one' cannot be made: ZeroDivisionError" in state.result[made].message
    assert state.result[other].is_successful()
