"""`prefect.environments.PickleEnvironment`."""

import json
import logging
import os
import pickle
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import cloudpickle
import pytest
from cryptography.fernet import Fernet

from prefect import Flow, Parameter, task
from prefect.engine.state import Running
from prefect.environments import PickleEnvironment, Secret
from prefect.errors import (
    ArtifactError,
    AuthenticationError,
    CompatibilityError,
    FlowError,
    FormatError,
    InvalidKeyError,
    NotAFlowError,
    ParameterError,
    PicklingError,
    SecretError,
)
from prefect.payload.manifest import Manifest
from prefect.payload.packing import pickle_flow
from prefect.sealed.keys.encryption import EncryptionKey
from prefect.sealed.writing import seal


def terminal_result(state):
    """Return the result of a flow's last task."""
    return list(state.result.values())[-1].result


def test_a_flow_is_built_described_and_run(flow):
    """What goes in comes out: the description equals the flow's, and the run succeeds."""
    environment = PickleEnvironment()
    sealed = environment.build(flow)
    assert isinstance(sealed, bytes)
    assert environment.info(sealed) == flow.serialize()
    state = environment.run(sealed, parameters={"n": 3})
    assert state.is_successful()
    assert terminal_result(state) == 6


def test_without_a_flow_there_is_nothing_to_build():
    """The flow that other environments can do without is asked for, by a TypeError of our own."""
    with pytest.raises(NotAFlowError, match=r"call build\(flow\)") as caught:
        PickleEnvironment().build()
    assert isinstance(caught.value, TypeError)


def test_without_bytes_the_last_build_runs(flow):
    """`run()` runs what this environment built last."""
    environment = PickleEnvironment()
    with pytest.raises(ArtifactError, match="build a flow first"):
        environment.run()
    environment.build(Flow("another"))
    environment.build(flow)
    assert terminal_result(environment.run()) == 12


def test_a_flow_builds_through_its_own_environment(flow):
    """`flow.environment.build(flow=flow)` works, and the environment travels without its key."""
    flow.environment = PickleEnvironment()
    sealed = flow.environment.build(flow=flow)
    info = flow.environment.info(sealed)
    assert info["environment"] == {"type": "PickleEnvironment", "secrets": []}
    assert flow.environment.run(sealed).is_successful()


def test_another_process_with_the_key_opens_it(flow, tmp_path, run_python):
    """The file and the key are all that the other side needs, the flow's module is not."""
    environment = PickleEnvironment()
    (tmp_path / "f.flow").write_bytes(environment.build(flow))
    code = (
        "from prefect.environments import PickleEnvironment; import os, pathlib;"
        "e = PickleEnvironment(os.environ['KEY']); b = pathlib.Path('f.flow').read_bytes();"
        "print(e.info(b)['name'], [s.result for s in e.run(b).result.values()][-1])"
    )
    done = run_python("-c", code, cwd=tmp_path, KEY=environment.encryption_key)
    assert "sums & products 12\n" in done.stdout, done.stderr


@pytest.mark.parametrize(
    "key", [Fernet.generate_key(), Fernet.generate_key().decode(), b"\x01" * 32], ids=type
)
def test_a_given_key_is_the_key(key, flow):
    """Bytes, text and raw keys work, and another environment with the key opens the file."""
    sealed = PickleEnvironment(encryption_key=key).build(flow)
    other = PickleEnvironment(key)
    assert other.info(sealed)["name"] == flow.name
    assert len(other.encryption_key) == 44


def test_without_a_key_a_new_one_is_made():
    """Each environment has a key of its own, from the start."""
    one, two = PickleEnvironment(), PickleEnvironment()
    assert one.encryption_key != two.encryption_key
    assert isinstance(one.encryption_key, str)


@pytest.mark.parametrize("key", [b"short", "not base64 at all", b"x" * 44])
def test_a_key_of_the_wrong_shape_is_refused(key):
    """The constructor says so, as a ValueError."""
    with pytest.raises(InvalidKeyError):
        PickleEnvironment(encryption_key=key)


def test_the_key_is_shown_nowhere(flow, caplog):
    """Not in repr, serialization, pickles, logs, nor in the traceback of a refusal."""
    environment = PickleEnvironment()
    key = environment.encryption_key
    raw = EncryptionKey(key).derive("x")  # the raw bytes are checked through the pickle below
    flow.environment = environment
    with caplog.at_level(logging.DEBUG):
        sealed = environment.build(flow)
        environment.run(sealed)
        try:
            PickleEnvironment().run(sealed)
        except AuthenticationError:
            shown = traceback.format_exc()
    shown += caplog.text + repr(environment) + json.dumps(flow.serialize()) + str(vars(environment))
    assert key not in shown
    for dump in (pickle.dumps, cloudpickle.dumps):
        data = dump(environment)
        assert key.encode() not in data
        assert raw not in data
        with pytest.raises(ArtifactError, match="has no key"):
            _ = pickle.loads(data).encryption_key


