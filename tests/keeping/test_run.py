"""Runs that keep results: resumed, cached, recorded."""

import errno
import json
import pickle
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from datetime import timedelta

import pytest
from notes import Noted
from packs import packed

from prefect import Flow, Parameter, context, task
from prefect.core.refs import Released
from prefect.core.signals import SKIP
from prefect.engine.results import LocalResult
from prefect.errors import ParameterError, RecordError, ResultUnavailableError, StoreError
from prefect.keeping import kept_of
from prefect.records.finding import find_run
from prefect.records.reading import read_record
from prefect.sealed.keys.encryption import EncryptionKey
from prefect.store.store import Store, open_store
from prefect.tasks.core.resource_manager import resource_manager
from prefect.tasks.secrets import EnvVarSecret, SecretBase


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def _flow(calls, fails):
    @task
    def numbers(n):
        calls.append("numbers")
        return list(range(n))

    @task
    def double(x):
        calls.append(f"double {x}")
        if fails and x == 2:
            raise ValueError("not this one")
        return 2 * x

    @task
    def total(xs):
        calls.append("total")
        return sum(xs)

    with Flow("sums") as flow:
        flow.total = total(double.map(numbers(Parameter("n", default=3))))
    return flow


@pytest.mark.parametrize("executor", ["local", "threads:3"])
def test_what_succeeded_is_not_run_again(store, executor):
    """A resumed run takes over all results, and makes what is missing."""
    calls, fails = Noted(), Noted([1])
    flow = _flow(calls, fails)
    assert flow.run(store=store, executor=executor).is_failed()
    fails.clear()
    calls.clear()
    state = flow.run(store=store, resume=True, executor=executor)
    assert state.result[flow.total].result == 6
    assert calls == ["double 2", "total"]
    calls.clear()
    state = flow.run(store=store, resume=True)
    assert calls == []
    assert state.result[flow.total].is_cached()
    assert state.result[flow.total].result == 6


def test_a_run_that_resumes_nothing_makes_everything(store):
    """Without resume, and without cache, results of earlier runs are none of a run's business."""
    calls = Noted()
    flow = _flow(calls, Noted())
    flow.run(store=store)
    calls.clear()
    flow.run(store=store)
    assert len(calls) == 5


def test_a_resumed_run_has_the_parameters_and_the_day_of_the_one_that_it_goes_on_with(store):
    """Unless others are given: then what depends on them is made anew."""
    calls = Noted()
    flow = _flow(calls, Noted())
    first = flow.run(store=store, n=2, context={"today": "2020-01-01"})
    assert first.result[flow.total].result == 2
    calls.clear()
    assert flow.run(store=store, resume=True).result[flow.total].result == 2
    assert calls == []
    assert flow.run(store=store, resume=True, n=4).result[flow.total].result == 12
    assert calls == ["numbers", "double 2", "double 3", "total"]


@pytest.mark.parametrize("given", [False, True])
def test_a_default_that_is_another_one_now_is_said(store, caplog, given):
    """The resumed run goes on with the old one, and says so, unless the parameter was given then."""

    def made(default):
        with Flow("defaults") as flow:
            flow.task = task(lambda n: n).copy(name="same")(Parameter("n", default=default))
        return flow

    made(1).run(store=store, **({"n": 5} if given else {}))
    flow = made(2)
    state = flow.run(store=store, resume=True)
    assert state.result[flow.task].result == (5 if given else 1)
    said = (
        "Parameter 'n' is 1, its default in run" in caplog.text
        and "default is 2 now" in caplog.text
    )
    assert said is not given


