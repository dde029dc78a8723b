"""docs/ci.md: images are built and pushed with no privilege at all, by the steps of its recipes."""

import base64
import json
import os
import re
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from importlib import resources
from pathlib import Path
from string import Template

import bcrypt
import jsonschema
import kubernetes_validate
import pytest
import yaml
from real_registry import RealRegistry

from prefect.oci.references import Reference
from prefect.oci.registry import client

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/ci.md").read_text()
GITHUB, GITLAB, KUBERNETES = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
UNPRIVILEGED = ROOT / "tests/support/unprivileged.py"
NOBODY = 65534
USER, PASSWORD = "ci", "of-the-registry-7461"
FLOW = """
from prefect import Flow, task

@task
def tell():
    print("built by nobody")

with Flow("etl") as flow:
    tell()
"""


def schema(name):
    vendored = resources.files("check_jsonschema") / "builtin_schemas/vendor"
    return json.loads((vendored / f"{name}.json").read_text())


def test_githubs_file_is_valid():
    """By the published schema, which refuses a step without an action and a command."""
    # YAML 1.1 takes the key `on` for true; GitHub does not.
    workflow = yaml.load(GITHUB, yaml.BaseLoader)
    workflow["jobs"]["image"]["timeout-minutes"] = 20
    jsonschema.validate(workflow, schema("github-workflows"))
    workflow["jobs"]["image"]["steps"][0] = {"name": "nothing"}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(workflow, schema("github-workflows"))


def test_gitlabs_file_is_valid():
    """By the published schema, which refuses unknown keys."""
    pipeline = yaml.safe_load(GITLAB)
    jsonschema.validate(pipeline, schema("gitlab-ci"))
    pipeline["build-image"]["scripts"] = []
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(pipeline, schema("gitlab-ci"))


def test_the_clusters_job_is_valid():
    """By the published schemas of Kubernetes, in which unknown fields are errors."""
    kubernetes_validate.validate(yaml.safe_load(KUBERNETES), "1.37", strict=True)


@pytest.fixture(scope="session")
def python():
    """A Python of this series that nobody may execute, with this package and its dependencies."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        command = [candidate, UNPRIVILEGED, candidate, "-c", ""]
        if (
            Path(candidate).exists()
            and subprocess.run(command, check=False, capture_output=True).returncode == 0
        ):
            return candidate
    return pytest.fail(
        f"uid nobody may execute no {version} here: install one outside of root's home"
    )


class Nobody:
    """Runs a shell's scripts in a directory of its own, with no privilege and no namespace."""

    def __init__(self, directory: Path, python: str) -> None:
        self.home, self.bin, self.python = directory / "home", directory / "bin", python
        self.home.mkdir()
        self.bin.mkdir()
        # What is there already is not installed once more.
        self._program("pip", "exit 0")
        self._program("prefect", f'exec {python} -m prefect "$@"')
        self._program(
            "python",
            f'[ "$2" = venv ] || exec {python} "$@"\nmkdir -p venv/bin; >venv/bin/activate',
        )
        foreign = ("XDG_", "DOCKER_", "REGISTRY_", "PYTHON")
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(foreign)},
            "HOME": str(self.home), "TMPDIR": str(self.home), "PATH": f"{self.bin}:/usr/bin:/bin",
            "PYTHONPATH": f"{ROOT / 'src'}:{sysconfig.get_path('purelib')}",
            "UV_CACHE_DIR": f"{self.home}/.cache/uv", "DOCKER_HOST": "unix:///nowhere.sock",
        }  # fmt: skip

    def _program(self, name: str, body: str) -> None:
        (self.bin / name).write_text(f"#!/bin/sh\n{body}\n")
        (self.bin / name).chmod(0o755)

    def write(self, name: str, text: str) -> None:
        """Write a file into its home, and give it to nobody."""
        path = self.home / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        for each in (self.home, path.parent, path):
            os.chown(each, *([NOBODY] * 2 if os.geteuid() == 0 else [-1] * 2))

    def __call__(self, script: str, **environment: str) -> str:
        done = subprocess.run(
            [self.python, UNPRIVILEGED, "bash", "-euo", "pipefail", "-c", script],
            env=self.environment | environment, cwd=self.home, capture_output=True, text=True,
            check=False, timeout=240,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def nobody(python):
    """Runs a shell's script as nobody, beside the flow's source."""
    # Not in pytest's directories, which are their owner's alone.
    with tempfile.TemporaryDirectory(prefix="prefect-nobody-") as directory:
        Path(directory).chmod(0o755)
        made = Nobody(Path(directory), python)
        made.write("etl.py", FLOW)
        made.write("requirements.txt", "prefect\n")
        yield made


@pytest.fixture
def private(tmp_path_factory, services):
    """A registry of its own that asks for a password."""
    directory = tmp_path_factory.mktemp("private")
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4, prefix=b"2a")).decode()
    (directory / "htpasswd").write_text(f"{USER}:{hashed}\n")
    registry = RealRegistry(
        directory, auth={"htpasswd": {"realm": "tests", "path": str(directory / "htpasswd")}}
    )
    yield registry
    registry.stop()


