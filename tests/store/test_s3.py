"""Stores in buckets, over S3's protocol."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap

import pytest
from s3_server import s3_server

from prefect.errors import StoreError
from prefect.store.store import open_store

FLOW = """
    import sys
    from prefect import Flow, task

    @task
    def numbers():
        return [1, 2, 3]

    @task
    def large(x):
        print("large", x, flush=True)
        if x == 2 and "fail" in sys.argv:
            raise ValueError("not now")
        return str(x) * 100_000

    @task
    def total(texts):
        return sum(map(len, texts))

    with Flow("sizes") as flow:
        end = total(large.map(numbers()))

    if __name__ == "__main__":
        state = flow.run(
            store=sys.argv[1], resume="resume" in sys.argv,
            executor="processes:2" if "processes" in sys.argv else None,
        )
        print(type(state).__name__, state.result[end].result if state.is_successful() else "")
"""


@pytest.fixture(scope="module")
def served():
    with s3_server("bucket-one") as (_, variables):
        yield variables


@pytest.fixture
def program(tmp_path):
    """Run Python with the variables of a server, and return what it did."""

    def run(source, *arguments, variables, stdin=None):
        (tmp_path / "flow.py").write_text(textwrap.dedent(source))
        return subprocess.run(
            [sys.executable, "flow.py", *arguments], cwd=tmp_path, text=True, timeout=120,
            capture_output=True, input=stdin, check=False,
            env={**os.environ, **variables, "XDG_DATA_HOME": str(tmp_path / "data")},
        )  # fmt: skip

    return run


@pytest.mark.parametrize("executor", ["local", "processes"])
def test_a_run_in_a_bucket_is_gone_on_with(served, program, executor):
    """What succeeded is read from the bucket, by whichever process needs it; runs are listed from there."""
    url = f"s3://bucket-one/{executor}/runs"
    done = program(FLOW, url, "fail", executor, variables=served)
    assert done.stdout.split("\n")[-2].strip() == "Failed", done.stderr
    done = program(FLOW, url, "resume", executor, variables=served)
    assert done.stdout.splitlines() == ["large 2", "Success 300000"], done.stderr
    listed = subprocess.run(
        [sys.executable, "-m", "prefect", "runs", "--store", url, "--json"],
        env={**os.environ, **served}, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    runs = [json.loads(line) for line in listed.stdout.splitlines()]
    assert [run["state"] for run in runs] == ["Failed", "Success"]


WRITERS = """
    import sys, threading
    from prefect.store.pruning import prune
    from prefect.store.store import open_store

    store = open_store(sys.argv[1])
    def write():
        for number in range(6):
            store.put(f"{number % 3:064x}", str(number % 3) * 9000, {})
            assert store.value(f"{number % 3:064x}") in (None, (str(number % 3) * 9000,))
    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    print([store.value(f"{n:064x}") == (str(n) * 9000,) for n in range(3)])
    print(sorted({path.partition("/")[0] for path, _, _ in store.files.listed("")}))
"""


def test_many_writers_leave_whole_objects(served, program):
    """Threads that write the same keys at once do not meet, and leave nothing else behind."""
    done = program(WRITERS, "s3://bucket-one/writers", variables=served)
    assert done.stdout.splitlines() == ["[True, True, True]", "['results', 'values']"], done.stderr


DAMAGED = """
    import sys
    from prefect.store.store import open_store

    store = open_store(sys.argv[1])
    store.put("a" * 64, [1, 2, 3], {})
    store.put("b" * 64, "x" * 100_000, {})
    for path, size, _ in list(store.files.listed("")):
        whole = store.files.read(path)
        key = "a" * 64 if "/a" in path else "b" * 64
        for bad in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1]), b""):
            store.files.write(path, [bad])
            value = store.value(key)
            assert value is None or (bad and not path.startswith("values") and key[0] == "b"), path
        store.files.write(path, [whole])
    print(store.value("a" * 64), len(store.value("b" * 64)[0]))
