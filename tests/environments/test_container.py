"""`prefect.environments.ContainerEnvironment`, on a real container engine and a real registry."""

import copy
import inspect
import io
import json
import os
import pickle
import tarfile
import time
import uuid
from importlib import metadata
from pathlib import Path

import canary_search
import cloudpickle
import pytest
import run_of_tests
from faulty_daemon import FaultyDaemon, cut_after
from other_pythons import HERE, SERIES, python

from prefect import Flow, Parameter, task
from prefect.environments import ContainerEnvironment, PickleEnvironment, Secret
from prefect.errors import (
    ArtifactError,
    CompatibilityError,
    ContainerEngineError,
    ContainerEngineUnavailableError,
    ImageBuildError,
    ImageError,
    NotAFlowError,
    ParameterError,
    RequirementsError,
    SecretError,
)
from prefect.oci.daemon.client import Daemon
from prefect.oci.references import Reference, image_name
from prefect.places.engine.container import RunnableImage

pytestmark = pytest.mark.services
NAME = f"{run_of_tests.name()}-{uuid.uuid4().hex[:8]}: daily"  # no image of anybody else has it


@task
def report(name, fail, wait):
    import iniconfig  # a small distribution that the base does not have

    print(f"hello {name} from {iniconfig.__name__}, token {os.environ.get('TOKEN', 'unset')}")
    if fail:
        raise RuntimeError(f"failing as asked, with {os.environ.get('TOKEN', 'no token')}")
    time.sleep(wait)


def make_flow(name: str = NAME) -> Flow:
    with Flow(name) as made:
        report(Parameter("name", default="world"), Parameter("fail", default=False),
               Parameter("wait", default=0))  # fmt: skip
    return made


@pytest.fixture(scope="module", params=["assembled", "dockerfile"])
def built(daemon, base_image, request, tmp_path_factory):
    """A flow image with the secret TOKEN, built once in each way: put together, and by Dockerfile."""
    flow = make_flow()
    flow.environment = ContainerEnvironment(base_image, secrets=["TOKEN"])
    os.environ.pop("TOKEN", None)
    if request.param == "assembled":
        image, _ = flow.environment.build(flow=flow)
        return flow.environment, image
    directory, tag = tmp_path_factory.mktemp("dockerfile"), f"{image_name(NAME)}-by-dockerfile"
    flow.environment.create_dockerfile(directory, flow=flow)
    image, _ = daemon.images.build(path=str(directory), tag=tag, rm=True)
    environment = ContainerEnvironment(base_image, tag=tag, secrets=["TOKEN"])
    return environment, image


@pytest.fixture
def environment(built, monkeypatch):
    """The environment of the built image, with a value for its secret."""
    monkeypatch.setenv("TOKEN", "a-token-of-the-test")
    return built[0]


def ended(container) -> tuple[int, str]:
    """Wait for a container; return its exit status and its logs."""
    status = container.wait(timeout=60)["StatusCode"]
    return status, container.logs().decode()


def containers_of(daemon, image: str, *, all: bool = True) -> set[str]:  # noqa: A002 - docker's
    """Return the ids of an image's containers; others may come and go meanwhile."""
    return {c.id for c in daemon.containers.list(all=all, filters={"ancestor": image})}


def derive(daemon, base: str, tag: str, *lines: str, **files: str) -> str:
    """Build an image on a base for a test, from lines of a Dockerfile."""
    buffer = io.BytesIO()
    files["Dockerfile"] = "\n".join([f"FROM {base}", *lines])
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text.encode()), 0o755
            tar.addfile(info, io.BytesIO(text.encode()))
    buffer.seek(0)
    daemon.images.build(fileobj=buffer, custom_context=True, tag=tag, rm=True)
    return tag


# ---- construction -------------------------------------------------------------------------------


