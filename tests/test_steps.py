"""`prefect.steps`: long work, told to whoever watches."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from steps_told import Told

from prefect.dependencies import uv
from prefect.steps import step, watched


def test_a_step_is_told_from_its_beginning_to_its_end():
    """It can be looked at meanwhile, in whatever thread it is done; afterwards nobody hears of any."""
    told = Told()
    with watched(told):
        with step("copy", 10) as one:
            assert told.steps == [one]
            assert one.seconds is None
            with ThreadPoolExecutor() as pool:
                list(pool.map(one.add, [1] * 1000))
            one.expect(5)
        assert (one.done, one.total, one.failed) == (1000, 15, False)
        with ThreadPoolExecutor() as pool:
            pool.submit(lambda: step("elsewhere").__enter__()).result()
    assert told.ended == [one]
    assert one.seconds >= 0
    with step("unseen"):
        pass
    assert [each.text for each in told.steps] == ["copy", "elsewhere"]


def test_a_step_says_what_it_is_as_a_line():
    """Once, when it begins, also where nobody watches."""
    lines = []
    one = step("copy", say=lines.append)
    assert lines == []
    with one:
        assert lines == ["copy"]
    assert lines == ["copy"]


def test_a_step_that_fails_says_so():
    """The exception goes on, and who watches is told of the end."""
    told = Told()
    with watched(told), pytest.raises(ZeroDivisionError), step("divide"):
        _ = 1 / 0
    assert told.ended[0].failed


def test_bytes_are_counted_when_they_are_taken():
    """Not when they are made: whoever takes them slowly is seen to."""
    with step("send") as one:
        chunks = one.counting([b"abc", b"de"])
        assert next(chunks) == b"abc"
        assert one.done == 0
        assert list(chunks) == [b"de"]
    assert one.done == 5


UV = [
    "Resolved 5 packages in 1ms",
    "Downloading numpy (16.5MiB)",
    "Downloading pandas (10 KiB)",
    " Downloaded numpy",
    " Downloaded pandas",
    "Downloading six (12B)",
]


def test_what_uv_says_of_downloads_is_a_step():
    """Its bytes are those of the files that are there; what goes on is named; a later one is a step anew."""
    told = Told()
    program = "import sys; sys.stderr.write(sys.argv[1])"
    import sys

    with watched(told):
        assert uv.call([sys.executable, "-c", program, "\n".join(UV)], {}) == ""
    first, second = told.of("Downloading")
    assert (first.done, first.total) == (17_311_744, 17_311_744)
    assert first.text == "Downloading pandas"
    assert (second.done, second.total, second.text) == (0, 12, "Downloading six")
