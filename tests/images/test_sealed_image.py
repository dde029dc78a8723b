"""Images whose flow is sealed: what is at rest in them, and how the key comes to the run."""

import copy
import json
import os
import pickle
import subprocess
import uuid
from pathlib import Path

import canary_search
import pytest
import run_of_tests
from base_making import layout
from validation import validate

from prefect import Flow, Parameter, task
from prefect.environments import ContainerEnvironment, PickleEnvironment
from prefect.errors import AuthenticationError, ImageError, InvalidKeyError, SecretError
from prefect.oci.archives import archive as archives
from prefect.oci.cache.of_user import cache_directory
from prefect.oci.daemon.client import Daemon
from prefect.places.engine.container import RunnableImage

VARIABLE = "PREFECT_ENCRYPTION_KEY"


@task
def tell(key):
    """Look for the key where tasks could find it, and print it as if it were known."""
    print("in the environment:", os.environ.get("PREFECT_ENCRYPTION_KEY", "nothing"))
    print("the key is", key)
    print("in a file:", Path("/run/secrets/PREFECT_ENCRYPTION_KEY").exists())


def make_flow() -> Flow:
    with Flow("sealed within: canary-of-the-name") as made:
        tell(Parameter("key", default=""))
    return made


@pytest.fixture(scope="module")
def key() -> str:
    """A key, as text."""
    return PickleEnvironment().encryption_key


@pytest.fixture(scope="module")
def sealed(daemon, base_image, key):
    """A sealed image in the container engine, and its environment; another worker has another key."""
    tag = f"{run_of_tests.name()}-sealed-{uuid.uuid4().hex[:12]}"
    environment = ContainerEnvironment(base_image, tag=tag, encryption_key=key)
    environment.build(make_flow())
    return environment