def test_construction_talks_to_nobody(monkeypatch):
    """Without a container engine anywhere, an environment can be made, described and pickled."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    environment = ContainerEnvironment(
        image="python:3.11", python_dependencies=["pandas"], secrets=["A"]
    )
    assert environment.tag == environment.image == "python:3.11"
    assert ContainerEnvironment("python:3.11", tag="etl:1").tag == "etl:1"
    assert environment.serialize() == {
        "type": "ContainerEnvironment",
        "secrets": ["A"],
        "image": "python:3.11",
        "tag": "python:3.11",
        "python_dependencies": ["pandas"],
        "network": None,
        "platform": None,
        "setup": [],
    }
    assert "python:3.11" in repr(environment)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"image": "Not A Reference"}, ValueError),
        ({"image": None}, TypeError),
        ({"image": "python", "tag": "UPPER"}, ValueError),
        ({"image": "python", "tag": "x@sha256:" + "0" * 64}, ValueError),
        ({"image": "python", "python_dependencies": "pandas"}, TypeError),
        ({"image": "python", "secrets": "TOKEN"}, TypeError),
        ({"image": "python", "secrets": [5]}, TypeError),
        ({"image": "python", "python_dependencies": [5]}, TypeError),
        ({"image": "python", "network": 5}, TypeError),
        ({"image": "python", "platform": "arm64"}, ValueError),
        ({"image": "python", "platform": 5}, TypeError),
        ({"image": "python", "setup": "apt-get update"}, TypeError),
        ({"image": "python", "setup": ["one\ntwo"]}, ValueError),
        ({"image": "./base.tar", "setup": ["true"]}, ValueError),
        ({"image": "python", "encryption_key": "short"}, ValueError),
    ],
)
def test_bad_arguments_are_refused_at_construction(arguments, error):
    """Names that are no references and lists that are none are said at once."""
    with pytest.raises(error):
        ContainerEnvironment(**arguments)


def test_what_an_environment_did_is_not_pickled(environment):
    """Neither secrets nor the images and containers of this process travel."""
    environment.secrets[0].value = "canary-of-the-pickle"
    try:
        for dump in (pickle.dumps, cloudpickle.dumps):
            data = dump(environment)
            assert b"canary-of-the-pickle" not in data
            copy = pickle.loads(data)
            assert (copy._built, copy._packaged, copy._last_container) == (None, None, None)
    finally:
        environment.secrets[0].value = None


# ---- what is missing ----------------------------------------------------------------------------


def test_without_a_daemon_the_error_says_so(monkeypatch, flow):
    """Every method that needs a container engine names DOCKER_HOST."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    environment = ContainerEnvironment("python:3.11", tag="x")
    for call in (environment.pull_image, lambda: environment.build(flow), environment.run):
        with pytest.raises(ContainerEngineUnavailableError, match="DOCKER_HOST"):
            call()


def test_a_base_that_is_nowhere_is_an_error(daemon, registry, unique, flow):
    """The error names the image and what to check."""
    environment = ContainerEnvironment(f"{registry}/{unique}:1")
    for call in (environment.pull_image, lambda: environment.build(flow)):
        with pytest.raises(ImageError, match=f"{unique}:1 cannot be pulled") as caught:
            call()
        assert "docker login" in str(caught.value)


def test_a_registry_that_does_not_answer_is_an_error(daemon, unique):
    """The cause of the failed connection is quoted."""
    with pytest.raises(ImageError, match="cannot be pulled"):
        ContainerEnvironment(f"127.0.0.1:1/{unique}").pull_image()


def test_a_base_without_python_is_refused_before_work_is_wasted(daemon, base_image, unique, flow):
    """Nothing is resolved or built for it, and the error proposes a base."""
    empty = derive(daemon, "scratch", unique, "COPY note /note", note="no Python here")
    with pytest.raises(ImageError, match="has no Python") as caught:
        ContainerEnvironment(empty, python_dependencies=["no-such-distribution-1"]).build(flow)
    assert "python:3.11-slim" in str(caught.value)


def test_a_base_with_another_python_is_refused_for_code_without_a_source(
    daemon, base_image, unique
):
    """Both versions are named, what has no source, and what to choose instead."""
    base = derive(daemon, base_image, unique, "RUN cp /usr/bin/python3 /usr/local/bin/python3.99 && "
                  "ln -s python3.99 /usr/local/bin/python3")  # fmt: skip
    space = {}
    exec("def made():\n    return 1\n", space)
    with Flow(f"{unique}-odd") as odd:
        task(space["made"])()
    with pytest.raises(
        CompatibilityError, match=rf"has Python 3\.99.*by Python {HERE}.*made of <string>"
    ):
        ContainerEnvironment(base).build(odd)


