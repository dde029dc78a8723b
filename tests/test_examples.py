"""The examples: each is what a newcomer tries first, with the command that is documented."""

import hmac
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from dask_cluster import cluster_of

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
FLOWS = {
    "forecast": "forecast",
    "hello": "hello",
    "secret_report": "secret-report",
    "weather": "seattle-weather",
}
KEY = "correct-horse-battery"


def execute(*command, cwd, **environment):
    """Run a program in an empty directory, and return what it did."""
    return subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def prefect(*arguments, cwd, **environment):
    return execute(sys.executable, "-m", "prefect", *arguments, cwd=cwd, **environment)


def events(done):
    """Return the JSON lines of a run that succeeded."""
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def logged(done):
    """Return the text that a successful run's tasks logged."""
    return "\n".join(event["message"] for event in events(done) if event["event"] == "log")


def states(done):
    """Return every state of a successful run's tasks, as pairs of name and state."""
    found = [event for event in events(done) if event["event"] == "task"]
    return [(event["name"], event["state"]) for event in found]


def test_every_example_is_tested():
    """Each file that defines a flow is in this module's list."""
    found = {path.stem for path in EXAMPLES.glob("*.py") if "with Flow(" in path.read_text()}
    assert found == set(FLOWS)


@pytest.mark.parametrize("example", FLOWS)
def test_run(example, tmp_path):
    """Each example runs to success with the command and without any option."""
    done = prefect("run", EXAMPLES / f"{example}.py", "--json", cwd=tmp_path, SIGNING_KEY=KEY)
    last = events(done)[-1]
    assert (last["event"], last["flow"], last["state"]) == ("flow", FLOWS[example], "Success")
    assert done.stderr == ""


@pytest.mark.parametrize("example", FLOWS)
def test_graph(example, tmp_path):
    """Each example can be drawn, in every form of text."""
    for form in ("text", "mermaid", "dot"):
        done = prefect("graph", EXAMPLES / f"{example}.py", "--format", form, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) >= 2
    assert list(tmp_path.iterdir()) == []


def test_hello_greets(tmp_path):
    """The smallest example greets the world, or whom its parameter names."""
    assert "Hello, world!" in logged(prefect("run", EXAMPLES / "hello.py", "--json", cwd=tmp_path))
    named = prefect("run", EXAMPLES / "hello.py", "--json", "-p", "name=Ada", cwd=tmp_path)
    assert "Hello, Ada!" in logged(named)


def test_weather_makes_a_picture(tmp_path):
    """The picture is a PNG of a README's size, with the many colours of a chart."""
    events(prefect("run", EXAMPLES / "weather.py", "--json", cwd=tmp_path))
    picture = tmp_path / "weather.png"
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    pixels = matplotlib.image.imread(picture)
    height, width, _ = pixels.shape
    assert width == 1200
    assert 800 <= height <= 1200
    colours = np.unique(pixels.reshape(height * width, -1), axis=0)
    assert len(colours) > 500
    white = (pixels[..., :3] > 0.99).all(axis=-1).mean()
    assert 0.2 < white < 0.8
    assert not list(tmp_path.glob(".weather.png*"))


def test_weather_prints_a_table(tmp_path):
    """The table has a line for each year that is asked for, and no other."""
    wanted = ("-p", "first_year=2013", "-p", "last_year=2014", "-p", "picture=null")
    done = prefect("run", EXAMPLES / "weather.py", "--json", *wanted, cwd=tmp_path)
    text = logged(done)
    assert "2013     12.1        -7.1        33.9             828.0       152" in text
    assert "2014     12.8" in text
    assert "\n2012 " not in text
    assert "\n2015 " not in text
    assert ("draw", "Skipped") in states(done)
    assert not list(tmp_path.glob("*.png"))


def test_weather_retries(tmp_path):
    """The extraction is tried again as often as the archive is out of service."""
    done = prefect(
        *("run", EXAMPLES / "weather.py", "--json", "-p", "outages=2", "-p", "picture=null"),
        cwd=tmp_path,
    )
    extract = [state for name, state in states(done) if name == "extract"]
    assert extract.count("Retrying") == 2
    assert extract[-1] == "Success"