@pytest.mark.parametrize("bad", [None, 5, "flow", object(), {"name": "f"}, Flow])
def test_only_a_flow_can_be_built(bad):
    """Anything else is a TypeError that names its type."""
    with pytest.raises(NotAFlowError, match="Only a Flow") as caught:
        PickleEnvironment().build(bad)
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize("bad", ["text", 5, object()])
def test_only_bytes_can_be_opened(bad):
    """Anything else is a TypeError, for `info` and `run` alike."""
    environment = PickleEnvironment()
    for method in (environment.info, environment.run):
        with pytest.raises(TypeError, match="is bytes, not"):
            method(bad)
    with pytest.raises(TypeError):
        environment.info(None)


def canary_file(environment, canary, flow, **changes):
    """Seal a payload that acts when it is loaded, under a manifest that is in order."""
    manifest = pickle_flow(flow).manifest.to_dict() | changes.pop("manifest", {})
    data = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    return seal(data, pickle.dumps(canary), EncryptionKey(environment.encryption_key), **changes)


def test_info_executes_nothing(canary, flow):
    """A payload that would act when loaded is described without acting."""
    environment = PickleEnvironment()
    sealed = canary_file(environment, canary, flow)
    assert environment.info(sealed)["name"] == flow.name
    assert not Path(canary.path).exists()
    with pytest.raises(NotAFlowError):  # and the canary is alive
        environment.run(sealed)
    assert Path(canary.path).exists()


def test_what_cannot_be_trusted_or_loaded_is_never_unpickled(canary, flow):
    """Wrong key, changed bytes, truncation, another Python: an error before the canary acts."""
    environment = PickleEnvironment()
    sealed = canary_file(environment, canary, flow)
    cases = [
        (PickleEnvironment(), sealed, AuthenticationError),
        (environment, sealed[:-10] + bytes([sealed[-10] ^ 1]) + sealed[-9:], AuthenticationError),
        (environment, sealed[:-1], FormatError),
        (environment, b"", FormatError),
        (environment, pickle.dumps(canary), FormatError),
        (environment, canary_file(environment, canary, flow, payload_type="x"), NotAFlowError),
        (
            environment,
            canary_file(environment, canary, flow, manifest={"implementation": "pypy"}),
            CompatibilityError,
        ),
        (
            environment,
            canary_file(
                environment, canary, flow, manifest={"python": "3.99.1", "fixed": ["f of <string>"]}
            ),
            CompatibilityError,
        ),
        (
            environment,
            canary_file(environment, canary, flow, manifest={"cloudpickle": "99.0"}),
            CompatibilityError,
        ),
        (
            environment,
            canary_file(
                environment, canary, flow, manifest={"requirements": {"no_such": "no-such==1"}}
            ),
            CompatibilityError,
        ),
        (environment, canary_file(environment, canary, flow, manifest={"format": 5}), FormatError),
        (environment, canary_file(environment, canary, flow, manifest={"more": 2}), FormatError),
        (environment, canary_file(environment, canary, flow, manifest={"flow": 2}), FormatError),
    ]
    for opener, data, error in cases:
        with pytest.raises(error):
            opener.run(data)
        assert not Path(canary.path).exists()


def test_info_says_when_there_is_no_flow(flow):
    """An authentic file of something else is a TypeError."""
    environment = PickleEnvironment()
    key = EncryptionKey(environment.encryption_key)
    other = seal(b"{}", b"", key, payload_type="dataframe")
    with pytest.raises(TypeError, match="holds no Flow but 'dataframe'"):
        environment.info(other)


def test_a_payload_that_is_another_flow_than_described_is_refused(flow):
    """The manifest is compared with what was loaded."""
    environment = PickleEnvironment()
    manifest = pickle_flow(flow).manifest
    payload = pickle_flow(Flow("another")).payload
    sealed = seal(manifest.to_json(), payload, EncryptionKey(environment.encryption_key))
    with pytest.raises(ArtifactError, match="another flow"):
        environment.run(sealed)


def test_a_missing_module_is_said_before_loading(flow):
    """The error names the distribution, its version and the command that installs it."""
    manifest = Manifest.describe(flow.serialize(), {"no_such_module": "no-such==1.2"})
    with pytest.raises(CompatibilityError, match=r"pip install no-such==1\.2"):
        manifest.check_compatible()


def test_parameters_are_checked_before_anything_runs(flow):
    """An unknown or missing parameter is an error, not a failed flow."""
    environment = PickleEnvironment()
    with pytest.raises(ParameterError, match="m"):
        environment.run(environment.build(flow), parameters={"m": 3})
    with Flow("required") as required:
        required.add_task(Parameter("x"))
    with pytest.raises(ParameterError, match="x"):
        environment.run(environment.build(required))