def test_a_flow_runs_on_a_base_with_another_python(daemon, base_image, unique, flow):
    """Its functions are compiled there, and do what they do here."""
    series = next(each for each in reversed(SERIES) if each != HERE)
    program = python(series).resolve()
    prefix = program.parents[1]
    buffer = io.BytesIO()
    link = f"ln -s {program} /usr/local/bin/python{series}"
    lines = [
        f"FROM {base_image}",
        f"COPY prefix {prefix}",
        f"RUN {link} && ln -s python{series} /usr/local/bin/python3",
    ]
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in (
            program,
            *prefix.glob(f"lib/libpython{series}.so*"),
            *standard_library(prefix),
        ):
            tar.add(path, f"prefix/{path.relative_to(prefix)}", recursive=False)
        text = "\n".join(lines).encode()
        info = tarfile.TarInfo("Dockerfile")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
    buffer.seek(0)
    daemon.images.build(fileobj=buffer, custom_context=True, tag=unique, rm=True)
    environment = ContainerEnvironment(unique, tag=f"{unique}:flow")
    image, _ = environment.build(flow)
    assert image.labels["prefect.python"] == series
    status, logs = ended(environment.run())
    assert status == 0, logs


def standard_library(prefix):
    """Yield the files of a Python's standard library, but for what is large and nothing needs."""
    spared = {
        "test",
        "site-packages",
        "idlelib",
        "tkinter",
        "ensurepip",
        "__pycache__",
        "turtledemo",
    }
    for path in prefix.glob("lib/python3.*/**/*"):
        if path.is_file() and not spared & set(path.parts) and "config-" not in str(path):
            yield path


def test_a_python_that_cannot_make_environments_will_do(daemon, base_image, unique, flow):
    """A Debian base without python3-venv is fine: the environment is made here."""
    base = derive(daemon, base_image, unique, "RUN rm -r /usr/lib/python3*/ensurepip")
    environment = ContainerEnvironment(base, tag=f"{unique}:flow")
    environment.build(flow)
    assert ended(environment.run())[0] == 0


def test_an_unresolvable_dependency_is_refused(daemon, base_image, flow):
    """The resolver's reason is quoted, for the base's Python."""
    environment = ContainerEnvironment(base_image, python_dependencies=["no-such-distribution-1"])
    with pytest.raises(RequirementsError, match="no-such-distribution-1"):
        environment.build(flow)


def test_a_failing_set_up_command_is_quoted(daemon, base_image, flow):
    """The error names the step and ends with its output."""
    environment = ContainerEnvironment(base_image, setup=["echo what is wrong >&2; false"])
    with pytest.raises(ImageBuildError, match="failed at Step") as caught:
        environment.build(flow)
    assert "what is wrong" in str(caught.value)


def test_set_up_commands_run_first_and_once(daemon, base_image, unique, flow, registry):
    """Their effect is in the image, as in its Dockerfile's and in one that is pushed."""
    environment = ContainerEnvironment(
        base_image, tag=unique, setup=["useradd app", "date +%N > /made-at"]
    )
    first, _ = environment.build(flow)
    again, log = environment.build(flow)
    assert first.id == again.id
    assert not any("Step" in entry["stream"] for entry in log)
    assert ended(environment.run("id app"))[0] == 0
    pushed = environment.push(f"{registry}/{unique}:1")
    daemon.images.pull(pushed)
    assert daemon.images.get(pushed).id == first.id


def test_only_a_flow_can_be_built(monkeypatch):
    """Anything else is a TypeError, before a container engine is looked for."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    with pytest.raises(NotAFlowError) as caught:
        ContainerEnvironment("python:3.11").build("flow")
    assert isinstance(caught.value, TypeError)


def test_nothing_runs_before_something_is_built(daemon, base_image, unique):
    """The error says to build, or to name an image that was."""
    with pytest.raises(ImageError, match=r"call build\(flow\) first"):
        ContainerEnvironment(base_image).run()
    with pytest.raises(ImageError, match="There is no image"):
        ContainerEnvironment(base_image, tag=unique).run()


# ---- pulling ------------------------------------------------------------------------------------


def test_a_base_is_pulled_from_its_registry(daemon, base_image):
    """An image that the container engine no longer has is there again."""
    ContainerEnvironment(base_image).pull_image()
    assert daemon.images.get(base_image).tags


def test_a_registry_can_stand_in_for_docker_hub(daemon, base_image, registry, monkeypatch):
    """With PREFECT_REGISTRY, a bare name is looked for there, and its digest is recorded."""
    monkeypatch.setenv("PREFECT_REGISTRY", registry)
    bare = base_image.removeprefix(f"{registry}/")
    environment = ContainerEnvironment(bare)
    environment.pull_image()
    assert environment.image == bare


# ---- Dockerfile ---------------------------------------------------------------------------------


def test_a_dockerfile_is_written_with_all_that_it_copies(daemon, base_image, tmp_path, flow):
    """The base stands by digest, the lock has hashes, and any tool can build the directory."""
    environment = ContainerEnvironment(base_image, python_dependencies=["iniconfig"])
    environment.create_dockerfile(directory=tmp_path / "new", flow=flow)
    text = (tmp_path / "new" / "Dockerfile").read_text()
    assert f"FROM {base_image.rpartition(':')[0]}@sha256:" in text
    assert "iniconfig==" in (tmp_path / "new" / "requirements.lock").read_text()
    image, _ = daemon.images.build(path=str(tmp_path / "new"), rm=True)
    assert RunnableImage(Daemon(), image.id).manifest().flow == flow.serialize()
    assert daemon.containers.run(image.id, remove=True).decode().count("Success") > 1


def test_a_dockerfile_needs_no_daemon(monkeypatch, tmp_path, flow):
    """Without one it is written for this machine's Python, in the current directory."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    monkeypatch.chdir(tmp_path)
    ContainerEnvironment("python:3.11-slim").create_dockerfile()
    text = Path("Dockerfile").read_text()
    assert "FROM python:3.11-slim\n" in text
    assert not Path("flow").exists()
    assert "cloudpickle==" in Path("requirements.lock").read_text()