def test_weather_refuses_years_without_data(tmp_path):
    """Years without any weather fail the run, with a message that names them."""
    done = prefect("run", EXAMPLES / "weather.py", "-p", "first_year=2050", cwd=tmp_path)
    assert done.returncode == 1
    assert "there is no weather from 2050 to 2015" in done.stdout
    assert not list(tmp_path.glob("*.png"))


def test_weather_needs_no_network(tmp_path):
    """The data come with a package: the flow succeeds where no socket can be opened."""
    program = (
        "import runpy, sys\n"
        "def refuse(event, arguments):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo'):\n"
        "        raise OSError('no network here')\n"
        "sys.addaudithook(refuse)\n"
        f"sys.argv = ['prefect', 'run', {str(EXAMPLES / 'weather.py')!r}, '-p', 'picture=null']\n"
        "runpy.run_module('prefect', run_name='__main__')\n"
    )
    done = execute(sys.executable, "-c", program, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_weather_as_a_script(tmp_path):
    """As a plain script it prints the table, makes the picture, and shows what its tasks log."""
    done = execute(sys.executable, EXAMPLES / "weather.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "INFO - prefect.task.extract | 1461 days from 2012-01-01 to 2015-12-31" in done.stderr
    assert not {"WARNING", "ERROR", "Traceback"} & set(done.stderr.split())
    assert [line[:4] for line in done.stdout.splitlines()[2:]] == ["2012", "2013", "2014", "2015"]
    assert (tmp_path / "weather.png").exists()


def test_weather_travels_with_its_helper(tmp_path):
    """Sealed, it draws the same picture in a process that cannot import the helper beside it."""
    key, sealed = tmp_path / "a.key", tmp_path / "weather.flow"
    assert prefect("keygen", key, cwd=tmp_path).returncode == 0
    built = prefect(
        *("build", EXAMPLES / "weather.py", "-o", sealed, "--key-file", key), cwd=tmp_path
    )
    assert built.returncode == 0, built.stderr
    told = prefect("info", sealed, "--key-file", key, "--json", cwd=tmp_path)
    requirements = json.loads(told.stdout)["requirements"]
    assert {"matplotlib", "pandas", "vega_datasets"} <= set(requirements)
    assert "charts" not in requirements
    pictures = []
    for what in ((sealed, "--key-file", key), (EXAMPLES / "weather.py",)):
        events(prefect("run", *what, "--json", cwd=tmp_path))
        pictures.append((tmp_path / "weather.png").read_bytes())
        (tmp_path / "weather.png").unlink()
    assert pictures[0] == pictures[1]


def test_secret_report_masks_its_key(tmp_path):
    """The signature is the key's, and the key itself is printed nowhere."""
    done = prefect("run", EXAMPLES / "secret_report.py", "--json", cwd=tmp_path, SIGNING_KEY=KEY)
    expected = hmac.new(KEY.encode(), b"All is well.", "sha256").hexdigest()
    assert f"signed with ***: {expected}" in logged(done)
    assert KEY not in done.stdout + done.stderr


def test_secret_report_needs_its_key(tmp_path):
    """Without the secret nothing runs, and the message says how to provide it."""
    done = prefect("run", EXAMPLES / "secret_report.py", cwd=tmp_path)
    assert done.returncode == 2
    assert "SIGNING_KEY" in done.stderr


FORECAST = "-p", "count=4", "-p", "steps=6"


@pytest.fixture(scope="module")
def sealed_forecast(tmp_path_factory):
    """The sweep as a sealed flow, and its key."""
    directory = tmp_path_factory.mktemp("forecast")
    key, sealed = directory / "a.key", directory / "forecast.flow"
    assert prefect("keygen", key, cwd=directory).returncode == 0
    built = prefect(
        "build", EXAMPLES / "forecast.py", "-o", sealed, "--key-file", key, cwd=directory
    )
    assert built.returncode == 0, built.stderr
    return sealed, "--key-file", key


@pytest.fixture(scope="module")
def foretold(tmp_path_factory):
    """What the sweep comes to, one task after the other."""
    done = prefect(
        "run", EXAMPLES / "forecast.py", "--json", *FORECAST, cwd=tmp_path_factory.mktemp("local")
    )
    told = logged(done)
    assert told.startswith("tomorrow is foretold to 2.184 degrees on average")
    return told


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A cluster of two processes."""
    with cluster_of(2, tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.mark.parametrize("place", ["threads:2", "processes:2", "dask", "cluster"])
def test_the_forecast_is_the_same_everywhere(place, foretold, sealed_forecast, tmp_path, request):
    """The sweep runs unchanged in threads, processes, Dask here and on a cluster; as a sealed flow, too."""
    if place == "cluster":
        place = f"dask:{request.getfixturevalue('cluster').address}"
    for what in ((EXAMPLES / "forecast.py",), sealed_forecast):
        done = prefect("run", *what, "--json", "--executor", place, *FORECAST, cwd=tmp_path)
        assert logged(done) == foretold


@pytest.mark.services
def test_the_forecast_as_an_image(base_image, foretold, unique, tmp_path):
    """In a container it comes to the same, in processes and by Dask."""
    built = prefect(
        *("build", EXAMPLES / "forecast.py", "--image", base_image, "--tag", unique),
        *("-r", "dask[distributed]"),
        cwd=tmp_path,
    )
    assert built.returncode == 0, built.stderr
    for executor in ("processes:2", "dask"):
        done = prefect(
            "run", f"image:{unique}", "--json", "--executor", executor, *FORECAST, cwd=tmp_path
        )
        assert logged(done) == foretold


DRAWING = """
import pathlib, time

def draw_years(days, table, path):
    pathlib.Path("drawing").touch()
    time.sleep(60)
"""
TORN = b'{"event":"task","time":1e999,"task":[]}\n\x00\xff\xfe no JSON\n[[[[\n{"event":"task","time":17'


@pytest.mark.parametrize("executor", ["local", "processes:2"])
def test_the_weather_that_was_killed_twice_ends_as_if_it_had_not_been(tmp_path, executor):
    """Killed at a retry and while it draws, and its record damaged: what had ended is not run again.

    The picture is the same, byte for byte.
    """
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for directory in (whole, killed):
        directory.mkdir()
        for name in ("weather.py", "charts.py"):
            shutil.copy(EXAMPLES / name, directory)
    events(prefect("run", "weather.py", "--json", cwd=whole))

    command = [sys.executable, "-m", "prefect", "run", "weather.py", "--executor", executor]
    command += ["--store", "store"]
    records = killed / "store" / "runs"

    def kill(when, *more):
        with subprocess.Popen(
            [*command, *more], cwd=killed, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            while process.poll() is None and not when():
                time.sleep(0.02)
            assert process.returncode is None
            os.killpg(process.pid, signal.SIGKILL)

    def retries():
        return any(b"Retrying" in each.read_bytes() for each in records.glob("*.jsonl"))

    kill(retries, "-p", "outages=1")
    (killed / "charts.py").write_text(DRAWING)
    kill((killed / "drawing").exists, "--resume")
    assert not (killed / "weather.png").exists()
    for each in records.glob("*.jsonl"):
        with each.open("ab") as file:
            file.write(TORN)

    shutil.copy(EXAMPLES / "charts.py", killed)
    done = execute(*command, "--resume", "--json", cwd=killed)
    told = [pair for pair in states(done) if pair[1] not in {"Running", "Mapped"}]
    assert sorted(told) == sorted(
        [("extract", "Cached"), ("choose_years", "Cached"), *[("summarise", "Cached")] * 4,
         ("combine", "Cached"), ("draw", "Success")]
        + [(name, "Success") for name in ("outages", "first_year", "last_year", "picture")]
    )  # fmt: skip
    assert (killed / "weather.png").read_bytes() == (whole / "weather.png").read_bytes()
