"""`prefect.context`."""

import threading

import pytest

import prefect
from prefect import context


def test_values_hold_for_a_block():
    """A value is there by attribute, key and get within its block, and gone after it."""
    with context(a=1):
        with context(a=2, b=3) as inner:
            assert (inner.a, context["b"], context.get("a")) == (2, 3, 2)
            assert set(context) == {"a", "b"}
            assert context.to_dict() == {"a": 2, "b": 3}
        assert context.a == 1
        assert "b" not in context
    assert context.get("a") is None
    assert context.get("a", 5) == 5


def test_missing_value_says_what_to_do():
    """A value that is not set is an AttributeError or KeyError that shows how to set it."""
    with pytest.raises(AttributeError, match=r"with prefect.context\(nonsense=...\)"):
        context.nonsense  # noqa: B018
    with pytest.raises(KeyError, match="nonsense"):
        context["nonsense"]


def test_what_is_set_is_gone_with_the_block():
    """It is a dict of which the items can be set, as classic Prefect's; a block's end takes them back."""
    with context({"a": 1}, b=2):
        context.c = 3
        context["d"] = 4
        context.update({"e": 5}, f=6)
        assert context.setdefault("a", 0) == 1
        assert context.setdefault("g", 7) == 7
        assert dict(context) == context.copy() == dict(zip("abcdefg", range(1, 8), strict=True))
        assert ([*context.keys()], [*context.values()]) == ([*"abcdefg"], [*range(1, 8)])
        assert (len(context), bool(context)) == (7, True)
    assert not context.items()


def test_block_ends_on_exceptions():
    """The former values are back when a block is left by an exception."""
    with pytest.raises(ZeroDivisionError), context(a=1):
        1 / 0  # noqa: B018
    assert "a" not in context


def test_threads_have_their_own():
    """A value set in one thread is not seen by another."""
    seen = []
    with context(a=1):
        thread = threading.Thread(target=lambda: seen.append(context.get("a")))
        thread.start()
        thread.join()
    assert seen == [None]


def test_logger():
    """The logger is that of the task that is running, or the package's."""
    assert context.logger.name == "prefect"
    assert "logger" in context
    with prefect.context(task_name="load"):
        assert context.logger.name == "prefect.task.load"


def test_repr_has_no_values():
    """The repr names what is set, and shows no values: they may be secret."""
    with context(token="hush"):
        assert repr(context) == "<Context: token>"