# ---- building -----------------------------------------------------------------------------------


def test_a_build_returns_the_image_and_its_log(daemon, base_image, flow, unique):
    """The image has the flow's tag and labels, the log the builder's entries."""
    flow.name = unique
    image, log = ContainerEnvironment(base_image).build(flow)
    assert f"{unique}:latest" in image.tags
    assert image.labels["prefect.flow"] == unique
    assert any("Building the image" in entry["stream"] for entry in log)


def test_the_bases_own_tag_stays_the_bases(daemon, base_image, built):
    """A build without a tag does not overwrite the base."""
    assert "prefect.flow" not in daemon.images.get(base_image).labels


def test_a_tag_is_used_as_given(daemon, base_image, unique, flow):
    """With a tag the built image has it, and another environment finds it by that."""
    environment = ContainerEnvironment(base_image, tag=f"{unique}:v1")
    image, _ = environment.build(flow)
    assert f"{unique}:v1" in image.tags
    assert environment.built_tag == f"{unique}:v1"
    later = ContainerEnvironment(base_image, tag=f"{unique}:v1")
    assert ended(later.run())[0] == 0


@pytest.mark.parametrize(
    ("image", "tag"),
    [
        ("python", "python"),
        ("python", "docker.io/library/python:latest"),
        ("index.docker.io/library/python:3.11", "python:3.11"),
        (f"python:3.11@sha256:{'0' * 64}", "docker.io/python:3.11"),
        ("python:3.11", "ghcr.io/team/python:3.11"),  # as PREFECT_REGISTRY has it
        ("ghcr.io/team/python", "ghcr.io/team/python:latest"),
    ],
)
def test_a_tag_that_names_the_base_is_refused(image, tag, monkeypatch):
    """In any spelling, by any way that names one: the image would take the base's name."""
    monkeypatch.setenv("PREFECT_REGISTRY", "ghcr.io/team")
    with pytest.raises(ValueError, match=r"would overwrite the base.*another tag"):
        ContainerEnvironment(image, tag)
    with pytest.raises(ValueError, match="would overwrite the base"):
        ContainerEnvironment(image).but(tag=tag)
    with pytest.raises(ValueError, match="would overwrite the base"):
        ContainerEnvironment("demo", tag).but(image=image)
    with pytest.raises(ValueError, match="would overwrite the base"):
        ContainerEnvironment(image).push(tag)


def test_an_environment_without_a_tag_stays_one():
    """Its attribute is the base's name; a copy, an unpickled one and another base have no tag either."""
    environment = ContainerEnvironment("python")
    again = pickle.loads(pickle.dumps(environment))
    for one in (environment, copy.copy(environment), copy.deepcopy(environment), again,
                environment.but(network="host")):  # fmt: skip
        assert one.tag == one.image == "python"
        assert one.but(image="ghcr.io/python").tag == "ghcr.io/python"
        assert one.but(tag="etl").but(image="debian").tag == "etl"


def test_what_the_flow_imports_is_installed_in_the_version_here(built, environment):
    """Without python_dependencies the image has what the flow needs, as it is here."""
    ask = "from importlib.metadata import version as v; print(v('iniconfig'), v('cloudpickle'))"
    status, logs = ended(environment.run(["python", "-c", ask]))
    assert status == 0
    assert logs.split() == [metadata.version("iniconfig"), metadata.version("cloudpickle")]


