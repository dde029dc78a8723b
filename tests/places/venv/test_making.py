"""Environments as they are made: by several, killed, on a full disk, in a cache that others may write."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from locked_making import HERE, manifest, package, target, wheel
from private_index import PASSWORD, USER, private_index
from wheel_making import sdist

from prefect.errors import RequirementsError, SettingError
from prefect.places.venv.environment import environment_for
from prefect.pylock import Lock

# Makes the environment of a manifest, and says where it is.
PROGRAM = """
import sys
from pathlib import Path
from prefect.errors import PrefectError
from prefect.payload.manifest import Manifest
from prefect.places.venv.environment import environment_for
flow = Manifest.from_json(Path(sys.argv[1]).read_bytes())
try:
    with environment_for(flow, progress=lambda line: print(line, flush=True)) as environment:
        print("at", environment.python, flush=True)
        if sys.argv[2:]:
            sys.stdin.read()
except PrefectError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def start(flow, directory, *arguments, before=(), **options):
    """Start a process that makes an environment."""
    (path := directory / "manifest.json").write_bytes(flow.to_json())
    return subprocess.Popen(
        [*before, sys.executable, "-c", PROGRAM, path, *arguments], text=True,
        stdout=subprocess.PIPE, **options,
    )  # fmt: skip


def environments(tmp_path):
    """Return the directories of the cache that are, or were to be, environments."""
    return sorted((tmp_path / "cache" / "prefect" / "v1" / "directories").glob("*/*/pyvenv.cfg"))


def test_several_runs_at_once_make_one(index, tmp_path):
    """One makes it; the others wait, say so, and run in it."""
    flow = manifest(*(wheel(index, f"ours{number}") for number in range(30)))
    processes = [start(flow, tmp_path) for _ in range(4)]
    told = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert sum("Making an environment" in text for text in told) == 1
    assert len({text.rpartition("at ")[2] for text in told}) == 1
    assert len(environments(tmp_path)) == 1


def test_a_kill_leaves_no_half_environment_that_is_used(index, tmp_path):
    """Wherever it comes: the next run makes the environment anew, and removes what was left."""
    flow = manifest(*(wheel(index, f"ours{number}") for number in range(30)))
    for count in (1, 12, 30):
        process = start(flow, tmp_path)
        site = f"cache/prefect/v1/directories/*/*/lib/python{HERE}/site-packages/ours*.py"
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob(site))) < count and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    out, _ = start(flow, tmp_path).communicate(timeout=60)
    python = Path(out.rpartition("at ")[2].strip())
    program = "; ".join(f"import ours{number}" for number in range(30))
    subprocess.run([python, "-I", "-c", program], check=True)
    deadline = time.monotonic() + 60
    while len(environments(tmp_path)) > 1:  # a killed run's uv may write on for a moment
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_environment_is_held_as_long_as_a_run_uses_it(index, tmp_path):
    """`prefect cache --clear` leaves it alone until then, and counts it."""
    process = start(manifest(wheel(index, "ours")), tmp_path, "wait", stdin=subprocess.PIPE)
    while "at " not in process.stdout.readline():
        pass
    clear = [sys.executable, "-m", "prefect", "cache"]
    subprocess.run([*clear, "--clear"], check=True, capture_output=True)
    assert len(environments(tmp_path)) == 1
    process.communicate()
    shown = subprocess.run(clear, check=True, capture_output=True, text=True).stdout
    assert "1 environment" in shown
    subprocess.run([*clear, "--clear"], check=True, capture_output=True)
    assert environments(tmp_path) == []


@pytest.mark.parametrize("part", ["", "v1", "v1/directories", "v1/facts"])
def test_a_cache_that_others_may_write_is_refused(index, tmp_path, part):
    """What is in it would be run; the error says how to mend it, also where the environment is there."""
    flow = manifest(wheel(index, "ours"))
    with environment_for(flow):
        pass
    place = tmp_path / "cache" / "prefect" / part
    place.chmod(0o777)
    with pytest.raises(SettingError, match=r"[Oo]thers.*chmod go-w"), environment_for(flow):
        pass


def test_a_full_disk_is_told_with_the_cache(index, tmp_path):
    """The error names the cache and the variable; nothing is left that is believed."""
    flow = manifest(*(wheel(index, f"ours{number}", **{f"ours{number}": "#" * 40_000}) for number in range(30)))
    cache = tmp_path / "small"
    cache.mkdir()
    script = f'mount -t tmpfs -o size=1m,mode=0700 tmpfs {cache} && exec "$@"'
    space = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    process = start(
        flow, tmp_path, before=space, stderr=subprocess.PIPE,
        env=os.environ | {"XDG_CACHE_HOME": str(cache)},
    )  # fmt: skip
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert f"DiskFullError: There is no space left for the cache {cache}/prefect" in err
    assert "XDG_CACHE_HOME" in err


def test_credentials_of_an_index_come_to_rest_nowhere(index, tmp_path, monkeypatch):
    """An index is asked as uv's variables say; no file of the environment has its password."""
    flow = manifest(wheel(index, "ours"))
    monkeypatch.delenv("UV_FIND_LINKS")
    monkeypatch.delenv("UV_NO_INDEX")
    with private_index(index) as host:
        monkeypatch.setenv("UV_INDEX_URL", f"http://{USER}:{PASSWORD}@{host}/simple")
        with environment_for(flow):
            pass
    kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if PASSWORD.encode() in path.read_bytes()]


def test_what_is_locked_as_a_source_is_built(index, tmp_path):
    """Whoever locked it has allowed that; its build script sees no variable of this process."""
    sdist(index, "ours", tmp_path / "told")
    flow = manifest(lock=Lock.of({target(): [package(index / "ours-1.tar.gz")]}).text())
    with environment_for(flow) as environment:
        subprocess.run([environment.python, "-I", "-c", "import ours"], check=True)
    assert "PREFECT" not in "".join(json.loads((tmp_path / "told").read_text()))


def test_what_no_index_has_is_said_with_the_fix(index):
    """The package is named, and that wheels can travel."""
    made = wheel(index, "ours")
    flow = manifest(made)
    made.unlink()
    with pytest.raises(RequirementsError, match=r"(?s)--vendor.*ours"), environment_for(flow):
        pass


def test_an_environment_whose_python_is_gone_is_made_anew(index):
    """A link to nothing is no Python."""
    flow = manifest(wheel(index, "ours"))
    with environment_for(flow) as environment:
        environment.python.unlink()
        environment.python.symlink_to("/nowhere")
    with environment_for(flow) as again:
        subprocess.run([again.python, "-I", "-c", "import ours"], check=True)


def test_what_somebody_installed_into_an_environment_is_in_no_other_run(index):
    """An environment that an installer has changed is made anew."""
    flow = manifest(wheel(index, "ours"))
    with environment_for(flow) as environment:
        (site,) = environment.python.parents[1].glob("lib/python*/site-packages")
        (site / "strange.py").touch()
    with environment_for(flow) as again:
        assert not list(again.python.parents[1].rglob("strange.py"))