def test_a_run_is_named_to_go_on_with(store):
    """By its name, or an end of it that no other has."""
    flow = _flow(Noted(), Noted())
    flow.run(store=store, n=2)
    (record,) = (store / "runs").iterdir()
    flow.run(store=store, n=5)
    state = flow.run(store=store, resume=record.stem)
    assert state.result[flow.total].result == 2
    assert flow.run(store=store, resume=record.stem[-8:]).result[flow.total].result == 2
    with pytest.raises(RecordError, match=r"'nonsense'.* none of that name"):
        flow.run(store=store, resume="nonsense")
    with pytest.raises(RecordError, match="no run of flow 'sums'"):
        flow.run(store=store / "other", resume=True)
    with pytest.raises(TypeError, match="resume"):
        flow.run(store=store, resume=5)
    with pytest.raises(ValueError, match="resume must not be empty"):
        flow.run(store=store, resume="")
    with pytest.raises(ValueError, match="resume must not be empty"):
        kept_of(store, "")


def _run(tmp_path, source, *args):
    (tmp_path / "script.py").write_text(textwrap.dedent(source))
    done = subprocess.run(
        [sys.executable, "script.py", *args],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


CACHED = """
    import helpers
    from prefect import Flow, task

    LIMIT = 2

    @task(cache=True)
    def first():
        print("first")
        return helpers.one(LIMIT)

    @task(cache=True)
    def second(x):
        print("second")
        return x + 1

    @task
    def third(x):
        print("third")
        return x

    with Flow("f") as flow:
        end = third(second(first()))
    print(flow.run().result[end].result)
"""
HELPERS = "def one(limit):\n    return limit * 10\n\ndef other():\n    return 1\n"


def test_a_cached_result_is_taken_by_a_later_process_until_what_made_it_changes(tmp_path):
    """A helper, a constant and the task itself count; comments, other helpers and equal values do not."""
    (tmp_path / "helpers.py").write_text(HELPERS)
    assert _run(tmp_path, CACHED) == ["first", "second", "third", "21"]
    assert _run(tmp_path, CACHED) == ["third", "21"]
    assert _run(tmp_path, "\n    # a comment\n" + CACHED) == ["third", "21"]
    (tmp_path / "helpers.py").write_text(HELPERS.replace("return 1\n", "return 7\n"))
    assert _run(tmp_path, CACHED) == ["third", "21"]
    (tmp_path / "helpers.py").write_text(HELPERS.replace("* 10", "* 100"))
    assert _run(tmp_path, CACHED) == ["first", "second", "third", "201"]
    (tmp_path / "helpers.py").write_text(HELPERS)
    assert _run(tmp_path, CACHED) == ["third", "21"]
    assert _run(tmp_path, CACHED.replace("LIMIT = 2", "LIMIT = 3")) == [
        "first",
        "second",
        "third",
        "31",
    ]
    (tmp_path / "helpers.py").write_text(HELPERS.replace("limit * 10", "10 * limit"))
    assert _run(tmp_path, CACHED) == ["first", "third", "21"]  # it came to the same


def test_a_cached_result_is_taken_for_as_long_as_is_said():
    """`cache_for` has the longest time; after that it is made anew."""
    calls = Noted()

    def run(limit):
        @task(cache_for=limit)
        def made():
            calls.append(1)
            return 1

        with Flow("f") as flow:
            made()
        flow.run()

    run(timedelta(hours=1))
    run(timedelta(hours=1))
    assert len(calls) == 1
    run(timedelta(microseconds=1))
    assert len(calls) == 2


def test_a_key_of_ones_own_decides_alone():
    """`cache_key` stands for inputs and code."""
    calls = Noted()

    @task(cache_key=lambda x, y: f"{x}")
    def add(x, y):
        calls.append(y)
        return y

    def run(x, y):
        with Flow("f") as flow:
            added = add(x, y)
        return flow.run().result[added].result

    assert [run(1, 2), run(1, 3), run(2, 3)] == [2, 2, 3]
    assert calls == [2, 3]


def test_the_day_counts_where_a_task_looks_at_it():
    """What a task reads of the context is an input."""

    @task(cache=True)
    def day():
        return context.today

    @task(cache=True)
    def none():
        return "none"

    def run(today):
        with Flow("f") as flow:
            both = [day(), none()]
        state = flow.run(context={"today": today})
        return [(state.result[each].is_cached(), state.result[each].result) for each in both]

    run("2020-01-01")
    assert run("2020-01-02") == [(False, "2020-01-02"), (True, "none")]
    assert run("2020-01-01") == [(True, "2020-01-01"), (True, "none")]


def test_the_day_counts_in_a_packaged_flow_as_in_its_file(store, tmp_path, monkeypatch):
    """A result of yesterday is not taken today, and what ran packaged is gone on with from the file."""

    @task(cache=True)
    def day():
        return context.today

    with Flow("f") as flow:
        day()
    monkeypatch.setenv("PREFECT_ENCRYPTION_KEY", EncryptionKey.generate().encode())
    packaged = Flow.load(flow.save(tmp_path / "f.flow"))

    def run(flow, today):
        (state,) = flow.run(store=store, context={"today": today}).result.values()
        return state.is_cached(), state.result

    assert run(packaged, "2020-01-01") == (False, "2020-01-01")
    assert run(packaged, "2020-01-02") == (False, "2020-01-02")
    assert run(flow, "2020-01-02") == (True, "2020-01-02")


def test_what_cannot_or_must_not_rest_is_made_again(store, monkeypatch, capsys):
    """A resource, a secret and what has no pickle are never stored; what is made of them is."""
    monkeypatch.setenv("TOKEN_OF_TEST", "value-of-the-token-42")
    calls, fails = Noted(), Noted([1])

    @resource_manager
    class Connection:
        def setup(self):
            calls.append("setup")
            return open("/dev/null")  # noqa: PTH123

        def cleanup(self, resource):
            resource.close()

    @task
    def read(connection, token):
        calls.append("read")
        return (connection.closed, token[:5])

    @task
    def odd():
        calls.append("odd")
        return (each for each in ())

    @task
    def last(x):
        if fails:
            raise ValueError("not yet")
        return x

    @task
    def address(token):
        return f"https://{token}@example.org"

    with Flow("f") as flow:
        token = EnvVarSecret("TOKEN_OF_TEST")
        address(token)
        with Connection() as connection:
            end = last(read(connection, token))
        odd()
    assert flow.run(store=store).is_failed()
    assert calls.count("read") == 1
    fails.clear()
    state = flow.run(store=store, resume=True)
    assert state.result[end].result == (False, "value")
    assert calls.count("setup") == 2
    assert calls.count("read") == 1
    assert not any(
        b"value-of-the-token" in path.read_bytes() for path in store.rglob("*") if path.is_file()
    )


@pytest.mark.parametrize("executor", ["local", "threads:2", "processes:2"])
def test_what_a_secret_task_comes_to_rests_nowhere_wherever_it_runs(store, executor, monkeypatch):
    """The process that runs the flow masks what others tell of it, and keeps no result that holds it."""
    monkeypatch.setenv("TOKEN_OF_TEST", "value-of-the-variable")

    class OfVault(SecretBase):  # a kind of the user's own
        def run(self):
            return "value-of-the-vault"

    @task
    def fail(token):
        raise ValueError(f"no entry with {token}")

    @task
    def address(token):
        return f"https://{token}@example.org"

    with Flow("f") as flow:
        for secret in (EnvVarSecret("TOKEN_OF_TEST"), OfVault()):
            fail(secret)
            for _ in range(3):  # in some other process, too
                address(secret)
    assert flow.run(store=store, executor=executor).is_failed()
    kept = b"".join(path.read_bytes() for path in store.rglob("*") if path.is_file())
    assert kept.count(b'"message":"ValueError: no entry with ***"') == 2
    assert b"value-of-the-" not in kept


def test_what_is_made_of_a_secret_is_one(store, monkeypatch):
    """A secret of several parts, such as JSON, is masked part by part: nobody writes it out as a whole."""
    monkeypatch.setenv("TOKEN_OF_TEST", '{"user": ["value-of-user"], "word": "value-of-word"}')

    @task
    def fail(login):
        raise ValueError(f"no entry for {login['user'][0]} with {login['word']}")

    with Flow("f") as flow:
        fail(EnvVarSecret("TOKEN_OF_TEST", cast=json.loads))
    assert flow.run(store=store).is_failed()
    kept = b"".join(path.read_bytes() for path in store.rglob("*") if path.is_file())
    assert b"ValueError: no entry for *** with ***" in kept
    assert b"value-of-" not in kept


def test_skipped_tasks_are_not_stored(store):
    """A skip is a decision of this run."""
    calls = Noted()

    @task
    def skips():
        calls.append(1)
        raise SKIP("not today")

    with Flow("f") as flow:
        made = skips()
    flow.run(store=store)
    assert flow.run(store=store, resume=True).result[made].is_skipped()
    assert len(calls) == 2


def test_a_parameter_that_was_not_recorded_as_it_was_is_to_be_given_again(store):
    """A value without a JSON form cannot be taken from a record."""

    @task
    def same(x):
        return str(type(x))

    with Flow("f") as flow:
        same(Parameter("x"))
    flow.run(store=store, x=object)
    with pytest.raises(ParameterError, match=r"Parameter 'x' of run .* give it again"):
        flow.run(store=store, resume=True)


def test_nothing_is_written_unless_it_is_asked_for(tmp_path):
    """A run without a store and without cached tasks leaves nothing."""
    _flow(Noted(), Noted()).run()
    assert not (tmp_path / "data").exists()


def test_the_record_tells_what_happened(store):
    """A line for each state, with what it was made of, and for what tasks log; the last is the flow's."""
    flow = _flow(Noted(), Noted([1]))
    flow.run(store=store)
    (path,) = (store / "runs").iterdir()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0]["event"] == "run"
    assert lines[0]["parameters"] == {"n": 3}
    assert lines[0]["flow"] == flow.serialize()
    states = [(x["task"], x.get("map_index"), x["state"]) for x in lines if x["event"] == "task"]
    assert ("double-1", 2, "Failed") in states
    assert ("double-1", None, "Mapped") in states
    failed = next(x for x in lines if x.get("state") == "Failed")
    assert "not this one" in failed["traceback"]
    assert lines[-1]["event"] == "flow"
    assert lines[-1]["state"] == "Failed"