def test_a_changed_flow_costs_one_layer(daemon, base_image, unique):
    """All layers but the last are those of the former build, also of another tag."""
    former, _ = ContainerEnvironment(base_image, tag=f"{unique}:1").build(make_flow())
    image, _ = ContainerEnvironment(base_image, tag=f"{unique}:2").build(make_flow("Changed"))
    layers, before = (i.attrs["RootFS"]["Layers"] for i in (image, former))
    assert layers[:-1] == before[:-1]
    assert layers[-1] != before[-1]


def test_an_image_is_the_same_whatever_it_is_called(daemon, base_image, unique, flow):
    """Its name and the container engine's network are not in it, though the flow has its environment."""
    ids = set()
    flow.name = unique
    for tag, network in ((f"{unique}:1", None), (f"{unique}:2", "host"), (None, None)):
        flow.environment = ContainerEnvironment(base_image, tag=tag, network=network)
        ids.add(flow.environment.build(flow)[0].id)
        assert flow.environment.tag == (tag or base_image)
    assert len(ids) == 1


def test_a_base_can_be_named_by_its_digest(daemon, base_image, unique, flow):
    """The digest stays in the Dockerfile, and the built image has a name of its own."""
    digest = next(d for d in daemon.images.get(base_image).attrs["RepoDigests"] if "python@" in d)
    environment = ContainerEnvironment(digest)
    assert environment.tag == digest
    flow.name = unique
    image, log = environment.build(flow)
    assert f"{unique}:latest" in image.tags
    assert any(f"on {digest}" in entry["stream"] for entry in log)


def test_a_derived_name_takes_nobodys_place(daemon, base_image, unique, flow):
    """An image of somebody else keeps its name, and names that look alike are told apart."""
    daemon.images.get(base_image).tag(unique)
    flow.name = unique
    with pytest.raises(ImageError, match="would lose its name"):
        ContainerEnvironment(base_image).build(flow)
    names = ["プロジェクト", "другой", "...", "x" * 300, "plain name", "Plain: Name"]
    slugs = [image_name(name) for name in names]
    assert len(set(slugs[:4])) == 4
    assert slugs[4:] == ["plain-name", "plain-name"]
    assert all(Reference.parse(slug) for slug in slugs)


def test_looking_into_a_base_leaves_nothing(daemon, base_image, unique, flow):
    """Containers that were made to look, and the volumes of a base that has some, are gone."""
    base = derive(daemon, base_image, unique, "VOLUME /data")
    before = {volume.name for volume in daemon.volumes.list()}
    ContainerEnvironment(base, tag=f"{unique}:flow").build(flow)
    RunnableImage(Daemon(), f"{unique}:flow").manifest()
    assert containers_of(daemon, base) == containers_of(daemon, f"{unique}:flow") == set()
    assert {volume.name for volume in daemon.volumes.list()} <= before


def test_without_a_flow_the_dependencies_alone_are_built(daemon, base_image, unique):
    """The image runs commands, and says that it holds no flow."""
    environment = ContainerEnvironment(base_image, tag=unique, python_dependencies=["iniconfig"])
    image, _ = environment.build()
    assert "prefect.flow" not in image.labels
    status, logs = ended(environment.run("python -c 'import iniconfig, prefect; print(1 + 1)'"))
    assert (status, logs.strip()) == (0, "2")
    with pytest.raises(ImageError, match="dependencies alone"):
        environment.run()
    with pytest.raises(ImageError, match="dependencies alone"):
        RunnableImage(Daemon(), unique).manifest()
    container = environment.run(tty=True)
    assert container.exec_run("python -c 'import iniconfig'").exit_code == 0


def test_the_bases_user_runs_the_flow(daemon, base_image, unique, flow):
    """A base with a user of its own keeps it, and secrets reach that user."""
    base = derive(daemon, base_image, unique, "RUN useradd app", "USER app")
    secret = Secret("TOKEN")
    secret.value = "for the user app"
    environment = ContainerEnvironment(base, tag=f"{unique}:flow", secrets=[secret])
    environment.build(flow)
    assert ended(environment.run())[0] == 0
    status, logs = ended(environment.run("sh -c 'id -un; echo $TOKEN'"))
    assert (status, logs.split("\n")[:2]) == (0, ["app", "for the user app"])


# ---- looking in ---------------------------------------------------------------------------------


def test_an_image_is_described_without_being_run(daemon, built):
    """The manifest equals the flow's serialization, and no container is left."""
    before = containers_of(daemon, built[1].id)
    assert RunnableImage(Daemon(), built[1].id).manifest().flow["name"] == NAME
    assert containers_of(daemon, built[1].id) == before


