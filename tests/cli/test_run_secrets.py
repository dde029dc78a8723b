"""`prefect run` keeps secrets and keys out of all that it shows."""

import json
import os
import pty
import select
import subprocess
import sys

import pytest

VALUE = "canary ä\"' 7461-9932"

# Each way in which a task, or the flow's file itself, may tell what it knows.
WAYS = {
    "print": "print('tells', TOKEN())",
    "in pieces": "sys.stdout.write('tells '); sys.stdout.write(TOKEN()[:9]); print(TOKEN()[9:])",
    "stderr": "print('tells', TOKEN(), file=sys.stderr)",
    "original stream": "print('tells', TOKEN(), file=sys.__stderr__, flush=True)",
    "bytes": "sys.stdout.flush(); sys.stdout.buffer.write(b'tells ' + TOKEN().encode() + b'\\n')",
    "os.write": "os.write(1, f'tells {TOKEN()}\\n'.encode())",
    "child": "subprocess.run(['sh', '-c', 'echo tells $TOKEN'], check=True)",
    "child stderr": "subprocess.run(['sh', '-c', 'echo tells $TOKEN >&2'], check=True)",
    "logging": "logging.getLogger('mine').warning('tells %s', TOKEN())",
    "task logger": "logging.getLogger('prefect.task.tell').error('tells %s', TOKEN())",
    "warning": "warnings.warn('tells ' + TOKEN(), stacklevel=1)",
    "error": "raise RuntimeError('tells ' + TOKEN())",
    "chained error": "raise RuntimeError('x') from ValueError('tells ' + TOKEN())",
    "hook": "sys.excepthook(ValueError, ValueError('tells ' + TOKEN()), None)",
    "thread": "t = threading.Thread(target=lambda: 1 / {}['tells ' + TOKEN()]); t.start(); t.join()",
}
FILE = """
import logging
import os
from prefect import Flow, Parameter, task
from prefect.environments import Environment

logging.basicConfig()

@task
def tell(way):
    exec(
        "import logging, os, prefect, subprocess, sys, threading, warnings\\n"
        "TOKEN = lambda: os.environ['TOKEN']\\n"
        "logging.basicConfig()\\n" + way,
        {},
    )

with Flow("tells", environment=Environment(secrets=["TOKEN"])) as flow:
    tell.map(Parameter("ways"))
"""
LOADING = """
class Loaded:
    def __reduce__(self):
        return eval, ("(_ for _ in ()).throw({error}('tells ' + __import__('os').environ['TOKEN']))",)

@task
def use(loaded=Loaded()):
    pass

with Flow("fails to load", environment=Environment(secrets=["TOKEN"])) as flow:
    use()
"""
HANDLER = """
def handler(task, old, new):
    raise {error}("tells " + os.environ["TOKEN"])

@task(state_handlers=[handler])
def handled():
    pass

with Flow("handled", environment=Environment(secrets=["TOKEN"])) as flow:
    handled()
"""


PLAIN = """
import os
from prefect import Flow, task

@task
def tell():
    key = os.environ.get("PREFECT_ENCRYPTION_KEY", "no key")
    child = os.popen("echo ${PREFECT_ENCRYPTION_KEY-no key} here").read()
    print("tells", os.environ.get("TOKEN", "no token"), key, child)

with Flow("plain") as flow:
    tell()
"""


def run(prefect, source, *arguments, sealed, status, **environment):
    """Run a flow's file, or the sealed flow that is built of it; return all that is shown."""
    (prefect.directory / "flow.py").write_text(source)
    artifact = ["flow.py"]
    if sealed:
        (prefect.directory / "flow.key").unlink(missing_ok=True)
        prefect("keygen", "flow.key")
        prefect("build", "flow.py", "-o", "it.flow", "--key-file", "flow.key")
        artifact = ["it.flow", "--key-file", "flow.key"]
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "run", *artifact, *arguments],
        cwd=prefect.directory, env=os.environ | {"TOKEN": VALUE} | environment,
        stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=240,
    )  # fmt: skip
    shown = (done.stdout + done.stderr).decode()
    assert done.returncode == status, shown
    return shown


def assert_masked(shown):
    assert "tells" in shown
    for part in ("canary", "7461", "9932"):
        assert part not in shown, shown


@pytest.mark.parametrize("form", ["lines", "--json"])
@pytest.mark.parametrize("executor", ["local", "threads", "dask"])
@pytest.mark.parametrize("sealed", [False, True], ids=["file", "sealed"])
def test_whatever_tells_it_a_secret_is_masked(prefect, sealed, executor, form):
    """By any stream, logger, child process or error of a task, wherever the task runs."""
    ways = f"ways={json.dumps(list(WAYS.values()))}"
    arguments = ["-p", ways, "--executor", executor, *([form] if form != "lines" else [])]
    shown = run(prefect, FILE, *arguments, sealed=sealed, status=1)
    assert_masked(shown)
    assert shown.count("tells ") >= len(WAYS)