@task
def size(table):
    return len(table)


def test_a_stored_result_that_was_released_is_read_when_somebody_asks_for_it(store):
    """Of a task, of a child, of a list of children, and pickled, anywhere; once it is gone, or another, that is said."""

    @task
    def table(x):
        return bytes([x]) * 100_000

    with Flow("f") as flow:
        made, each = table(7), table.map([1, 2])
        size(made)
        size.map(each)
        size(each)
    for resume in (None, True):
        result = flow.run(store=store, resume=resume).result
        assert isinstance(result[made].held, Released)
        for state in (result[made], pickle.loads(pickle.dumps(result[made]))):
            assert state.result == bytes([7]) * 100_000
        assert isinstance(result[made].held, Released)  # it takes no memory
        assert [one[:1] for one in result[each].result] == [b"\x01", b"\x02"]
        assert result[each].map_states[1].result[:1] == b"\x02"
    read = (
        "import pickle, sys; print(len(pickle.load(sys.stdin.buffer).result))"  # in another process
    )
    done = subprocess.run(
        [sys.executable, "-c", read], input=pickle.dumps(result[made]), capture_output=True, check=True
    )  # fmt: skip
    assert int(done.stdout) == 100_000
    open_store(store).put(result[made].context["stored"]["key"], "other", {})
    with pytest.raises(ResultUnavailableError, match=r"was released.*another result has taken its"):
        result[made].result  # noqa: B018
    shutil.rmtree(store / "values")
    with pytest.raises(ResultUnavailableError, match=r"was released.*It was stored, but.* gone"):
        result[each].map_states[0].result  # noqa: B018


