"""What a store tells of secrets that tasks are given: nothing from which a short one could be guessed."""

import json

import pytest
from notes import Noted
from packs import packed

from prefect import Flow, Secret, context, task
from prefect.secrets import masking
from prefect.store.store import open_store
from prefect.tasks.secrets import EnvVarSecret, PrefectSecret, SecretBase
from prefect.triggers import all_finished


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@task(cache=True)
def balance(pin):
    return "balance"


@task(cache=True, cache_key=lambda pin: f"of {pin}")
def by_key_of_ones_own(pin):
    return "balance"


@task
def reads_pin():
    return Secret("PIN").value


@task
def reads_pins():
    return [Secret("PIN").value, "0000"]


@task(checkpoint=False)
def must_not_rest():
    return {"pins": (Secret("PIN").value, "0000")}


@task
def login(pin):
    return {"user": "me", "pins": {pin, "other"}}


@task
def as_number(pin):
    return [int(pin)]


@task
def fails(pin):
    raise ValueError(f"not {pin}")


@task(cache=True, trigger=all_finished)
def after(failed):
    return "after"


@task(cache=True)
def reads_context():
    return len(context.bank["pin"]) + len(context.secrets)


def _of_constants(pin):
    within = f"https://bank/?pin={pin}"

    @task(cache=True)
    def of_global():
        return len(within)

    balance(pin)
    balance({"pin": pin, "more": [within]})
    balance((pin, {1}))
    balance.map([pin, "0000"])
    by_key_of_ones_own(pin)
    of_global()
    reads_context()


def _of_tasks(_):
    balance(reads_pin())
    balance(login(reads_pin()))
    balance(login(PrefectSecret("PIN")))
    balance.map(reads_pins())
    balance.map(must_not_rest()["pins"])
    balance(EnvVarSecret("PIN"))
    balance(as_number(reads_pin()))
    by_key_of_ones_own(reads_pins())  # a list: the text of a set has the order of its hashes
    after(fails(reads_pin()))


def _left(where, pin, make, executor, monkeypatch):
    """Return what lies in a store after a run with a secret, but for what differs in each run."""
    monkeypatch.setenv("PIN", pin)
    masking._active.clear()
    with Flow("bank") as flow:
        make(Secret("PIN").value)
    # A run's name is a part of keys.
    monkeypatch.setattr("prefect.keeping.run.new_run", lambda _: "20261130-101800.000-bank-0")
    given = {"bank": {"pin": pin}, "secrets": {"PIN": pin, "NUMBER": int(pin)}}
    flow.run(store=where, executor=executor, context=given)
    (record,) = (where / "runs").iterdir()
    text = record.read_text()
    assert pin not in text
    events = [json.loads(line) for line in text.splitlines()]
    told = [
        (event["task"], event.get("map_index"), event.get("inputs"), event.get("code"), event.get("reads"))
        for event in events
        # Of two tasks with one key, a process may have begun the second before the first was stored.
        if event["event"] == "code" or event.get("inputs")
    ]  # fmt: skip
    assert any(inputs for _, _, inputs, _, _ in told)
    results = packed(where)
    assert results
    assert not any(pin.encode() in data for _, _, _, data in results)
    # A worker that does not know the secret stores what holds it, until the process that does removes it.
    names = {name for _, _, name, _ in results if open_store(where).entry(name) is not None}
    return names, set(map(json.dumps, told))


@pytest.mark.parametrize("executor", [None, "processes:2"])
@pytest.mark.parametrize("make", [_of_constants, _of_tasks])
def test_a_store_is_the_same_whatever_the_value_of_a_secret_is(
    tmp_path, monkeypatch, make, executor
):
    """Neither keys nor what a record says of inputs, code and context depend on it: nobody can guess it from them."""
    # Of so many digits that no time and no digest has them by chance.
    first = _left(tmp_path / "first", "482173059164", make, executor, monkeypatch)
    assert _left(tmp_path / "second", "730591644821", make, executor, monkeypatch) == first


def test_a_secret_counts_by_its_name(tmp_path, monkeypatch):
    """Another value of the same one changes nothing; another one with the same value does, and so does what is beside it."""
    calls = Noted()

    @task(cache=True)
    def fetch(url):
        calls.append(1)

    def run(name, value, more=""):
        monkeypatch.setenv(name, value)
        masking._active.clear()
        with Flow("f") as flow:
            fetch(f"https://bank/?pin={Secret(name).value}{more}")
        assert flow.run(store=tmp_path).is_successful()
        return len(calls)

    assert run("PIN", "482173905") == 1
    assert run("PIN", "730516482") == 1
    assert run("OTHER_PIN", "730516482") == 2
    assert run("PIN", "730516482", "&all=1") == 3
    assert run("PIN", "482173905", "&all=1") == 3


@pytest.mark.parametrize("read", [lambda: Secret("PIN").value, lambda: Secret("PIN").find()])
def test_a_secret_that_is_read_in_a_task_is_not_stored(tmp_path, monkeypatch, caplog, read):
    """As one of a secret's task is not, and it is said; what is made of it is gone on with."""
    monkeypatch.setenv("PIN", "482173905")
    with Flow("f") as flow:
        end = balance(task(read, name="reads")())
    flow.run(store=tmp_path)
    assert "The result of task 'reads' is not stored" in caplog.text
    assert not any(
        b"482173905" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()
    )
    assert flow.run(store=tmp_path, resume=True).result[end].is_cached()


def test_a_secret_without_a_name_is_said_where_it_costs_something(tmp_path, caplog):
    """What is made of it is made again, and the log says what to do."""

    class OfVault(SecretBase):  # a kind of the user's own
        def run(self):
            return ["482173905", "730516482"]

    with Flow("f") as flow:
        end = balance.map(OfVault())
    flow.run(store=tmp_path)
    state = flow.run(store=tmp_path, resume=True)
    assert not any(each.is_cached() for each in state.result[end].map_states)
    assert caplog.text.count("holds a secret without a name") == 2