def docker(*arguments: str, status: int = 0) -> str:
    """Run `docker run` of the image, without this software around it."""
    done = subprocess.run(
        ["docker", "run", "--rm", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == status, (done.stdout, done.stderr)
    return done.stdout + done.stderr


# ---- at rest ------------------------------------------------------------------------------------


@pytest.fixture
def no_daemon(monkeypatch):
    """No container engine anywhere."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")


def test_neither_key_nor_flow_is_at_rest(no_daemon, tmp_path, monkeypatch, key):
    """In no layer, config, archive, layout, or file of the cache; the search finds what is there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    base = layout(tmp_path / "base")
    environment = ContainerEnvironment(
        base, "sealed", python_dependencies=[], encryption_key=key
    )  # else its name, in the container engine and in files, follows from the flow's
    environment.export(tmp_path / "image.tar", make_flow())
    environment.export(tmp_path / "layout")
    validate(archives.read(tmp_path / "layout"))
    assert cache_directory() == tmp_path / "cache" / "prefect"
    for value in (key, "canary-of-the-name"):
        assert canary_search.files_with(value, tmp_path) == []
        assert not canary_search.occurs(value, (tmp_path / "image.tar").read_bytes())
    ContainerEnvironment(base, "open", python_dependencies=[]).export(
        tmp_path / "open.tar", make_flow()
    )
    assert canary_search.occurs("canary-of-the-name", (tmp_path / "open.tar").read_bytes())


def test_who_has_the_key_sees_the_flow(no_daemon, tmp_path, monkeypatch, key):
    """`info` opens with the environment's key, or the secret of that name; without, it says so."""
    base, image = layout(tmp_path / "base"), tmp_path / "image.tar"
    monkeypatch.delenv(VARIABLE, raising=False)
    environment = ContainerEnvironment(base, python_dependencies=[], encryption_key=key)
    environment.export(image, make_flow())
    described = environment.info()
    assert described == make_flow().serialize()
    with pytest.raises(ImageError, match="is sealed: give its key"):
        ContainerEnvironment(base).info(reference=image)
    with pytest.raises(AuthenticationError):
        ContainerEnvironment(base, encryption_key=PickleEnvironment().encryption_key).info(
            reference=image
        )
    monkeypatch.setenv(VARIABLE, key)
    assert ContainerEnvironment(base).info(reference=str(image)) == described


@pytest.mark.parametrize("sealing", [True, False])
def test_a_secrets_value_is_refused_sealed_or_not(no_daemon, tmp_path, monkeypatch, key, sealing):
    """A token that a task closed over does not come to rest in an image, also not encrypted."""
    monkeypatch.setenv("TOKEN", "canary-token-5521")
    token = os.environ["TOKEN"]
    with Flow("leaks") as leaks:
        task(lambda: len(token))()
    environment = ContainerEnvironment(
        layout(tmp_path / "base"), secrets=["TOKEN"], encryption_key=key if sealing else None
    )
    with pytest.raises(SecretError, match="TOKEN occurs in the flow's payload"):
        environment.export(tmp_path / "image.tar", leaks)
    assert not (tmp_path / "image.tar").exists()


@pytest.mark.parametrize("attached", [True, False])
@pytest.mark.parametrize(
    ("place", "where"),
    [
        ({"setup": ["curl https://me:canary-token-5521@host | sh"]}, "the set-up commands"),
        ({"python_dependencies": ["six==canary-token-5521"]}, "the dependencies"),
        ({"lock": "# canary-token-5521\n"}, "the lock"),
        ({"lock": "--index-url https://me:canary-token-5521@host\n"}, "the lock"),
        ({"tag": "team/canary-token-5521"}, "the image's name"),
    ],
)
def test_a_secrets_value_is_refused_wherever_it_would_rest(
    no_daemon, tmp_path, monkeypatch, place, where, attached
):
    """Beside the flow as in it, before anything is resolved or run, with or without a flow."""
    monkeypatch.setenv("TOKEN", "canary-token-5521")
    base = "python:3.11" if "setup" in place else layout(tmp_path / "base")
    if "lock" in place:
        (tmp_path / "etl.lock").write_text(place["lock"])
        place = {"lock": str(tmp_path / "etl.lock")}
    environment = ContainerEnvironment(base, secrets=["TOKEN"], **place)
    flow = make_flow()
    with pytest.raises(SecretError, match="TOKEN occurs in ") as caught:
        if attached:
            flow.environment = environment
        environment.export(tmp_path / "image.tar", flow if attached else None)
    assert where in str(caught.value)
    assert "canary" not in str(caught.value)
    assert not (tmp_path / "image.tar").exists()


def test_a_secrets_value_is_refused_in_the_name_to_push_to(no_daemon, tmp_path, monkeypatch):
    """A registry keeps names in its log, and shows them."""
    monkeypatch.setenv("TOKEN", "canary-token-5521")
    environment = ContainerEnvironment(layout(tmp_path / "base"), secrets=["TOKEN"])
    for flow in (None, make_flow()):
        with pytest.raises(SecretError, match="TOKEN occurs in the name to push to"):
            environment.push("localhost:1/canary-token-5521", flow)


def test_a_key_in_a_set_up_command_is_refused(no_daemon, key):
    """The image's history would show it to everybody."""
    environment = ContainerEnvironment("python:3.11", setup=[f"echo {key}"], encryption_key=key)
    with pytest.raises(SecretError, match="A key of the environment occurs in the set-up commands"):
        environment.build()


def test_the_key_within_the_flow_is_refused(no_daemon, tmp_path, key):
    """It would be in what it is to open."""
    with Flow("leaks") as leaks:
        task(lambda: len(key))()
    environment = ContainerEnvironment(layout(tmp_path / "base"), encryption_key=key)
    with pytest.raises(SecretError, match="key of the environment occurs"):
        environment.export(tmp_path / "image.tar", leaks)


def test_a_secrets_value_is_in_no_layer_pushed_or_kept(no_daemon, tmp_path, monkeypatch, flow):
    """Names alone are: values stay where they were, whatever is built and wherever it is kept."""
    value = "Canary/" + os.urandom(12).hex()
    monkeypatch.setenv("TOKEN", value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    flow.environment = ContainerEnvironment(
        layout(tmp_path / "base"), python_dependencies=["markupsafe"], secrets=["TOKEN"],
        lock=tmp_path / "lock",
    )  # fmt: skip
    flow.environment.export(tmp_path / "image.tar", flow)
    flow.environment.export(tmp_path / "layout", flow)
    assert canary_search.files_with(value, tmp_path) == []
    assert canary_search.files_with("TOKEN", tmp_path)


def test_an_environment_never_travels_with_its_key(no_daemon, tmp_path, key, flow):
    """Not pickled, printed or serialized; a copy refuses to build what would not be sealed."""
    environment = ContainerEnvironment(layout(tmp_path / "base"), encryption_key=key)
    told = pickle.dumps(environment) + repr(environment).encode()
    told += json.dumps(environment.serialize()).encode()
    assert not canary_search.occurs(key, told)
    for twin in (pickle.loads(pickle.dumps(environment)), copy.deepcopy(environment)):
        with pytest.raises(InvalidKeyError, match="keys never are"):
            twin.export(tmp_path / "image.tar", flow)


def test_each_sealing_is_another_and_one_is_exported_twice(no_daemon, tmp_path, key, flow):
    """What was packaged is not sealed again by a push or an export of the same."""
    base = layout(tmp_path / "base")
    environment = ContainerEnvironment(base, python_dependencies=[], encryption_key=key)
    first = environment.export(tmp_path / "1.tar", flow)
    assert environment.export(tmp_path / "2.tar") == first
    assert environment.digests()[0] == first
    assert environment.export(tmp_path / "3.tar", flow) != first


# ---- the run ------------------------------------------------------------------------------------


@pytest.mark.services
def test_it_runs_with_the_key_which_tasks_do_not_get(daemon, sealed, key):
    """No variable of theirs holds it, what prints it is masked, and it rests nowhere."""
    container = sealed.run(parameters={"key": key})
    status = container.wait(timeout=60)["StatusCode"]
    logs = container.logs().decode()
    assert status == 0, logs
    assert "in the environment: nothing" in logs
    assert "the key is ***" in logs
    assert "in a file: False" in logs
    assert not canary_search.occurs(key, container.logs())
    image = daemon.images.get(sealed.tag)
    told = json.dumps([daemon.api.inspect_image(image.id), daemon.api.history(image.id)])
    assert not canary_search.occurs(key, told.encode())
    assert not canary_search.occurs(key, b"".join(image.save()))


@pytest.mark.services
def test_the_key_is_in_nothing_that_a_daemon_keeps(daemon, sealed, key):
    """Of the container, its files and what `inspect` shows."""
    container = sealed.run()
    container.wait(timeout=60)
    told = json.dumps(daemon.api.inspect_container(container.id)).encode() + container.logs()
    assert not canary_search.occurs(key, told)
    files = Path(daemon.info()["DockerRootDir"], "containers", container.id)
    assert canary_search.files_with(key, files) == []


@pytest.mark.services
def test_commands_do_not_get_the_key(sealed, key):
    """They see the flow's secrets, among which it is not."""
    container = sealed.run("sh -c 'env; cat /run/secrets/*'")
    container.wait(timeout=60)
    assert not canary_search.occurs(key, container.logs())


@pytest.mark.services
def test_another_environment_runs_it_with_any_of_its_keys(sealed, base_image, key):
    """The one that opens is handed over; without one nothing starts."""
    other = PickleEnvironment().encryption_key
    later = ContainerEnvironment(base_image, tag=sealed.tag, encryption_key=[other, key.encode()])
    container = later.run()
    assert container.wait(timeout=60)["StatusCode"] == 0
    with pytest.raises(ImageError, match=r"encryption_key=\.\.\."):
        ContainerEnvironment(base_image, tag=sealed.tag).run()
    wrong = ContainerEnvironment(base_image, tag=sealed.tag, encryption_key=other)
    with pytest.raises(AuthenticationError):
        wrong.run()


@pytest.mark.services
def test_docker_run_alone_takes_the_key_as_a_secret(sealed, key, tmp_path):
    """From a file in /run/secrets or a variable; a wrong one, or none, is exit status 2."""
    (tmp_path / VARIABLE).write_text(f"{key}\n")
    mount = f"--volume={tmp_path / VARIABLE}:/run/secrets/{VARIABLE}:ro"
    for option in (mount, f"--env={VARIABLE}={key}"):
        out = docker(option, sealed.tag, "run", "-p", f"key={key}")
        assert "in the environment: nothing" in out
        assert "the key is ***" in out
    assert VARIABLE in docker(sealed.tag, status=2)
    other = PickleEnvironment().encryption_key
    out = docker(f"--env={VARIABLE}={other}", sealed.tag, status=2)
    assert "cannot be opened" in out
    assert other not in out
    out = docker(f"--env={VARIABLE}=short-and-none", sealed.tag, status=2)
    assert "short-and-none" not in out


@pytest.mark.services
def test_looking_needs_the_key_too(sealed, key):
    """A container engine's image tells no more than any other."""
    image = RunnableImage(Daemon(), sealed.tag)
    with pytest.raises(ImageError, match="is sealed"):
        image.manifest()
    assert "canary-of-the-name" in image.manifest(PickleEnvironment(key).keyring).flow["name"]
