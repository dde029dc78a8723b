"""`python etl.pyz`: a sealed flow that runs by itself, where nothing but Python is."""

import json
import os
import signal
import stat
import subprocess
import sys
import time

import other_pythons
import pytest
from pyz_making import KEY, run

from prefect.environments import PickleEnvironment

FLOW = """
import os
import sys
import helper_beside
from prefect import Flow, Parameter, task

@task
def report(n: int, fail: bool):
    print("sum", helper_beside.total(range(n)), "key", os.environ.get("PREFECT_ENCRYPTION_KEY"))
    print("secret", os.environ.get("TOKEN"), "at", sys.version_info[:2], "prefect.cli" in sys.modules)
    if fail:
        raise RuntimeError("as asked")

with Flow("figures") as flow:
    report(Parameter("n", default=3), Parameter("fail", default=False))
"""
HELPER = "def total(xs):\n    return sum(xs)\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A directory that has etl.pyz, which is for each Python here, and flow.key."""
    place = tmp_path_factory.mktemp("made")
    (place / "etl.py").write_text(FLOW)
    (place / "helper_beside.py").write_text(HELPER)
    command = [sys.executable, "-m", "prefect"]
    for arguments in (
        ["keygen", "flow.key"],
        ["build", "etl.py", "-o", "etl.pyz", "--key-file", "flow.key"],
        ["build", "etl.py", "-o", "etl.flow", "--key-file", "flow.key"],
    ):
        subprocess.run([*command, *arguments], cwd=place, check=True, capture_output=True)
    (place / "flow.key").chmod(0o644)  # for other users, to whom no key of worth is shown
    (place / "etl.pyz").chmod(0o755)
    return place


@pytest.fixture
def etl(made, tmp_path):
    """A function that runs the file with its key in an empty directory, and a home of its own."""
    for name in ("etl.pyz", "flow.key"):
        (tmp_path / name).hardlink_to(made / name)
    (tmp_path / "home").mkdir()

    def ran(*arguments, series=other_pythons.HERE, key="flow.key", environment=None, **more):
        keys = ("--key-file", key) if key else ()
        return run(
            other_pythons.python(series), "etl.pyz", *arguments, *keys, cwd=tmp_path,
            environment={"HOME": str(tmp_path / "home")} | (environment or {}), **more,
        )  # fmt: skip

    ran.place = tmp_path
    return ran


def test_what_a_run_came_to_is_left_where_it_is_asked_for(etl):
    """Its result as JSON, by threads; what cannot be such a file, or executor, is refused first."""
    done = etl("-p", "n=4", "--result", "out.json", "--executor", "threads:2", "--output", "files")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((etl.place / "out.json").read_text())
    assert (told["flow"], told["state"]) == ("figures", "Success")
    assert (etl.place / "files").is_dir()
    for wrong, says in (
        (("--result", "out.csv"), ".json"),
        (("--executor", "cloud"), "no executor 'cloud'"),
    ):
        done = etl(*wrong)
        assert done.returncode == 2
        assert says in done.stderr
        assert "sum" not in done.stdout


def unpacked(home):
    """Return the directories in which something was unpacked below a home."""
    return sorted((home / ".cache" / "prefect" / "pyz").glob("[!.]*"))


