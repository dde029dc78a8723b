"""`prefect.places.sandbox.sealed`: a sealed flow in a sandbox without an image, and what it sees there."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from processes import left_behind

from prefect import Flow, places, task
from prefect.environments import PickleEnvironment
from prefect.errors import PlaceError
from prefect.places.sandbox import host
from prefect.places.sandbox.host import Host
from prefect.running.key_variable import KEY_VARIABLE

pytestmark = pytest.mark.services


def run(function, *, place="sandbox", **surroundings):
    """Run a function as a task of a sealed flow there; return what it returned."""
    environment = PickleEnvironment()
    with Flow("looks") as flow:
        task(function)()
    sealed = environment.build(flow)
    state = places.run(
        sealed, place, encryption_key=environment.encryption_key, surroundings=surroundings
    )
    assert state.is_successful(), state.result
    (found,) = state.result.values()
    return found.result


def test_nothing_of_the_machine_is_seen_but_programs(tmp_path, monkeypatch):
    """No file of a home or of a temporary directory, no variable, no process, no network, no secret of /etc."""
    monkeypatch.setenv("A_TOKEN", "canary-1174")
    mine = tmp_path / "mine"
    mine.write_text("canary")
    home, pid = Path("~").expanduser(), os.getpid()

    def look():
        import os
        import socket
        from pathlib import Path

        def listed(path):
            return sorted(each.name for each in path.iterdir()) if path.is_dir() else []

        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            reached = True
        except OSError:
            reached = False
        private = [each for each in listed(home) if each not in (".cache", ".pyenv", ".local")]
        return {
            "mine": mine.exists(), "home": private, "token": os.environ.get("A_TOKEN"),
            "process": Path(f"/proc/{pid}/status").exists() and os.getpid() != 1, "reached": reached,
            "etc": [x for x in ("/etc/shadow", "/etc/ssl/private", "/root/.ssh") if Path(x).exists()],
            "cwd": str(Path.cwd()), "here": listed(Path()),
            "tmp": [x for x in listed(Path("/tmp")) if "prefect" not in x],
            "mounts": Path("/proc/self/mounts").read_text(),
        }  # fmt: skip

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        seen = run(look)
        assert run(look, network="host")["reached"]
    mounts = seen.pop("mounts")
    assert seen == {
        "mine": False, "home": [], "token": None, "process": False, "reached": False, "etc": [],
        "cwd": "/home/flow", "here": [], "tmp": [],
    }  # fmt: skip
    for line in mounts.splitlines():
        _, target, _, options = line.split()[:4]
        if target.startswith(("/usr", "/lib", "/bin", "/etc/ssl")):
            assert "ro" in options.split(",")


@pytest.mark.parametrize("place", ["sandbox", "venv"])
def test_a_killed_command_leaves_nothing_at_any_moment(tmp_path, place):
    """Neither before the worker stands, nor while it is made, nor afterwards."""
    environment = PickleEnvironment()
    with Flow("sleeps") as flow:
        task(lambda: __import__("time").sleep(600), name="sleep")()
    (tmp_path / "sleeps.flow").write_bytes(environment.build(flow))
    command = [sys.executable, "-m", "prefect", "run", str(tmp_path / "sleeps.flow"), "--in", place]
    variables = os.environ | {KEY_VARIABLE: environment.encryption_key}
    assert left_behind(command, variables) == []


def test_its_environment_and_the_system_cannot_be_written():
    """Whoever runs it: what is shared with later runs and with the machine stays as it is."""

    def write():
        import os
        import sys
        from pathlib import Path

        written = []
        for directory in (sys.prefix, Path(os.__file__).parent, "/usr", "/usr/bin"):
            try:
                Path(directory, "prefect-test-written").touch()
                written.append(directory)
            except OSError:
                pass
        for path in ("made", "/tmp/made", "/var/tmp/made"):
            Path(path).write_text("1")
        return written

    assert run(write) == []


def test_what_is_given_is_there(tmp_path):
    """Volumes, variables, a working directory, limits: as an image's run has them."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "file").write_text("given")

    def look():
        import os
        from pathlib import Path

        text = Path("/data/in/file").read_text()
        return (
            text,
            os.environ["GIVEN"],
            str(Path.cwd()),
            os.access("/data/in", os.W_OK),
            os.getuid(),
        )

    seen = run(
        look, volumes=[f"{tmp_path}/in:/data/in:ro"], env={"GIVEN": "by hand"}, workdir="/data/work",
        memory="1g", cpus=1,
    )  # fmt: skip
    assert seen == ("given", "by hand", "/data/work", False, os.getuid())


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"gpus": "all"}, "--gpus cannot be had"),
        ({"user": "nobody"}, "--user cannot be had"),
        ({"network": "bridge"}, "container engine's network"),
        ({"volumes": ["/etc:/usr/share/x"]}, "of the system"),
        ({"volumes": ["/etc:/proc/x"]}, "no place for a volume"),
        ({"volumes": ["/no/such/place:/data"]}, "There is no /no/such/place"),
    ],
)
def test_what_it_has_not_is_refused(asked, said):
    """By its name, before an environment is made."""
    with pytest.raises(PlaceError, match=said):
        run(lambda: None, **asked)


def test_without_bubblewrap_it_is_refused_with_the_fix(monkeypatch):
    """What runc does with images has no part in it."""
    monkeypatch.setattr(
        "prefect.places.sandbox.sealed.find_host", lambda _: Host(None, overlay=True, runc="runc")
    )
    with pytest.raises(PlaceError, match="bubblewrap alone: install bubblewrap"):
        run(lambda: None)
    assert host.INSTALL.startswith("install bubblewrap")


def test_files_that_travel_are_there_and_check_tells_of_the_place(tmp_path):
    """By the command, with a package of an index and a file beside the flow."""
    (tmp_path / "data.txt").write_text("travelled")
    (tmp_path / "etl.py").write_text(
        "import pathlib\nimport iniconfig\nfrom prefect import Flow, task\n\n@task\ndef use():\n"
        "    print(iniconfig.__name__, pathlib.Path(__file__).with_name('data.txt').read_text())\n\n"
        "with Flow('etl') as flow:\n    use()\n"
    )

    def prefect(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "prefect", *arguments], cwd=tmp_path, capture_output=True, text=True,
            check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, (done.stdout, done.stderr)
        return done.stdout

    prefect("keygen", "flow.key")
    prefect("build", "etl.py", "--key-file", "flow.key", "--include", "data.txt")
    told = json.loads(prefect("check", "etl.flow", "sandbox", "--key-file", "flow.key", "--json"))
    assert {"sandbox", "Python", "requirements"} <= {one["about"] for one in told["findings"]}
    out = prefect("run", "etl.flow", "--in", "sandbox", "--key-file", "flow.key")
    assert "iniconfig travelled" in out