@pytest.mark.parametrize("raised", [False, True])
def test_the_record_of_a_run_that_an_error_ends_says_how_it_ended(store, monkeypatch, raised):
    """A store that fails in the midst of it, and a failure that is to be raised."""
    fails = Noted()
    find = Store.find

    def failing(self, key, **more):
        if fails:
            raise StoreError("The store is away")
        return find(self, key, **more)

    monkeypatch.setattr(Store, "find", failing)

    @task
    def first():
        fails.append(1)
        if raised:
            raise LookupError("not there")
        return 1

    with Flow("f") as flow:
        task(lambda x: x, cache=True)(first())
    with pytest.raises(LookupError if raised else StoreError):
        flow.run(store=store, context={"raise_on_exception": raised})
    (record,) = (store / "runs").iterdir()
    run = read_record(record)
    assert run.state == "Failed"
    assert run.ended is not None
    assert run.message.startswith("The run was ended by an error: ")
    assert run.message.endswith("not there" if raised else "The store is away")


def test_a_released_result_that_was_not_stored_says_what_to_do(store):
    """As in a run without a store."""
    with Flow("f") as flow:
        made = task(lambda: bytes(100_000), checkpoint=False)()
        size(made)
    with pytest.raises(ResultUnavailableError, match=r'was released.*results="all"'):
        flow.run(store=store).result[made].result  # noqa: B018