@pytest.mark.parametrize("series", other_pythons.SERIES)
def test_it_runs_by_each_python_without_a_network_or_any_package(etl, series):
    """As another user, whose home is not there; nothing is left where it ran."""
    (etl.place / "tmp").mkdir()
    (etl.place / "tmp").chmod(0o1777)
    done = etl(
        "-p", "n=4", series=series,
        environment={"HOME": "/proc/none", "TMPDIR": str(etl.place / "tmp")},
        before=("unshare", "--net", "--user", "--map-user=65534", "--map-group=65534"),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sum 6 key None" in done.stdout
    assert f"at ({series.replace('.', ', ')}) False" in done.stdout
    assert "flow 'figures': Success" in done.stdout
    assert done.stderr == ""
    assert list((etl.place / "tmp").iterdir()) == []


def test_it_is_unpacked_once_for_a_user_with_its_bytecode(etl):
    """In the cache directory, for this user alone; the second run finds it."""
    assert etl().returncode == 0
    (first,) = unpacked(etl.place / "home")
    assert stat.S_IMODE(first.parent.stat().st_mode) == 0o700
    assert list(first.glob("site-packages/prefect/core/__pycache__/flow.*.pyc"))
    number = first.stat().st_ino
    assert etl().returncode == 0
    assert [one.stat().st_ino for one in unpacked(etl.place / "home")] == [number]


def test_what_a_cleaner_took_a_part_of_is_unpacked_again(etl):
    """As those do that delete what nobody has read for long."""
    assert etl().returncode == 0
    (place,) = unpacked(etl.place / "home")
    next(place.glob("site-packages/cryptography/cobblestone.*")).unlink()
    done = etl()
    assert done.returncode == 0, done.stderr
    assert next(place.glob("site-packages/cryptography/cobblestone.*")).exists()


def started(place, **more) -> subprocess.Popen:
    """Start the file with its key, and go on."""
    python = other_pythons.python(other_pythons.HERE)
    return subprocess.Popen(
        [python, "-I", "-S", "etl.pyz", "--key-file", "flow.key"],
        cwd=place, env={"PATH": os.environ["PATH"], "HOME": str(place / "home")}, **more,
    )  # fmt: skip


def test_runs_that_start_at_once_share_what_they_unpack(etl):
    """None of them sees what is not whole, and nothing is left beside it."""
    runs = [started(etl.place, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    told = [(one.communicate(timeout=240)[0], one.returncode) for one in runs]
    assert all(status == 0 and "sum 3" in out for out, status in told), told
    assert len(unpacked(etl.place / "home")) == 1
    assert list((etl.place / "home" / ".cache" / "prefect" / "pyz").glob(".*")) == []


def test_a_kill_while_it_unpacks_leaves_nothing_that_is_believed(etl):
    """The next run unpacks it, and removes what the killed one left."""
    cache = etl.place / "home" / ".cache" / "prefect" / "pyz"
    with started(etl.place) as killed:
        while not list(cache.glob(".*/site-packages/prefect/core")) and killed.poll() is None:
            time.sleep(0.001)
        killed.send_signal(signal.SIGKILL)
    assert unpacked(etl.place / "home") == []
    assert len(list(cache.glob(".*"))) == 1
    assert etl().returncode == 0
    assert list(cache.glob(".*")) == []


@pytest.mark.parametrize("bits", [0o777, 0o1777])
def test_a_cache_that_others_may_write_is_not_believed(etl, bits):
    """What is unpacked there by somebody else would run: a directory of the run's own is used."""
    assert etl().returncode == 0
    (place,) = unpacked(etl.place / "home")
    (place / "site-packages" / "prefect" / "version.py").write_text("raise SystemExit('believed')")
    place.parent.chmod(bits)
    done = etl()
    assert done.returncode == 0
    assert "may be written by others" in done.stderr
    assert "sum 3" in done.stdout


@pytest.mark.parametrize(
    ("home", "caches"),
    [(None, "/proc/none"), ("/proc/none", None), ("", None), ("relative", None)],
)
def test_it_needs_no_home(etl, home, caches):
    """Unset, where nothing can be written, empty, and no absolute path: nothing is left anywhere."""
    before = sorted(etl.place.iterdir())
    done = etl(environment={"HOME": home, "XDG_CACHE_HOME": caches})
    assert done.returncode == 0, done.stderr
    assert "sum 3" in done.stdout
    assert sorted(etl.place.iterdir()) == before


def test_only_few_are_kept_and_none_that_a_run_uses(etl):
    """Each release that a user runs leaves one: the oldest go, but for one that is locked."""
    import fcntl

    cache = etl.place / "home" / ".cache" / "prefect" / "pyz"
    cache.mkdir(parents=True)
    for part in (cache, cache.parent, cache.parent.parent):
        part.chmod(0o700)
    for number in range(8):
        (cache / f"{number:032x}").mkdir()
        os.utime(cache / f"{number:032x}", (number, number))
    handle = os.open(cache / f"{0:032x}", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_SH)
    assert etl().returncode == 0
    os.close(handle)
    left = [one.name for one in unpacked(etl.place / "home")]
    assert len(left) == 5
    assert {f"{n:032x}" for n in (0, 5, 6, 7)} < set(left)


def test_a_failed_flow_and_wrong_usage_have_the_statuses_of_prefect_run(etl):
    """1 where the flow failed; 2 for all that keeps it from running, with what to do about it."""
    failed = etl("-p", "fail=true", "--json")
    assert failed.returncode == 1
    assert '"event": "flow"' in failed.stdout
    for arguments, told in (
        (("-p", "m=1"), "'m'"),
        (("-p", "n"), "name=value"),
        (("-p", "n=many"), "'n'"),
        (("--executor", "nowhere"), "There is no executor 'nowhere'"),
        (("--secret", "TOKEN"), "TOKEN"),
        (("--nonsense",), "unrecognized arguments: --nonsense"),
        (("--trusted-signer", "flow.key"), "a signer is needed"),
    ):
        done = etl(*arguments)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert told in done.stderr
        assert "Traceback" not in done.stderr


def test_quiet_tells_warnings_and_what_it_came_to_as_prefect_run_does(etl):
    """And what tasks print; with --json, which tells everything, it is refused."""
    done = etl("-q")
    assert done.returncode == 0, done.stderr
    first, _, last = done.stdout.splitlines()
    assert first == "sum 3 key None"
    assert last.endswith("INFO     flow 'figures': Success: All reference tasks succeeded.")
    assert etl("--quiet", "--json").returncode == 2


def test_without_its_key_it_says_which_one_is_needed(etl):
    """None, another one, and what is no key."""
    none = etl(key=None)
    assert none.returncode == 2
    assert "There is no key to open etl.pyz with. It opens for the encryption key " in none.stderr
    other = etl(key=None, environment={KEY: PickleEnvironment().encryption_key})
    assert other.returncode == 2
    assert "This sealed flow cannot be opened" in other.stderr
    wrong = etl(key="etl.pyz")
    assert wrong.returncode == 2
    assert "etl.pyz holds no key" in wrong.stderr
    absent = etl(key="none.key")
    assert (absent.returncode, "none.key cannot be read" in absent.stderr) == (2, True)


def test_the_key_and_secrets_are_masked_and_a_task_gets_the_secrets_alone(etl):
    """The key may come in a variable, or from standard input."""
    key = (etl.place / "flow.key").read_text().strip()
    done = etl("--secret", "TOKEN", key=None, environment={KEY: key, "TOKEN": "hush-hush"})
    assert done.returncode == 0, done.stderr
    assert "key None" in done.stdout
    assert "secret ***" in done.stdout.replace("[secret]", "***").replace("*****", "***")
    assert "hush-hush" not in done.stdout
    with (etl.place / "flow.key").open("rb") as file:
        piped = subprocess.run(
            [sys.executable, "-I", "etl.pyz", "--key-file", "-"], cwd=etl.place, stdin=file,
            env={"HOME": str(etl.place / "home")}, check=False, capture_output=True, text=True,
        )  # fmt: skip
    assert piped.returncode == 0, piped.stderr


def test_help_and_info_tell_of_the_flow_to_who_has_a_key(etl):
    """To anybody else what is in the clear: whose key it needs. Nothing of the flow is executed."""
    told = etl("--help", key=None)
    assert told.returncode == 0
    for expected in ("usage: python etl.pyz", "-p NAME=VALUE", "It opens for the encryption key"):
        assert expected in told.stdout
    assert "figures" not in told.stdout
    for option in ("--help", "--info"):
        opened = etl(option)
        assert opened.returncode == 0
        assert "The flow 'figures'" in opened.stdout
        assert "-p n=…" in opened.stdout
        assert "int, 3" in opened.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_the_status_of_that(etl, number):
    """143 and 130, and what was started does not stay behind."""
    (etl.place / "wait.py").write_text(
        "import time\nfrom prefect import Flow, task\n\n@task\ndef wait():\n"
        "    print('waits', flush=True)\n    time.sleep(200)\n\nwith Flow('waits') as flow:\n    wait()\n"
    )
    command = [sys.executable, "-m", "prefect", "build", "wait.py", "-o", "wait.pyz"]
    series = ["--python", other_pythons.HERE, "--key-file", "flow.key"]
    subprocess.run([*command, *series], cwd=etl.place, check=True, capture_output=True)
    with subprocess.Popen(
        [sys.executable, "-I", "wait.pyz", "--key-file", "flow.key"], cwd=etl.place,
        env={"HOME": str(etl.place / "home")}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as waiting:  # fmt: skip
        for line in waiting.stdout:
            if "waits" in line and "task" not in line and "flow" not in line:
                break
        waiting.send_signal(number)
        _, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 128 + number
    assert "Stopped." in err


def test_a_python_that_is_too_old_is_told_so():
    """Its first file is one that even Python 2 compiles; here, one that says to be older runs it."""
    from prefect.standalone import START

    source = START.decode().replace("sys.version_info < (3, 11)", "True")
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "this file needs CPython 3.11 or newer" in done.stderr
    assert "print(" not in source
    assert not any(
        line.lstrip().startswith(("async", "match", "f'")) for line in source.split("\n")
    )


def test_a_platform_that_it_was_not_built_for_is_told_what_to_do(made, tmp_path):
    """Unless cryptography is installed there."""
    command = [sys.executable, "-m", "prefect", "build", "etl.py", "-o", str(tmp_path / "etl.pyz")]
    more = ["--for", "linux/arm64", "--python", other_pythons.HERE, "--key-file", "flow.key"]
    subprocess.run([*command, *more], cwd=made, check=True, capture_output=True)
    python = other_pythons.python(other_pythons.HERE)
    alone = run(python, "etl.pyz", cwd=tmp_path)
    assert alone.returncode == 2
    assert "none of it is for Python" in alone.stderr
    assert "--for" in alone.stderr
    key = {KEY: (made / "flow.key").read_text().strip()}
    there = run(sys.executable, "etl.pyz", cwd=tmp_path, environment=key, options=())
    assert there.returncode == 0, there.stderr


def test_prefect_run_takes_the_sealed_flow_in_it_and_none_of_what_is_beside_it(made, tmp_path):
    """With the package that is installed: what stands in the clear is not executed."""
    (tmp_path / "etl.pyz").hardlink_to(made / "etl.pyz")
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "prefect", "run", "etl.pyz", "--key-file",
         made / "flow.key"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "sum 3" in done.stdout
    assert "prefect.worker.unpacking" not in done.stderr