def test_a_failing_flow_is_a_state(flow):
    """A failure comes back as a state with its traceback."""

    @task
    def fail():
        raise ZeroDivisionError("as planned")

    with Flow("fails") as failing:
        fail()
    environment = PickleEnvironment()
    state = environment.run(environment.build(failing))
    assert state.is_failed()
    assert "as planned" in next(iter(state.result.values())).traceback


def test_secrets_are_in_the_environment_while_it_runs(monkeypatch):
    """Tasks see the variable, and nobody does before or after."""
    monkeypatch.delenv("TOKEN", raising=False)

    @task
    def read():
        return os.environ["TOKEN"]

    with Flow("reads") as reads:
        read()
    environment = PickleEnvironment(secrets=["TOKEN"])
    reads.environment = environment
    sealed = environment.build(reads)
    with pytest.raises(SecretError, match="TOKEN"):
        environment.run(sealed)
    environment.secrets[0].value = "the value"
    assert terminal_result(environment.run(sealed)) == "the value"
    assert "TOKEN" not in os.environ
    # Another environment learns from the file which secrets it needs.
    stranger = PickleEnvironment(environment.encryption_key)
    with pytest.raises(SecretError, match="TOKEN"):
        stranger.run(sealed)


def test_a_secrets_value_in_the_payload_is_refused(monkeypatch):
    """A token that a task closed over does not come to rest in a file."""
    monkeypatch.setenv("TOKEN", "canary-token-7461")
    token = os.environ["TOKEN"]

    @task
    def leak():
        return len(token)

    with Flow("leaks") as leaks:
        leak()
    with pytest.raises(SecretError, match="TOKEN occurs in the flow's payload"):
        PickleEnvironment(secrets=["TOKEN"]).build(leaks)


def test_sealed_flows_in_threads_do_not_see_secrets_of_each_other():
    """While one runs, another with other secrets is refused before any of it is loaded."""
    running, ended = threading.Event(), threading.Event()

    @task
    def held():
        return dict(os.environ)

    def with_secret(name):
        with Flow(name) as flow:
            held()
        secret = Secret(name)
        secret.value = f"value-of-{name}"
        environment = PickleEnvironment(secrets=[secret])
        environment.build(flow)
        return environment

    def observe(event):
        if isinstance(event.state, Running):
            running.set()
            assert ended.wait(60)

    first, second = with_secret("FIRST_TOKEN"), with_secret("SECOND_TOKEN")
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(first.run, on_state=observe)
        assert running.wait(60)
        with pytest.raises(SecretError, match="other secrets: FIRST_TOKEN, SECOND_TOKEN"):
            second.run()
        ended.set()
        seen = terminal_result(run.result())
    assert seen["FIRST_TOKEN"] == "value-of-FIRST_TOKEN"
    assert "SECOND_TOKEN" not in seen
    assert "FIRST_TOKEN" not in terminal_result(second.run())


def test_what_cannot_be_pickled_names_its_task():
    """The error says which task holds the lock, and what to do."""
    lock = threading.Lock()

    @task
    def guarded():
        return lock

    with Flow("locks") as locks:
        guarded()
    with pytest.raises(PicklingError, match="Task 'guarded'") as caught:
        PickleEnvironment().build(locks)
    assert "lock" in str(caught.value)


def test_a_flow_that_is_wrong_is_not_built():
    """A cycle is said when the flow is packaged."""
    with Flow("round") as around:
        one, two = task(lambda: 1)(), task(lambda: 2)()
    around.add_edge(one, two)
    around.add_edge(two, one)
    with pytest.raises(FlowError):
        PickleEnvironment().build(around)


def test_a_lock_travels_in_the_manifest(tmp_path, monkeypatch):
    """What a flow imports is locked in memory and in a file, and its paths stay at home."""
    import idna

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    @task
    def encode():
        return idna.encode("x")

    with Flow("locked") as flow:
        encode()
    lock = tmp_path / "etl.lock"
    flow.environment = environment = PickleEnvironment(lock=lock, pythons=["3.11", "3.12"])
    manifest = environment.manifest(environment.build(flow))
    assert 'name = "idna"' in manifest.lock
    environment.build_to(tmp_path / "etl.flow", flow)
    assert environment.manifest(tmp_path / "etl.flow").lock == manifest.lock
    assert environment.run().is_successful()
    _, payload = environment.open(tmp_path / "etl.flow")
    assert str(lock).encode() not in payload


def test_a_secrets_value_does_not_travel_in_a_lock(tmp_path, monkeypatch):
    """A lock is searched as the rest of the manifest is."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    secret = Secret("KEY")
    secret.value = metadata.version("iniconfig") + "-py3-none"
    environment = PickleEnvironment(python_dependencies=["iniconfig"], secrets=[secret])
    with pytest.raises(SecretError, match="KEY"):
        environment.build(Flow("empty"))