def test_a_kept_run_has_the_context_of_the_block_around_it(store):
    """As any run has; what it is given itself comes first, and who goes on with it has it as well."""

    @task
    def seen():
        return context.today, context.region

    with Flow("f") as flow:
        made = seen()

    def run(**options):
        return flow.run(store=store, **options).result[made].result

    with context(today="2020-01-01", region="north"):
        assert run() == ("2020-01-01", "north")
        assert run(context={"region": "south"}) == ("2020-01-01", "south")
    assert run(resume=True) == ("2020-01-01", "south")


def test_a_resumed_run_has_the_context_that_was_given(store):
    """What a task reads of it is the same, and so its result is."""

    @task
    def region():
        return context.region

    with Flow("f") as flow:
        made = region()
    flow.run(store=store, context={"region": "north"})
    state = flow.run(store=store, resume=True)
    assert (state.result[made].is_cached(), state.result[made].result) == (True, "north")
    other = flow.run(store=store, resume=True, context={"region": "south"})
    assert other.result[made].result == "south"


def test_a_record_that_was_cut_off_before_it_began_hinders_nothing(store):
    """The run before it is the last one."""
    flow = _flow(Noted(), Noted())
    flow.run(store=store)
    (store / "runs" / "99991231-000000.000-sums-00000000.jsonl").write_text("")
    assert flow.run(store=store, resume=True).result[flow.total].is_cached()
    assert find_run(open_store(store), "last") != "99991231-000000.000-sums-00000000"


def test_what_another_flow_left_is_not_gone_on_with(store):
    """The run that is named is of the same flow; a parameter that is no more is not looked for."""
    _flow(Noted(), Noted()).run(store=store)
    (run,) = (path.stem for path in (store / "runs").iterdir())

    @task
    def one(m):
        return m

    with Flow("other") as other:
        one(Parameter("m", default=1))
    with pytest.raises(RecordError, match="is of flow 'sums', and not of 'other'"):
        other.run(store=store, resume=run)
    with Flow("sums") as renamed:
        one(Parameter("m", default=1))
    assert renamed.run(store=store, resume=run).is_successful()


def test_a_run_that_was_refused_leaves_no_record(store):
    """An unknown parameter is none of a run."""
    with pytest.raises(ParameterError):
        _flow(Noted(), Noted()).run(store=store, nonsense=1)
    assert list((store / "runs").iterdir()) == []


ELSEWHERE = """
    import os, sys
    import numpy as np
    from prefect import Flow, task
    from prefect.secrets.masking import masked

    @task
    def make(n):
        return np.full(n, 2.0)

    @task
    def tell(x):
        return os.environ["TOKEN_OF_TEST"]

    @task
    def total(xs, said):
        if "fail" in sys.argv:
            raise ValueError("not yet")
        return float(sum(x.sum() for x in xs))

    with Flow("f") as flow:
        end = total(make.map([10_000, 20_000]), tell(1))

    if __name__ == "__main__":
        with masked([os.environ["TOKEN_OF_TEST"]]):
            state = flow.run(store="store", resume="resume" in sys.argv, executor=sys.argv[1])
        print(sum(each.is_cached() for task in state.result.values() for each in getattr(task, "map_states", [task])))
        print(state.is_successful() and state.result[end].result)
"""