"""


def test_what_is_damaged_in_a_bucket_is_as_if_it_had_never_been_stored(served, program):
    """Objects are compared with their digests when they are read."""
    done = program(DAMAGED, "s3://bucket-one/damaged", variables=served)
    assert done.stdout.split("\n")[0] == "([1, 2, 3],) 100000", done.stderr


PRUNED = """
    import sys
    from prefect.store.pruning import prune
    from prefect.store.store import open_store

    store = open_store(sys.argv[1])
    for number in range(3):
        store.put(f"{number:064x}", str(number) * 9000, {})
    print(prune(store, age=3600, most=None)[0])
    print(prune(store, age=None, most=20_000)[0] > 0)
    print(sum(size for _, size, _ in store.files.listed("")) <= 20_000)
    print(prune(store, age=None, most=0)[0] > 0, list(store.files.listed("")))
"""


def test_a_bucket_is_pruned_by_age_and_size(served, program):
    """As a directory is."""
    done = program(PRUNED, "s3://bucket-one/pruned", variables=served)
    assert done.stdout.splitlines() == ["0", "True", "True", "True []"], done.stderr


ERRORS = """
    import sys
    import flow_of
    from prefect.store import remote
    from prefect.errors import StoreError
    from prefect.records.finding import runs_in
    from prefect.store.store import open_store

    remote._WRITING = float(sys.argv[2])
    for attempt in (
        lambda: flow_of.flow.run(store=sys.argv[1]), lambda: runs_in(open_store(sys.argv[1]))
    ):
        try:
            print("no error", attempt())
        except StoreError as error:
            print(error)
"""


def _errors(program, tmp_path, url, variables, seconds=60):
    (tmp_path / "flow_of.py").write_text(textwrap.dedent(FLOW))
    done = program(ERRORS, url, str(seconds), variables=variables)
    assert done.returncode == 0, done.stderr
    assert "large" not in done.stdout  # no work was wasted
    assert not list((tmp_path / "data").rglob("*.jsonl"))
    return done.stdout.splitlines()


def test_a_bucket_that_is_not_there_is_said_before_anything_runs(served, program, tmp_path):
    """The error names the bucket; nothing is left behind."""
    run, listed = _errors(program, tmp_path, "s3://bucket-two/x", served)
    assert re.fullmatch(r"The store s3://bucket-two/x cannot be written: .*Make the bucket bucket-two first", run)  # fmt: skip
    assert "cannot be read: There is no bucket bucket-two" in listed


def test_wrong_credentials_are_said_before_anything_runs(program, tmp_path):
    """The error says that it is the credentials."""
    with s3_server(checks=True) as (_, variables):
        run, listed = _errors(program, tmp_path, "s3://bucket-one/x", variables)
    assert "cannot be written: its credentials are wrong, or do not allow that: The AWS Access Key" in run  # fmt: skip
    assert "cannot be read: its credentials are wrong" in listed


def test_no_server_is_said_before_anything_runs(program, tmp_path):
    """The error names the address that does not answer."""
    with s3_server() as (_, variables):
        pass
    run, listed = _errors(program, tmp_path, "s3://bucket-one/x", variables)
    assert f'Could not connect to the endpoint URL: "{variables["AWS_ENDPOINT_URL"]}' in run
    assert "it failed a moment ago, and is not asked yet" in listed


def test_a_server_that_never_answers_is_an_error_before_long(program, tmp_path):
    """The client's waiting and trying again are bounded; what is set in fsspec's configuration counts."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with s3_server() as (_, variables):
            variables |= {
                "AWS_ENDPOINT_URL": where,
                "FSSPEC_S3": json.dumps({"config_kwargs": {"read_timeout": 0.1}}),
            }
        run, listed = _errors(program, tmp_path, "s3://bucket-one/x", variables, seconds=1)
    assert "cannot be written: TimeoutError: it did not answer in time" in run
    assert "it failed a moment ago, and is not asked yet" in listed


