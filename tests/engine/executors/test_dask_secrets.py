"""Secrets on the workers of Dask clusters: real processes, real TLS."""

import json
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
from dask_cluster import Cluster, remembered_secrets
from observing import until, when_running, when_told
from real_registry import Authority

from prefect import Flow, Secret, task
from prefect.core.secret_values import RunSecrets
from prefect.engine.executors import DaskExecutor
from prefect.engine.executors.dask import secret_values
from prefect.engine.executors.dask.session import DaskSession
from prefect.engine.state import Failed
from prefect.environments import PickleEnvironment
from prefect.errors import ExecutorError

VALUE = "canary-token-7461"
BARE = "os.environ.pop('TOKEN')"  # this process has it during a run


@pytest.fixture
def cluster(tmp_path):
    """A scheduler that speaks TLS, without workers."""
    cluster = Cluster(tmp_path, Authority(tmp_path))
    yield cluster
    cluster.end()


@pytest.fixture
def plain(tmp_path):
    """A scheduler that speaks plain TCP, without workers."""
    cluster = Cluster(tmp_path)
    yield cluster
    cluster.end()


def executor_on(cluster, **settings):
    """Return an executor that connects to a cluster."""
    options = {} if cluster.security is None else {"security": cluster.security}
    return DaskExecutor(cluster.address, client_kwargs=options, **settings)


def run(flow, cluster, value=VALUE, on_state=None, **settings):
    """Run a flow, sealed, with a secret TOKEN of a value, on a cluster."""
    secret = Secret("TOKEN")
    secret.value = value
    environment = PickleEnvironment(secrets=[secret])
    environment.build(flow)
    return environment.run(executor=executor_on(cluster, **settings), on_state=on_state)


@task
def known():
    """What a task is given; and whether it is in the environment, which others share."""
    return Secret("TOKEN").find(), "TOKEN" in os.environ


@task
async def known_async():
    return Secret("TOKEN").find()


@task
def prints(known):
    token = Secret("TOKEN").value
    print("printed", token)
    print("told", token, file=sys.stderr)
    Path(f"{known}.begun").touch()
    until(Path(known).exists)


def test_they_come_over_tls_and_go_with_the_run(cluster):
    """Tasks find them, plain and async; they are in no environment, and no worker has them afterwards."""
    cluster.worker(name="one"), cluster.worker(name="two")
    cluster.wait_for_workers(2)
    with Flow("test") as flow:
        for _ in range(6):
            known()
            known_async()
    state = run(flow, cluster)
    assert state.is_successful(), state.message
    found = [each.result for each in state.result.values()]
    assert found.count((VALUE, False)) == 6
    assert found.count(VALUE) == 6
    with cluster.client() as client:
        assert list(client.run(remembered_secrets).values()) == [(0, [], None)] * 2


def test_they_are_asked_for_again(monkeypatch):
    """Where nothing has come: an answer may be lost, or its worker not be known yet."""
    monkeypatch.setattr(secret_values, "AGAIN", 0.01)
    handed, asked = (
        secret_values.Handed(RunSecrets({"TOKEN": VALUE}, list, lambda _: nullcontext())),
        [],
    )

    def ask():
        asked.append(1)
        if len(asked) == 3:
            secret_values.receive("run", handed)

    received = secret_values.wait("run", ask)
    assert received.values == {"TOKEN": VALUE}
    secret_values.forget("run")
    assert not received.values


def test_what_is_encrypted():
    """Connections over TLS, and over web sockets in TLS."""
    addresses = ["tls://a:1", "wss://a:1", "tcp://a:1", "ws://a:1", "inproc://a"]
    assert [secret_values.is_encrypted(each) for each in addresses] == [True] * 2 + [False] * 3


def test_the_scheduler_has_nothing_to_warn_of(cluster):
    """That somebody listens at its address is found out as TLS has it."""
    cluster.worker()
    cluster.wait_for_workers(1)
    before = cluster.output.read_text().count("handshake failed")  # as tests look, too
    with Flow("test") as flow:
        known()
    assert run(flow, cluster).is_successful()
    assert cluster.output.read_text().count("handshake failed") == before


def test_they_are_in_no_graph_and_masked_where_they_are_printed(cluster, tmp_path):
    """What the scheduler keeps of tasks does not have them, nor what workers write."""
    cluster.worker()
    cluster.wait_for_workers(1)
    with Flow("test") as flow:
        printed = prints(str(tmp_path / "known"))

    def graph(dask_scheduler):
        import pickle

        kept = [pickle.dumps(each.run_spec) for each in dask_scheduler.tasks.values()]
        plugins = pickle.dumps([*dask_scheduler.worker_plugins.values()])
        return len(kept), VALUE.encode() in b"".join([*kept, plugins])

    def look():
        assert until(Path(tmp_path / "known.begun").exists)
        with cluster.client() as client:
            found.append(client.run_on_scheduler(graph))
        Path(tmp_path / "known").touch()

    found = []
    assert run(flow, cluster, on_state=when_running(flow, printed, look)).is_successful()
    assert found[0][0] > 0
    assert not found[0][1]
    told = cluster.output.read_text()
    assert "printed ***" in told
    assert "told ***" in told
    assert VALUE not in told


def test_workers_that_come_later_have_them(cluster):
    """As on a cluster that scales from zero."""
    with Flow("test") as flow:
        known()
    with when_told("flow 'test' starts", lambda: cluster.worker(BARE)):
        state = run(flow, cluster)
    assert [each.result for each in state.result.values()] == [(VALUE, False)]