def test_an_environment_describes_what_it_built(daemon, built):
    """`info` gives the serialized flow of the last image, and no container is left."""
    environment, image = built
    before = containers_of(daemon, image.id)
    described = environment.info()
    assert described["name"] == NAME
    assert described["environment"]["secrets"] == ["TOKEN"]
    assert containers_of(daemon, image.id) == before


def test_an_image_is_described_wherever_it_is(base_image, registry, unique, flow, tmp_path):
    """`info` finds it in the container engine, in a registry and on disk, by default the last."""
    environment = ContainerEnvironment(base_image, tag=unique, python_dependencies=[])
    with pytest.raises(ImageError, match=r"There is no image .* in the container engine"):
        environment.info()
    described = flow.serialize()
    environment.build(flow)
    other = Flow("another")
    pushed = environment.push(f"{registry}/{unique}:1", other)
    assert environment.info() == other.serialize()
    environment.export(tmp_path / "image.tar", Flow("a third"))
    assert environment.info()["name"] == "a third"
    assert environment.info(reference=unique) == described
    assert environment.info(reference=pushed)["name"] == "another"
    for path in (tmp_path / "image.tar", str(tmp_path / "image.tar")):
        assert environment.info(reference=path)["name"] == "a third"
    with pytest.raises(ImageError, match="call build"):
        ContainerEnvironment(base_image).info()
    with pytest.raises(ImageError, match="There is no image at"):
        environment.info(reference=tmp_path / "nothing.tar")
    with pytest.raises(ArtifactError, match="no image reference"):
        environment.info(reference="No Image")
    with pytest.raises(TypeError):
        environment.info(reference=1)


def test_an_image_of_somebody_else_is_named_as_such(daemon, base_image):
    """An image that was not built here is an error, not a crash."""
    with pytest.raises(ImageError, match="was not built by prefect"):
        RunnableImage(Daemon(), base_image)


def test_looking_into_an_image_executes_nothing(daemon, base_image, unique, flow, canary):
    """A payload that would act when loaded, an entry point that would: neither does."""
    environment = ContainerEnvironment(base_image, tag=unique, python_dependencies=[])
    image, _ = environment.build(flow)
    derive(
        daemon, image.id, f"{unique}:canary",
        "COPY payload /opt/prefect/flow/payload.pickle", 'ENTRYPOINT ["touch", "/canary"]',
        payload=pickle.dumps(canary, protocol=0).decode(),
    )  # fmt: skip
    assert RunnableImage(Daemon(), f"{unique}:canary").manifest().flow == flow.serialize()
    assert not Path(canary.path).exists()


# ---- running ------------------------------------------------------------------------------------


def test_the_flow_runs_and_its_logs_are_the_containers(environment):
    """Success is exit status 0, and what tasks print and log is there to read."""
    status, logs = ended(environment.run())
    assert status == 0
    assert "hello world from iniconfig" in logs
    assert "task 'report': Success" in logs


def test_parameters_are_passed(environment):
    """They arrive as they are."""
    status, logs = ended(environment.run(parameters={"name": "ä \n'\"", "wait": 0}))
    assert status == 0
    assert "hello ä \n'\"" in logs


def test_a_failed_flow_is_exit_status_1_with_its_traceback(environment):
    """The log says what was raised and where."""
    status, logs = ended(environment.run(parameters={"fail": True}))
    assert status == 1
    assert "RuntimeError: failing as asked" in logs
    assert "Traceback" in logs


def test_a_bad_parameter_is_refused_before_a_container_starts(environment):
    """One that the flow lacks, and one of another type than the flow's."""
    with pytest.raises(ParameterError, match="nmae"):
        environment.run(parameters={"nmae": 1})
    with pytest.raises(ParameterError, match="'wait' is of type int"):
        environment.run(parameters={"wait": "long"})


def test_parameters_that_cannot_travel_are_refused(environment):
    """An object that JSON cannot carry, or parameters for a command, are errors here."""
    for bad in ({"name": object()}, {"name": float("nan")}, [1], "name"):
        with pytest.raises(ParameterError):
            environment.run(parameters=bad)
    with pytest.raises(ParameterError, match="either parameters or a command"):
        environment.run("env", parameters={"name": 1})
    with pytest.raises(ValueError, match="empty"):
        environment.run("")


def test_a_command_runs_in_the_flows_place(environment):
    """It sees packages and secret, gives its own exit status, and no flow runs."""
    command = ["python", "-c", "import iniconfig, os; print(os.environ['TOKEN']); exit(7)"]
    status, logs = ended(environment.run(command))
    assert (status, logs.strip()) == (7, "a-token-of-the-test")