@pytest.mark.parametrize("form", ["lines", "--json"])
@pytest.mark.parametrize(
    ("sealed", "source"), [(False, HANDLER), (True, HANDLER), (True, LOADING)],
    ids=["file", "sealed", "unpickling"],
)  # fmt: skip
@pytest.mark.parametrize("error", ["RuntimeError", "__import__('prefect').errors.FlowError"])
def test_an_error_outside_of_tasks_is_masked(prefect, sealed, source, error, form):
    """Of a state handler, and while a sealed flow is unpickled; also one of our own."""
    arguments = [form] if form != "lines" else []
    status = 2 if source is LOADING else 1
    shown = run(
        prefect, FILE + source.replace("{error}", error), *arguments, sealed=sealed, status=status
    )
    assert_masked(shown)


def test_a_terminal_shows_no_secret(prefect):
    """What goes below Python's streams is masked in the live view, too."""
    (prefect.directory / "flow.py").write_text(FILE)
    ours, theirs = pty.openpty()
    ways = f"ways={json.dumps(list(WAYS.values()))}"
    with subprocess.Popen(
        [sys.executable, "-m", "prefect", "run", "flow.py", "-p", ways],
        cwd=prefect.directory, env=os.environ | {"TOKEN": VALUE, "COLUMNS": "200"},
        stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
    ) as process:  # fmt: skip
        os.close(theirs)
        shown = b""
        try:
            while select.select([ours], [], [], 60)[0] and (chunk := os.read(ours, 65536)):
                shown += chunk
        except OSError:  # a terminal's way to say that nobody writes any more
            pass
        assert process.wait() == 1
    os.close(ours)
    assert_masked(shown.decode())


@pytest.mark.parametrize("executor", ["local", "dask"])
@pytest.mark.parametrize("sealed", [False, True], ids=["file", "sealed"])
def test_a_secret_is_named_with_the_run(prefect, sealed, executor):
    """Tasks have it, masked; without a value nothing runs."""
    arguments = ["--secret", "TOKEN", "--executor", executor]
    assert "tells ***" in run(prefect, PLAIN, *arguments, sealed=sealed, status=0)
    shown = run(prefect, PLAIN, "--secret", "TOKEN_2", sealed=sealed, status=2)
    assert "TOKEN_2" in shown
    assert "tells" not in shown
    for wrong in (["--secret", "A B"], ["--secret", "TOKEN", "--secret", "TOKEN"]):
        assert "tells" not in run(prefect, PLAIN, *wrong, sealed=sealed, status=2)


@pytest.mark.parametrize("executor", ["local", "dask"])
@pytest.mark.parametrize("sealed", [False, True], ids=["file", "sealed"])
def test_tasks_do_not_get_the_key(prefect, sealed, executor):
    """Neither in their environment nor in that of their children or workers."""
    prefect("keygen", "other.key")
    key = (prefect.directory / "other.key").read_text().strip()
    shown = run(
        prefect, PLAIN, "--executor", executor, sealed=sealed, status=0, PREFECT_ENCRYPTION_KEY=key
    )
    assert "no key no key here" in shown


def test_the_key_of_a_file_is_masked(prefect):
    """A task that knows it all the same shows a mask."""
    run(prefect, PLAIN, sealed=True, status=0)
    key = (prefect.directory / "flow.key").read_text().strip()
    shown = prefect(
        "run", "it.flow", "--key-file", "flow.key", "--secret", "TOKEN", TOKEN=f"x {key}"
    )
    assert key not in str(shown)


def test_a_value_that_cannot_be_kept_secret_is_refused(prefect):
    """Where it is too short to be masked, before anything runs; an empty one has nothing to keep."""
    shown = run(prefect, FILE, "-p", "ways=[]", sealed=False, status=2, TOKEN="abc")
    assert "The value of TOKEN has fewer than 4 characters" in shown
    assert "abc" not in shown
    run(prefect, FILE, "-p", "ways=[]", sealed=False, status=0, TOKEN="")


ENCODED = """
import logging, os, subprocess, sys
kept = logging.getLogger("kept")
kept.addHandler(logging.StreamHandler(sys.__stdout__))
from prefect import Flow, task

@task
def tell():
    value = os.environ["TOKEN"]
    print("print", value)
    kept.warning("kept %s", value)
    os.write(1, b"utf-8 " + value.encode() + b"\\n")
    child = "import os; print('child', os.environ['TOKEN'])"
    encoding = sys.__stdout__.encoding + ":backslashreplace"
    subprocess.run([sys.executable, "-c", child], env={**os.environ, "PYTHONIOENCODING": encoding}, check=True)

with Flow("encoded") as flow:
    tell()
"""


@pytest.mark.parametrize(
    "encoding", ["utf-8", "latin-1", "ascii", "cp1252", "ascii:backslashreplace"]
)
def test_a_secret_is_masked_in_whatever_encoding(prefect, encoding):
    """What a stream's encoding lacks is an escape in it, and its bytes may be no UTF-8."""
    (prefect.directory / "encoded.py").write_text(ENCODED)
    out, _ = prefect(
        "run", "encoded.py", "--secret", "TOKEN",
        TOKEN="pässwörd-€-naïve", PYTHONIOENCODING=encoding,
    )  # fmt: skip
    lines = {line for line in out.splitlines() if "INFO" not in line}
    assert lines == {"print ***", "kept ***", "utf-8 ***", "child ***"}
