"""`prefect.streams`."""

import contextlib
import io
import pickle
import sys
import weakref

from prefect.streams import stand_in


class Bare:
    """A stream that takes no attributes, as one that is written in C."""

    __slots__ = ("__weakref__", "texts")

    def __init__(self):
        self.texts = []

    def write(self, text):
        self.texts.append(text)
        return len(text)


def test_a_stream_has_one_stand_in():
    """All who need one share it, and the stream is put back by the last of them."""
    with contextlib.redirect_stdout(io.StringIO()) as buffer:
        first, second = stand_in("stdout"), stand_in("stdout")
        shared = first.__enter__()
        assert second.__enter__() is shared
        first.__exit__(None, None, None)
        assert sys.stdout is shared
        second.__exit__(None, None, None)
        assert sys.stdout is buffer
        with stand_in("stdout") as again:
            assert again is shared


def test_a_stand_in_lives_as_long_as_its_stream():
    """A thread may still be printing to it when it is no longer in place."""
    for stream in (io.StringIO(), Bare()):
        with contextlib.redirect_stdout(stream), stand_in("stdout") as shared:
            seen = weakref.ref(shared)
        del shared
        assert seen() is not None


def test_a_stream_that_is_put_in_its_place_stays():
    """What a task redirects is its own, and a stand-in that is put back is none too many."""
    with contextlib.redirect_stdout(io.StringIO()) as outer:
        standing = stand_in("stdout")
        standing.__enter__().change = str.upper
        with contextlib.redirect_stdout(io.StringIO()) as inner:
            standing.__exit__(None, None, None)
            print("inner")
            assert sys.stdout is inner
        print("outer")
        with stand_in("stdout"):
            print("again")
        assert sys.stdout is outer
    assert inner.getvalue() == "inner\n"
    assert outer.getvalue() == "OUTER\nAGAIN\n"


def test_a_wrapper_of_a_stream_has_a_stand_in_of_its_own():
    """Even if it passes on every attribute of the stream, as colouring wrappers do."""

    class Wrapper:
        def __init__(self, stream):
            object.__setattr__(self, "stream", stream)

        def __getattr__(self, name):
            return getattr(self.stream, name)

        def write(self, text):
            return self.stream.write(f"<{text}>")

    with contextlib.redirect_stdout(io.StringIO()) as buffer:
        with stand_in("stdout"):
            sys.stdout.write("a")
        with contextlib.redirect_stdout(Wrapper(buffer)), stand_in("stdout"):
            sys.stdout.write("b")
    assert buffer.getvalue() == "a<b>"


def test_a_pickled_stand_in_is_the_stream_of_where_it_is_loaded():
    """A task that refers to sys.stdout travels while a stand-in is in its place."""
    with stand_in("stderr") as shared:
        pickled = pickle.dumps(shared)
    assert pickle.loads(pickled) is sys.stderr