def test_a_program_that_is_not_there_is_said(environment):
    """The exit status is a shell's, and the log names the program."""
    status, logs = ended(environment.run("no-such-program"))
    assert status == 127
    assert "no-such-program" in logs


def test_with_a_terminal_the_container_stays_up(environment):
    """After the flow has run, commands can be executed, and stopping tells how the flow ended."""
    container = environment.run(tty=True, parameters={"fail": True})
    result = container.exec_run(["python", "-c", "import prefect; print('here')"])
    assert (result.exit_code, result.output.strip()) == (0, b"here")
    deadline = time.monotonic() + 30
    while b"failing as asked" not in container.logs() and time.monotonic() < deadline:
        time.sleep(0.05)
    container.reload()
    assert container.status == "running"
    container.stop(timeout=30)
    assert container.wait()["StatusCode"] == 1


def test_a_second_run_stops_the_first(environment):
    """The environment leaves one container running at the most."""
    first = environment.run(parameters={"wait": 600})
    second = environment.run(tty=True)
    first.reload()
    second.reload()
    assert (first.status, second.status) == ("exited", "running")
    second.remove(force=True)
    third = environment.run()  # also when the former is gone altogether
    assert ended(third)[0] == 0


def test_a_stopped_flow_ends_at_once(environment):
    """`docker stop` reaches the flow, which does not have to be killed."""
    container = environment.run(parameters={"wait": 600})
    while b"hello" not in container.logs():
        time.sleep(0.05)
    container.stop(timeout=60)
    assert container.wait()["StatusCode"] == 143


def test_an_image_runs_without_this_software_around_it(daemon, built):
    """`docker run` alone runs the flow, with its secret as a variable, and names a missing one."""
    output = daemon.containers.run(
        built[1].id, ["run", "-p", "name=you"], environment={"TOKEN": "token"}, remove=True
    )
    assert b"hello you" in output
    container = daemon.containers.run(built[1].id, detach=True)
    status, logs = ended(container)
    assert status == 2
    assert "TOKEN" in logs


# ---- secrets ------------------------------------------------------------------------------------


def test_a_missing_secret_is_named_and_nothing_starts(daemon, built, monkeypatch):
    """No container is made for a run that lacks a secret."""
    monkeypatch.delenv("TOKEN", raising=False)
    before = containers_of(daemon, built[1].id)
    with pytest.raises(SecretError, match="TOKEN"):
        built[0].run()
    assert containers_of(daemon, built[1].id) == before


def test_a_run_that_cannot_start_stops_nothing(environment, monkeypatch):
    """What the first run left running goes on when the second one lacks a secret."""
    first = environment.run(tty=True)
    monkeypatch.delenv("TOKEN")
    with pytest.raises(SecretError):
        environment.run()
    first.reload()
    assert first.status == "running"


def test_an_interrupted_start_leaves_no_container(
    daemon, built, environment, monkeypatch, tmp_path
):
    """Ctrl-C, or a connection that breaks, while the secrets are handed over."""

    def interrupted(*_):
        raise KeyboardInterrupt

    image = built[1].id
    before = containers_of(daemon, image)
    environment.run(tty=True)
    proxy = FaultyDaemon(os.environ["DOCKER_HOST"], tmp_path / "engine.sock", b"/exec/")
    proxy.faults = [cut_after(0)]
    with monkeypatch.context() as patch:
        patch.setenv("DOCKER_HOST", proxy.address)
        with pytest.raises(ContainerEngineError, match="could not be handed"):
            environment.run()
    proxy.stop()
    running = containers_of(daemon, image, all=False)
    assert running <= before
    monkeypatch.setattr("prefect.oci.daemon.transport.Answer.send", interrupted)
    with pytest.raises(KeyboardInterrupt):
        environment.run()
    assert containers_of(daemon, image, all=False) == running


def test_a_secrets_value_in_the_flow_is_refused(monkeypatch):
    """A token that a task closed over does not come to rest in an image."""
    monkeypatch.setenv("TOKEN", "canary-token-7461")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    token = os.environ["TOKEN"]

    @task
    def leak():
        return len(token)

    with Flow("leaks") as leaks:
        leak()
    with pytest.raises(SecretError, match="TOKEN occurs in the flow's payload"):
        ContainerEnvironment("python:3.11", secrets=["TOKEN"]).build(leaks)