@pytest.mark.parametrize("executor", ["local", "threads:2", "processes:2", "dask"])
def test_results_are_stored_where_tasks_run(tmp_path, monkeypatch, executor):
    """On every executor; a large one stays there, and what holds a secret does not rest."""
    monkeypatch.setenv("TOKEN_OF_TEST", "canary-of-the-token-42")
    assert _run(tmp_path, ELSEWHERE, executor, "fail") == ["0", "False"]
    assert _run(tmp_path, ELSEWHERE, executor, "resume") == ["2", "60000.0"]
    assert _run(tmp_path, ELSEWHERE, "local", "resume") == ["3", "60000.0"]
    files = [path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert not any(b"canary-of-the-token" in data for data in files)
    assert sum(len(data) > 50_000 for data in files) == 2


def test_warnings_are_shown_while_a_run_is_kept(tmp_path):
    """As without a store, where nobody has set up logging: a record that takes them does not hide them."""
    source = """
        import logging, threading
        from prefect import Flow, task

        @task
        def lock():
            logging.getLogger("prefect").warning("of a task")
            return threading.Lock()

        with Flow("f") as flow:
            lock()
        flow.run(store="store")
    """
    (tmp_path / "script.py").write_text(textwrap.dedent(source))
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines()[0] == "of a task"
    assert "The result of task 'lock' is not stored" in done.stderr


@pytest.mark.parametrize("executor", ["local", "processes:2"])
@pytest.mark.parametrize("as_classic", [False, True])
def test_a_task_has_a_store_of_its_own(store, tmp_path, executor, as_classic):
    """Its results lie there, and are taken from there; those of other tasks lie in the run's."""
    own = tmp_path / "own"

    @task(result=LocalResult(dir=str(own)) if as_classic else own)
    def made():
        return "x" * 100_000

    @task
    def length(text):
        return len(text)

    with Flow("f") as flow:
        end = length(made())
    assert flow.run(store=store, executor=executor).result[end].result == 100_000
    assert len(packed(own)) == len(packed(store)) == 1
    state = flow.run(store=store, resume=True, executor=executor, results="all")
    assert all(each.is_cached() for each in state.result.values())
    assert [state.result[each].result for each in flow.sorted_tasks()] == ["x" * 100_000, 100_000]


@pytest.mark.parametrize("executor", ["local", "processes:2"])
@pytest.mark.parametrize("as_classic", [False, True])
def test_a_flow_has_a_store_for_tasks_that_have_none(store, tmp_path, executor, as_classic):
    """Their results lie there, and are taken from there; the run's store has the record."""
    own, of_flow = tmp_path / "own", tmp_path / "flow"

    @task(result=own)
    def made():
        return "x" * 100_000

    @task
    def length(text):
        return len(text)

    with Flow("f", result=LocalResult(dir=str(of_flow)) if as_classic else of_flow) as flow:
        end = length(made())
    assert flow.run(store=store, executor=executor).result[end].result == 100_000
    assert (len(packed(own)), len(packed(of_flow))) == (1, 1)
    assert not (store / "packs").exists()
    state = flow.run(store=store, resume=True, executor=executor)
    assert all(each.is_cached() for each in state.result.values())


def test_a_flow_whose_store_is_of_no_use_in_a_run_says_so(tmp_path, caplog):
    """Once, and not where all tasks are cached: their results lie there."""

    @task
    def made(x):
        return x

    @task(cache=True)
    def cached():
        return 1

    with Flow("f", result=str(tmp_path / "flow")) as flow:
        value = cached()
    flow.run()
    assert len(packed(tmp_path / "flow")) == 1
    assert caplog.messages == []
    with flow:
        made.map([value, value])
    flow.run()
    (warned,) = [each for each in caplog.messages if "result=" in each]
    assert "Flow 'f'" in warned


def test_a_task_whose_store_is_of_no_use_in_a_run_says_so(tmp_path, caplog):
    """A run without a store keeps no result but of cached tasks: nothing is ignored in silence."""

    @task(result=str(tmp_path / "own"))
    def made():
        return 1

    @task(result=str(tmp_path / "cached"), cache=True)
    def cached():
        return 1

    with Flow("f") as flow:
        made()
        cached()
    flow.run()
    (warned,) = [each for each in caplog.messages if "result=" in each]
    assert "Task 'made'" in warned
    assert "nothing is stored there: run the flow with a store" in warned
    assert not (tmp_path / "own").exists()
    assert len(packed(tmp_path / "cached")) == 1


MEANWHILE = """
import os, subprocess, sys
import prefect.store.packs
from prefect import Flow, task

prefect.store.packs._SOON = float("inf")  # however fast this machine is

@task
def first():
    return 1

@task
def second(x):
    return x + int(os.environ["MORE"])

with Flow("f") as flow:
    end = second(first())
if __name__ == "__main__":
    flow.run(store="store")
    flow.run(store="store", resume=True)  # looks for what others have stored
    program = "from meanwhile import flow; flow.run(store='store', resume=True)"
    subprocess.run([sys.executable, "-c", program], env=os.environ | {"MORE": "1"}, check=True)
    print(flow.run(store="store", resume=True).result[end])
"""


def test_a_run_takes_what_another_process_has_just_stored(tmp_path):
    """However soon it follows: what succeeded there is not run again."""
    (tmp_path / "meanwhile.py").write_text(MEANWHILE)
    done = subprocess.run(
        [sys.executable, "meanwhile.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "Cached" in done.stdout, done.stderr


def test_a_record_that_is_refused_in_the_midst_of_a_run_costs_the_run_nothing(
    tmp_path, monkeypatch, caplog
):
    """Of a server that takes a file only so often, for example: results are stored and found, and the end is told."""
    store = open_store(f"memory://busy-{tmp_path.name}/runs")
    refused = threading.Event()
    system = pytest.importorskip("fsspec.implementations.memory").MemoryFileSystem
    write = system.pipe_file

    def busy(self, path, value, **more):
        if threading.current_thread().name == "prefect-record-copy":
            refused.set()
            raise OSError(errno.EBUSY, "Slow down")
        write(self, path, value, **more)

    monkeypatch.setattr(system, "pipe_file", busy)

    @task
    def first():
        assert refused.wait(60)
        time.sleep(0.1)  # until that is known to whoever is to know it
        return 1

    with Flow("f") as flow:
        task(lambda x: x + 1, cache=True)(first())
    assert flow.run(store=store.where).is_successful()
    assert "is not stored" not in caplog.text
    assert "ends too early" not in caplog.text


def test_a_refusal_is_told_also_if_its_record_cannot_be_removed(monkeypatch, tmp_path):
    """From a server that fails just then: the record that has not begun stays there."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    store = open_store(f"memory://refused-{tmp_path.name}/runs")

    def down(path):
        raise StoreError("It does not answer")

    monkeypatch.setattr(store.files, "remove", down)
    with pytest.raises(ParameterError, match="needs a value"):
        Flow("f", tasks=[Parameter("p")]).run(store=store.where)


def test_no_digest_of_secrets_is_recorded(tmp_path):
    """A short secret could be guessed from it; why says that it may have changed where nothing else has."""

    @task
    def reads():
        return len(context.get("secrets", {}))

    with Flow("test") as flow:
        reads()
    flow.run(store=tmp_path, context={"secrets": {"PIN": "1234"}})
    (record,) = (tmp_path / "runs").iterdir()
    code = [json.loads(line) for line in record.read_text().splitlines()]
    (read,) = [event["reads"] for event in code if event["event"] == "code"]
    assert read == {"secrets": ["", ""]}