def test_workers_have_them_while_the_run_is_busy_here(cluster, tmp_path):
    """They are not waited for until a callback of the run, or whatever its thread does, has ended."""

    @task(resources={"one": 1})
    def first():
        assert until((tmp_path / "second").exists)

    @task(resources={"two": 1})
    def second():
        Secret("TOKEN").value  # noqa: B018
        (tmp_path / "second").touch()

    def look():
        two.send_signal(signal.SIGCONT)  # and asks for them only now
        seen.append(until((tmp_path / "second").exists))

    seen = []
    cluster.worker(name="one", resources={"one": 1})
    two = cluster.worker(name="two", resources={"two": 1})
    cluster.wait_for_workers(2)
    with Flow("test") as flow:
        begun = first()
        second()
    with when_told("flow 'test' starts", lambda: two.send_signal(signal.SIGSTOP)):
        state = run(flow, cluster, on_state=when_running(flow, begun, look))
    assert state.is_successful()
    assert seen == [True]


def test_without_tls_workers_need_their_own(plain):
    """They are asked before anything runs; who lacks one is named, with the fix."""
    with Flow("test") as flow:
        known()
    has = plain.worker(f"os.environ['TOKEN'] = {VALUE!r}")
    plain.wait_for_workers(1)
    state = run(flow, plain)
    assert [each.result for each in state.result.values()] == [(VALUE, True)]
    assert has.poll() is None
    plain.worker(name="two")
    plain.wait_for_workers(2)
    with pytest.raises(ExecutorError, match=r"worker tcp://.* lacks TOKEN\. .*tls://") as caught:
        run(flow, plain)
    assert VALUE not in str(caught.value)


def test_a_secret_that_a_worker_reads_goes_no_further_than_what_holds_it(
    plain, tmp_path, monkeypatch
):
    """Without TLS the scheduler is told of it where the value is small and goes there itself, and else not."""
    told = []
    hear = DaskSession._hear

    def note(session, event):
        told.append(repr(event))
        hear(session, event)

    monkeypatch.setattr(DaskSession, "_hear", note)
    plain.worker("os.environ['TOKEN'] = 's3cret-of-here'")
    plain.wait_for_workers(1)

    @task
    def reads():
        return [Secret("TOKEN").value, "x" * 5000]

    @task
    def length(values):
        return len(values)

    with Flow("test") as flow:
        counted = length(reads())
    state = flow.run(executor=executor_on(plain), store=tmp_path)
    assert state.result[counted].result == 2
    assert told
    assert "s3cret-of-here" not in "".join(told)


def test_a_worker_without_tls_that_comes_later_and_lacks_one(plain):
    """The run ends, and says so."""
    with Flow("test") as flow:
        prints(str(plain.directory / "known"))
    with when_told("flow 'test' starts", lambda: plain.worker(BARE)):
        state = run(flow, plain)
    assert [type(each) for each in state.result.values()] == [Failed]
    assert VALUE not in plain.output.read_text()


SCRIPT = """
import json, os, sys, time
from pathlib import Path
from distributed import Security
from prefect import Flow, Secret, task
from prefect.engine.executors import DaskExecutor
from prefect.engine.executors.dask.session import DaskSession
from prefect.environments import PickleEnvironment

address, files, own, other, directory = json.loads(sys.argv[1])

@task
def meets(own, other, directory):
    Path(directory, own).touch()
    until = time.monotonic() + 60
    while not Path(directory, other).exists() and time.monotonic() < until:
        time.sleep(0.01)
    found = {name: Secret(name).find() for name in ("ONE", "TWO")}
    return found, sorted({"ONE", "TWO"} & set(os.environ))

with Flow(own) as flow:
    meets(own, other, directory)
secret = Secret(own)
secret.value = "value-of-" + own
environment = PickleEnvironment(secrets=[secret])
environment.build(flow)
executor = DaskExecutor(address, client_kwargs={"security": Security(require_encryption=True, **files)})
state = environment.run(executor=executor)
print(json.dumps([each.result for each in state.result.values()]))
"""


def started(cluster, own, other, directory):
    """Run a flow with a secret in a process of its own."""
    names = ("tls_ca_file", "tls_client_cert", "tls_client_key")
    files = {name: getattr(cluster.security, name) for name in names}
    given = json.dumps([cluster.address, files, own, other, str(directory)])
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, given], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_runs_at_the_same_time_see_their_own_only(cluster, tmp_path):
    """Also in the same process of a worker, at the same moment."""
    cluster.worker(threads=2)
    cluster.wait_for_workers(1)
    runs = [started(cluster, *names, tmp_path) for names in (("ONE", "TWO"), ("TWO", "ONE"))]
    for each, (own, other) in zip(runs, (("ONE", "TWO"), ("TWO", "ONE")), strict=True):
        out, error = each.communicate(timeout=200)
        assert json.loads(out) == [[{own: f"value-of-{own}", other: None}, []]], error.decode()


def test_they_go_with_the_process_that_runs_the_flow(cluster, tmp_path):
    """Where it is killed, too: workers forget them when the scheduler misses it."""
    cluster.worker(threads=2)
    cluster.wait_for_workers(1)
    process = started(cluster, "ONE", "never", tmp_path)
    assert until((tmp_path / "ONE").exists)
    with cluster.client() as client:
        before = client.run(remembered_secrets).values()
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        assert [each[0] for each in before] == [1]
        assert until(lambda: list(client.run(remembered_secrets).values()) == [(0, [], None)])