def at_rest(daemon, container, value):
    """Return the places at rest in which a value is found, of a container and its image."""
    api = daemon.api
    image = container.image
    commit = container.commit(repository=f"{run_of_tests.name()}-commit", tag=value[-12:])
    texts = {
        "inspect": json.dumps(api.inspect_container(container.id)),
        "image": json.dumps(api.inspect_image(image.id)),
        "history": json.dumps(api.history(image.id)),
        "commit": json.dumps(api.inspect_image(commit.id)) + json.dumps(api.history(commit.id)),
        "logs": container.logs().decode(errors="replace"),
    }
    found = [place for place, text in texts.items() if canary_search.occurs(value, text.encode())]
    for place, saved in (("saved image", image), ("saved commit", commit)):
        if canary_search.occurs(value, b"".join(saved.save())):
            found.append(place)
    files = Path(daemon.info()["DockerRootDir"], "containers", container.id)
    found += [path.name for path in canary_search.files_with(value, files)]
    return found


@pytest.mark.parametrize("odd", ["/", "\"ä\\'", "\r\n", os.fsdecode(b"\xff\xfe")])
def test_a_secret_rests_nowhere(daemon, environment, monkeypatch, odd):
    """Its value is in no layer, history, config, commit, log or file of the engine.

    Tasks have it, print it and raise with it; with a terminal the container is still up.
    """
    value = f"Canary{odd}" + os.urandom(12).hex()
    monkeypatch.setenv("TOKEN", value)
    container = environment.run(tty=True, parameters={"fail": True})
    deadline = time.monotonic() + 30
    while b"failing as asked" not in container.logs() and time.monotonic() < deadline:
        time.sleep(0.05)
    inside = container.exec_run(["cat", "/run/secrets/TOKEN"]).output
    assert inside == os.fsencode(value) + b"\n"  # it is there, in memory
    assert "token ***" in container.logs().decode()
    assert at_rest(daemon, container, value) == []


def test_exec_run_has_secrets_as_the_page_says(environment, monkeypatch):
    """In a container with a terminal they are files; the worker's `exec` makes variables of them, and Secret finds them."""
    monkeypatch.setenv("TOKEN", "a value of some length")
    container = environment.run(tty=True)
    worker = ["/opt/prefect/bin/python", "-m", "prefect.worker"]
    deadline = time.monotonic() + 30
    while b"token ***" not in container.logs() and time.monotonic() < deadline:
        time.sleep(0.05)
    for command in (
        ["sh", "-c", "cat /run/secrets/TOKEN"],
        [*worker, "exec", "--secret", "TOKEN", "--", "sh", "-c", "echo $TOKEN"],
        ["python", "-c", "import prefect; print(prefect.Secret('TOKEN').value)"],
    ):
        done = container.exec_run(command)
        assert (done.exit_code, done.output.strip()[-40:]) == (0, b"a value of some length"), (
            command
        )


def test_the_search_finds_what_is_planted(daemon, environment, built):
    """A value that is handed over carelessly is found: the search can fail."""
    value = "Canary/" + os.urandom(12).hex()
    container = daemon.containers.run(
        built[1].id, ["exec", "--", "sh", "-c", "echo $TOKEN | base64 > /tmp/planted; echo $TOKEN"],
        environment={"TOKEN": value}, detach=True,
    )  # fmt: skip
    container.wait()
    found = at_rest(daemon, container, value)
    assert {"inspect", "logs", "saved commit", "config.v2.json"} <= set(found)


def test_an_environment_like_another_has_all_of_it():
    """`but` changes what it is told, and keeps every other argument of the constructor, keys too."""
    every = {
        "image": "python:3.11", "tag": "etl:1", "python_dependencies": ["pandas"],
        "secrets": ["TOKEN"], "network": "host", "platform": "linux/arm64", "setup": ["true"],
        "lock": "a.lock", "relock": True, "infer": False, "allow_source": ["docopt"],
        "encryption_key": PickleEnvironment().encryption_key,
        "allow_secret_like": ["aws-access-key-0123abcd"], "include": ["x.sql"], "include_from": "/somewhere",
        "project": None,
    }  # fmt: skip
    parameters = inspect.signature(ContainerEnvironment).parameters
    assert every.keys() == parameters.keys(), "an argument is new: is it kept?"
    environment = ContainerEnvironment(**every)
    assert vars(environment.but()) == vars(environment)
    other = vars(environment.but(image="python:3.12"))
    assert other.pop("image") == "python:3.12"
    assert other.items() <= vars(environment).items()
    lost = copy.copy(environment)
    assert vars(lost.but()) == vars(lost)
