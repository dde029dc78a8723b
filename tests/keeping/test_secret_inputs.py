"""What a store tells of secrets that tasks are given: nothing from which a short one could be guessed."""

import json
import re

import pytest
from notes import Noted
from packs import packed

from prefect import Flow, Secret, context, task
from prefect.sealed.keys.encryption import EncryptionKey
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


def _left(home, pin, make, executor, monkeypatch):
    """Return what lies in a store after a run with a secret: keys of results, and digests of the record."""
    monkeypatch.setenv("XDG_DATA_HOME", str(home))
    monkeypatch.setenv("PIN", pin)
    masking._active.clear()
    masking._learned.clear()
    where = home / f"store-{pin}"
    with Flow("bank") as flow:
        make(Secret("PIN").value)
    # A run's name is a part of keys.
    monkeypatch.setattr("prefect.keeping.run.new_run", lambda _: "20261130-101800.000-bank-0")
    given = {"bank": {"pin": pin}, "secrets": {"PIN": pin, "NUMBER": int(pin)}}
    flow.run(store=where, executor=executor, context=given)
    (record,) = (where / "runs").iterdir()
    text = record.read_text()
    assert pin not in text
    results = packed(where)
    assert results
    assert not any(pin.encode() in data for _, _, _, data in results)
    # A worker that does not know the secret stores what holds it, until the process that does removes it.
    names = {name for _, _, name, _ in results if open_store(where).entry(name) is not None}
    return names | set(re.findall(r"[0-9a-f]{16,}", text))


@pytest.mark.parametrize("executor", [None, "processes:2"])
@pytest.mark.parametrize("make", [_of_constants, _of_tasks])
def test_nobody_can_guess_a_secret_from_what_a_store_tells(tmp_path, monkeypatch, make, executor):
    """Whatever depends on its value, of keys and of what a record says, depends on a key that is not there, too."""
    # Of so many digits that no time and no digest has them by chance.
    first = _left(tmp_path / "home", "482173059164", make, executor, monkeypatch)
    another_value = _left(tmp_path / "home", "730591644821", make, executor, monkeypatch)
    another_key = _left(tmp_path / "elsewhere", "482173059164", make, executor, monkeypatch)
    assert first - another_value
    assert not (first - another_value) & another_key
    assert (tmp_path / "home" / "prefect" / "digests.key").stat().st_mode & 0o777 == 0o600


def test_what_holds_a_secret_counts_by_its_value(tmp_path, monkeypatch):
    """The same is found again; another value is another input, and so is what is beside it."""
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
    assert run("PIN", "482173905") == 1
    assert run("PIN", "730516482") == 2
    assert run("PIN", "730516482", "&all=1") == 3
    assert run("PIN", "482173905") == 3


def test_parts_of_a_secret_are_told_apart(tmp_path, monkeypatch):
    """Those of a list and of a dict, texts that a key of one's own has beside one, and numbers that are one by chance."""
    monkeypatch.setenv("TOKENS", json.dumps(["token-eu", "token-us"]))
    monkeypatch.setenv("YEAR", "2026")

    @task(cache=True)
    def echo(value):
        return str(value)[::-1]

    @task(cache=True, cache_key=lambda url, token: f"{url} {token}")
    def get(url, token):
        return url

    with Flow("f") as flow:
        tokens = EnvVarSecret("TOKENS", cast=json.loads)
        year = EnvVarSecret("YEAR")
        mapped = echo.map(tokens)
        got = [get(url, tokens) for url in ("http://a", "http://b")]
        years = [echo(each, upstream_tasks=[year]) for each in (2026, 2027)]
    for _ in range(2):
        result = flow.run(store=tmp_path).result
        assert [each.result for each in result[mapped].map_states] == ["ue-nekot", "su-nekot"]
        assert [result[each].result for each in got] == ["http://a", "http://b"]
        assert [result[each].result for each in years] == ["6202", "7202"]
    assert all(result[each].is_cached() for each in (*got, *years))


def test_the_key_of_a_store_is_the_one_of_what_holds_a_secret(tmp_path, monkeypatch):
    """With `PREFECT_STORE_KEY` it is found again on other machines."""
    monkeypatch.setenv("PIN", "482173905")
    monkeypatch.setenv("PREFECT_STORE_KEY", EncryptionKey.generate().encode())
    with Flow("f") as flow:
        end = balance(f"of {Secret('PIN').value}")
    for home in ("home", "elsewhere"):
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / home))
        state = flow.run(store=tmp_path / "store")
    assert state.result[end].is_cached()


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


def test_what_is_made_of_a_secret_without_a_name_is_gone_on_with(tmp_path):
    """A kind of the user's own has none."""

    class OfVault(SecretBase):
        def run(self):
            return ["482173905", "730516482"]

    with Flow("f") as flow:
        end = balance.map(OfVault())
    flow.run(store=tmp_path)
    state = flow.run(store=tmp_path, resume=True)
    assert all(each.is_cached() for each in state.result[end].map_states)
