"""What is known of the arguments of `run`."""

import functools
import inspect
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect.core.call_signature import RunSignature, _arguments, suggest
from prefect.errors import FlowError


def ordinary(a, b, c=1, *, d, e=2, **rest):
    local = a, b
    return local, c, d, e, rest


def test_reads_names_defaults_and_openness():
    """Names come in order; what has no default is required; `**` makes a signature open."""
    signature = RunSignature.of(ordinary, "f")
    assert signature.names == ("a", "b", "c", "d", "e")
    assert signature.positional == ("a", "b", "c")
    assert signature.required == ("a", "b", "d")
    assert signature.open


SOURCES = st.tuples(
    st.integers(0, 2), st.integers(0, 2), st.integers(0, 2), st.booleans(), st.booleans()
)


@given(SOURCES, st.integers(0, 4), st.integers(0, 2))
def test_agrees_with_inspect(shape, defaults, keyword_defaults):
    """Reading code objects says what `inspect.signature` says, whatever the arguments."""
    only, ordinary, keyword, var, open_ = shape
    names = [f"p{i}" for i in range(only)] + [f"q{i}" for i in range(ordinary)]
    first_default = max(len(names) - defaults, 0)
    parts = [name if i < first_default else f"{name}=0" for i, name in enumerate(names)]
    if only:
        parts.insert(only, "/")
    parts += ["*args"] if var else ["*"] if keyword else []
    parts += [f"k{i}=0" if i < keyword_defaults else f"k{i}" for i in range(keyword)]
    parts += ["**rest"] if open_ else []
    scope = {}
    exec(f"def f({', '.join(parts)}):\n  local = 1\n  return [local for _ in ()]", scope)
    expected = {
        (p.name, p.kind.name, p.default is not p.empty or p.kind.name.startswith("VAR"))
        for p in inspect.signature(scope["f"]).parameters.values()
    }
    assert set(_arguments(scope["f"], "f")) == expected


def test_follows_wrappers_and_partials():
    """Decorated functions have the arguments of what they wrap, partials those that are left."""

    @functools.wraps(ordinary)
    def wrapper(*args, **kwargs):
        return ordinary(*args, **kwargs)

    assert RunSignature.of(wrapper, "f").required == ("a", "b", "d")
    assert RunSignature.of(functools.partial(ordinary, d=1, a=1), "f").required == ("b",)


class Holder:
    """Has a method that is used as a function."""

    def method(self, x, y=1):
        return x, y


async def generator():
    yield


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda *args: args, r"\*args"),
        (lambda x, /: x, "by position only"),
        (lambda flow: flow, "reserved"),
        (lambda upstream_tasks: 1, "reserved"),
        (lambda mapped: 1, "reserved"),
        (lambda task_args: 1, "reserved"),
        (len, "by position only"),
        (print, r"\*args"),
        (min, "unknown"),
        (generator, "async generator"),
        (functools.partial(generator), "async generator"),
    ],
)
def test_refuses_what_a_task_cannot_call(function, message):
    """Functions to which a task cannot pass arguments by name are refused, with the reason."""
    with pytest.raises(FlowError, match=message):
        RunSignature.of(function, "task 'f'")


def test_bound_methods():
    """A bound method has no self left to give."""
    assert RunSignature.of(Holder().method, "f").required == ("x",)


TASK = SimpleNamespace(name="f")


def test_binds_like_python():
    """Arguments are bound as Python would, defaults left to the function."""
    signature = RunSignature.of(lambda a, b=1, *, c: (a, b, c), "f")
    assert signature.bind((1,), {"c": 3}, TASK) == {"a": 1, "c": 3}
    assert signature.bind((1, 2), {"c": 3}, TASK) == {"a": 1, "b": 2, "c": 3}


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((1, 2, 3), {}, "2 arguments by position, 3 given"),
        ((1,), {"a": 1}, "'a' twice"),
        ((1,), {"colour": 1}, r"no argument 'colour' \(did you mean 'color'\?\); it takes"),
        ((), {}, "misses its arguments 'a', 'color'"),
    ],
)
def test_refuses_wrong_arguments(args, kwargs, message):
    """Wrong arguments are a TypeError that names the task and what is wrong."""
    signature = RunSignature.of(lambda a, color: (a, color), "f")
    with pytest.raises(TypeError, match=f"Task 'f' .*{message}"):
        signature.bind(args, kwargs, TASK)


def test_suggestions():
    """The closest name is suggested, or none."""
    assert suggest("limti", ["limit", "day"]) == " (did you mean 'limit'?)"
    assert suggest("zzz", ["limit", "day"]) == ""