@pytest.mark.services
def test_nobody_has_no_privilege_and_makes_no_namespace(nobody):
    """What the other tests prove is proved by a process of which this is true."""
    told = nobody("grep -E '^(Uid|Groups|Cap|NoNewPrivs|Seccomp)' /proc/self/status")
    status = {line.split(":")[0]: line.split()[1:] for line in told.splitlines()}
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert status[name] == ["0" * 16]
    assert status["NoNewPrivs"] == ["1"]
    assert status["Seccomp"] == ["2"]
    assert "0" not in status["Uid"]
    for flag in ("--user", "--mount", "--pid", "--net"):
        assert nobody(f"unshare {flag} true 2>&1 && echo made || echo refused").endswith(
            "refused\n"
        )
    program = "import ctypes, os; print(ctypes.CDLL(None).syscall(56 if os.uname().machine == 'x86_64' else 220, 0x10000011, 0, 0, 0, 0))"
    assert nobody(f"python -c {shlex.quote(program)}") == "-1\n"


@pytest.mark.services
def test_nobody_builds_what_root_builds_and_it_runs(nobody, registry, base_image, daemon, unique):
    """The same image by its digest, without a container engine; and pushes it."""
    name = f"{registry}/{unique}:1"
    pushed = nobody(f"prefect build etl.py --image {base_image} --push {name}").strip()
    assert client.resolve(Reference.parse(name)) == pushed.partition("@")[2]
    exported = subprocess.run(
        [nobody.python, "-m", "prefect", "build", "etl.py", "--image", base_image, "--export", "etl.tar"],
        env=nobody.environment | {"XDG_CACHE_HOME": f"{nobody.home}/other"}, cwd=nobody.home,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert pushed.partition("@")[2] in exported.stdout
    daemon.images.pull(pushed)
    assert b"built by nobody" in daemon.containers.run(pushed, remove=True, stderr=True)


def steps(script: str, host: str, base: str) -> str:
    """Return a script of the page for a registry and a base that there are."""
    return script.replace("ghcr.io", host).replace("python:3.13-slim", base)


def require_pushed(private, repository: str, tag: str, manifest: Path | None) -> None:
    """Require an image in the registry, which the manifest names by its digest."""
    assert private.tags(repository) == {tag}
    if manifest is not None:
        assert f"{private.host}/{repository}@sha256:" in manifest.read_text()


@pytest.mark.services
def test_githubs_steps_work(nobody, private, base_image):
    """They log in, build, push, and write the manifest."""
    taken = yaml.safe_load(GITHUB)["jobs"]["image"]["steps"]
    script = "\n".join(step["run"] for step in taken if "run" in step)
    nobody(
        steps(script, private.host, base_image),
        TOKEN=PASSWORD, GITHUB_ACTOR=USER, GITHUB_REPOSITORY="Team/Data", GITHUB_SHA="0a1b2c",
    )  # fmt: skip
    require_pushed(private, "team/data/etl", "0a1b2c", nobody.home / "etl.yaml")
    assert (nobody.home / ".docker/config.json").stat().st_mode & 0o077 == 0


@pytest.mark.services
def test_gitlabs_steps_work(nobody, private, base_image):
    """They log in, build, push, and write the manifest."""
    job = yaml.safe_load(GITLAB)["build-image"]
    given = {
        "CI_PROJECT_DIR": str(nobody.home), "CI_REGISTRY": private.host, "CI_REGISTRY_USER": USER,
        "CI_REGISTRY_PASSWORD": PASSWORD, "CI_REGISTRY_IMAGE": f"{private.host}/team/data",
        "CI_COMMIT_SHORT_SHA": "0a1b2c",
    }  # fmt: skip
    own = {name: Template(text).substitute(given) for name, text in job["variables"].items()}
    nobody(steps("\n".join(job["script"]), private.host, base_image), **given, **own)
    require_pushed(private, "team/data/etl", "0a1b2c", nobody.home / "etl.yaml")
    assert (nobody.home / ".cache/prefect").is_dir()


@pytest.mark.services
def test_the_clusters_steps_work(nobody, private, base_image):
    """With a file system that is read-only but for one directory, and a login that is mounted."""
    (container,) = yaml.safe_load(KUBERNETES)["spec"]["template"]["spec"]["containers"]
    (script,) = container["args"]
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    nobody.write("login/config.json", json.dumps({"auths": {private.host: {"auth": auth}}}))
    nobody.write("source/etl.py", FLOW)
    nobody.write("source/requirements.txt", "prefect\n")
    places = {"/work": "", "/login": "/login", "/source": "/source"}
    variables = {one["name"]: f"{nobody.home}{places[one['value']]}" for one in container["env"]}
    script = script.replace("/source/", f"{nobody.home}/source/")
    (nobody.home / "etl.py").unlink()
    nobody(steps(script, private.host, base_image), **variables)
    require_pushed(private, "team/etl", "1", None)