GONE = """
    import sys, time
    from prefect import Flow, task

    @task
    def made(x):
        print("made", x, flush=True)
        sys.stdin.readline() if x == 2 else None
        return [x] * 3

    @task
    def total(xs):
        return sum(map(sum, xs))

    with Flow("gone") as flow:
        end = total(made.map([0, 1, 2, 3, 4]))
    state = flow.run(store="s3://bucket-one/gone", resume="resume" in sys.argv)
    print(type(state).__name__, state.result[end].result)
"""


def test_a_run_whose_server_goes_away_comes_to_its_end_and_says_what_is_not_stored(tmp_path):
    """Its work is not lost; the whole record stays here, and each task does not wait for the server again."""
    (tmp_path / "flow.py").write_text(textwrap.dedent(GONE))
    with (
        s3_server("bucket-one") as (server, variables),
        subprocess.Popen(
            [sys.executable, "flow.py"], cwd=tmp_path, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, **variables, "XDG_DATA_HOME": str(tmp_path / "data")},
        ) as process,
    ):  # fmt: skip
        while process.stdout.readline() != "made 2\n":
            pass
        server.kill()
        server.wait()
        out, err = process.communicate("\n", timeout=120)
    assert out.splitlines() == ["made 3", "made 4", "Success 30"]
    assert "The result of task 'made' is not stored" in err
    assert "The record of this run ends too early in the store, and is whole in" in err
    (record,) = (tmp_path / "data" / "prefect" / "runs").iterdir()
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert lines[-1]["state"] == "Success"
    told = [line["unstored"] for line in lines if "unstored" in line]
    assert len(told) == 4  # two of them: no more than one has waited
    assert sum("failed a moment ago" in each for each in told) == 3


KILLED = """
    import os, signal, sys, time
    from prefect import Flow, task
    from prefect.store.store import open_store

    URL = "s3://bucket-one/killed"

    def told():
        store = open_store(URL)
        return b"".join(bytes(store.files.read(path)) for path, _, _ in store.files.listed("runs"))

    @task
    def made(x):
        print("made", x, flush=True)
        while "kill" in sys.argv and x == 3:
            time.sleep(0.2)
            if told().count(b'"task":"made') >= 5:  # its code, the list, two children, this one
                os.kill(os.getpid(), signal.SIGKILL)
        return x

    @task
    def total(xs):
        return sum(xs)

    with Flow("killed") as flow:
        end = total(made.map([1, 2, 3, 4]))

    if __name__ == "__main__":
        state = flow.run(store=URL, resume="kill" not in sys.argv)
        print(type(state).__name__, state.result[end].result)
"""


def test_the_record_of_a_killed_run_is_in_the_bucket_as_far_as_it_went(served, program):
    """Listed, shown, reported and gone on with as one on a disk."""
    done = program(KILLED, "kill", variables=served)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout.splitlines() == ["made 1", "made 2", "made 3"]

    def command(*words):
        return subprocess.run(
            [sys.executable, "-m", "prefect", *words, "--store", "s3://bucket-one/killed"],
            env={**os.environ, **served}, capture_output=True, text=True, check=True, timeout=60,
        ).stdout  # fmt: skip

    shown = json.loads(command("runs", "show", "last", "--json"))
    assert shown["state"] is None
    children = shown["tasks"]["made-1"]["children"]
    states = {index: each["state"] for index, each in children.items()}
    assert states == {"0": "Success", "1": "Success", "2": "Running"}
    assert "not ended" in command("runs")
    assert "made" in command("report", "last", "--text")
    done = program(KILLED, variables=served)
    assert done.stdout.splitlines() == ["made 3", "made 4", "Success 10"], done.stderr


def test_a_package_that_is_missing_is_named(monkeypatch):
    """The error names the package, and no extra of a name that is another product's."""
    import fsspec.registry  # noqa: F401

    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.setattr(sys.modules["fsspec.registry"], "_registry", {})
    with pytest.raises(StoreError, match=r"Run pip install s3fs$"):
        open_store("s3://bucket-three/x")
