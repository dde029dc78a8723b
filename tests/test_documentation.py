"""What README and documentation print works as printed."""

import ast
import importlib
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import prefect
from prefect.errors import UnsupportedError

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]


FENCED = r"^```{}\n(.*?)^```"


def fenced(text: str, language: str) -> list[str]:
    return re.findall(FENCED.format(language), text, re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> list[str]:
    return fenced((ROOT / page).read_text(), language)


def docstrings() -> dict[str, str]:
    """Return every docstring of the package, by where it stands."""
    described = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        f"{path.relative_to(ROOT)}:{getattr(node, 'name', '')}": text
        for path in sorted((ROOT / "src").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, described) and (text := ast.get_docstring(node))
    }


EXAMPLES = {
    f"{where} {number}": example
    for where, text in docstrings().items()
    for number, example in enumerate(fenced(text, "python"))
}


def run(source: str, directory: Path) -> str:
    """Run Python from a file, as a reader would; return what it prints."""
    (directory / "example.py").write_text(source)
    done = subprocess.run(
        [sys.executable, "-W", "error", "example.py"],
        cwd=directory, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # A flow that fails is not a program that does: its tracebacks are logged.
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done.stdout


def test_the_readme_opens_with_lines_that_work(tmp_path):
    """The first example, pasted into a file, seals and runs its flow."""
    assert run(blocks("README.md", "python")[0], tmp_path) == "hello\nHello, you!\n"


@pytest.mark.parametrize("where", EXAMPLES)
def test_every_example_in_a_docstring_runs(where, tmp_path):
    """An example, fenced as in Markdown, runs as it is printed."""
    run(EXAMPLES[where], tmp_path)


def test_the_packages_example_runs_when_it_is_pasted():
    """What `prefect.__doc__` shows is taken by `python -` as it stands."""
    (example,) = fenced(prefect.__doc__, "python")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-"],
        input=example, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "src/prefect/__init__.py: 0" in EXAMPLES


def test_every_example_in_a_docstring_is_fenced():
    """An example has one form, so that none is left out of those that are run."""
    code = re.compile(r">>> |::$|^```(?!python$|$)|^    (from \S+ )?import |^    @", re.MULTILINE)
    unfenced = [
        where
        for where, text in docstrings().items()
        if code.search(re.sub(FENCED.format("python"), "", text, flags=re.MULTILINE | re.DOTALL))
    ]
    assert unfenced == []


def test_docstrings_have_one_form():
    """Arguments stand under `Args:`, and each error under `Raises:` by its name, with its reason."""
    odd = []
    for where, text in docstrings().items():
        for paragraph in text.split("\n\n")[1:]:
            heading, *lines = paragraph.split("\n")
            if re.match(r"(Args|Attributes|Returns|Yields|Raises):$", heading):
                pattern = (
                    r"[A-Za-z][\w.]*(, [\w.]+)*: "
                    if heading == "Raises:"
                    else r"\*{0,2}\w+(, \w+)*: "
                )
                if heading not in {"Returns:", "Yields:"}:
                    odd += [
                        f"{where}: {line}"
                        for line in lines
                        if not re.match(rf"    (    +\S|{pattern})", line)
                    ]
            elif re.match(r"(?![A-Z])\w+(, \w+)*: |(Args|Raises|Returns)\b|Parameters:", heading):
                odd.append(f"{where}: {heading}")
    assert odd == [], "\n".join(odd)


@pytest.mark.parametrize("page", PAGES)
def test_every_example_in_python_runs(page, tmp_path):
    """The examples of a page run one after the other; those that need a container engine run below."""
    examples = [b for b in blocks(page, "python") if "build(flow=flow)" not in b]
    if examples:
        run("\n".join(examples), tmp_path)


def test_the_readmes_flow_does_what_it_shows(tmp_path):
    """Each year is fetched, is long enough, and is published."""
    (example,) = [b for b in blocks("README.md", "python") if "yearly" in b]
    printed = run(example, tmp_path)
    assert "rows: [365]" in printed
    assert printed.splitlines()[-1].startswith("[<Success")


@pytest.mark.services
def test_the_example_with_a_container_runs(base_image, daemon, unique, tmp_path, monkeypatch):
    """The README's image of its first flow is built and run, on the base image of the tests."""
    monkeypatch.setenv("DB_PASSWORD", "of the test")
    first, *others = blocks("README.md", "python")
    (example,) = [b for b in others if "build(flow=flow)" in b]
    code = example.replace("python:3.11-slim", base_image).replace('"pandas>=2"', '"iniconfig"')
    printed = run(first.replace('Flow("hello")', f'Flow("{unique}")') + code, tmp_path)
    status, *logs = printed.splitlines()[2:]
    assert status == "0"
    assert any("Hello, you!" in line for line in logs)


# Those of docs/packaging.md are run, with a project and another machine, by test_whole_package; those of
# docs/platforms.md, with an image in the registry, by tests/cli/test_manifest.py; and those of
# docs/pyz.md by test_pyz_page.
COMMANDS = {
    (page, number): commands
    for page in PAGES
    if page not in {"docs/packaging.md", "docs/platforms.md", "docs/pyz.md"}
    for number, commands in enumerate(blocks(page, "sh"))
}


def in_shell(commands: str, directory: Path) -> str:
    """Run commands in a checkout with this package's `prefect` first on the path.

    What they leave there is nothing that a commit would take.
    """
    programs, checkout = directory / "bin", directory / "checkout"
    programs.mkdir()
    for name, arguments in (("prefect", "-m prefect"), ("python", "")):
        command = programs / name
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        command.chmod(0o755)
    shutil.copytree(ROOT / "examples", checkout / "examples")
    shutil.copy(ROOT / ".gitignore", checkout)
    subprocess.run(["git", "init", "-q"], cwd=checkout, check=True)
    subprocess.run(["git", "add", "."], cwd=checkout, check=True)
    done = subprocess.run(
        ["sh", "-eu", "-c", commands], cwd=checkout, capture_output=True, text=True, check=False,
        env=os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"}, timeout=240,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    left = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=all"],
        cwd=checkout, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert [line for line in left.splitlines() if line.startswith("??")] == []
    return done.stdout


def commands_with(words: str) -> str:
    """Return the one block of commands, of any page, with these words; note that it is run."""
    ((where, found),) = [each for each in COMMANDS.items() if words in each[1]]
    TRIED.add(where)
    return found


TRIED: set[tuple[str, int]] = set()
PARTS = ["pip install", "keygen flow.key", "keygen --signing", "--for linux", "-r examples/greetings", "hello.pyz", "--export", "make services",
         "team/etl:1", "dask scheduler"]  # fmt: skip


def test_each_block_of_commands_has_its_test():
    """Each one is among those that the tests below run."""
    for words in PARTS:
        commands_with(words)
    assert sorted(COMMANDS) == sorted(TRIED)


def test_a_cluster_is_started_as_the_page_says(tmp_path):
    """A scheduler, a worker and a run are the three commands that it has."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    commands = commands_with("dask scheduler").replace("--port", "--host 127.0.0.1 --port")
    commands = commands.replace("10.0.0.5:8786", f"127.0.0.1:{port}").replace("8786", str(port))
    scheduler, worker, run_it = (
        [sys.executable, "-m", *shlex.split(line, comments=True)]
        for line in commands.replace("--nworkers 4", "--nworkers 1").splitlines()
    )
    there = []
    try:
        for command in (scheduler, worker):
            there.append(subprocess.Popen([*command, "--no-dashboard"], cwd=tmp_path,
                                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))  # fmt: skip
            while command is scheduler and not answers(port):
                assert there[0].poll() is None
                time.sleep(0.1)
        done = subprocess.run(
            run_it, check=False, cwd=ROOT, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        for process in reversed(there):
            process.terminate()
            process.wait()


def answers(port):
    """Tell whether somebody listens on this machine."""
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def test_the_readmes_way_to_one_file_works(tmp_path):
    """Install, key, build, info and run, as printed; then the same for a recipient, signed."""
    # That the package installs is another test's; here it is as if it were.
    install = commands_with("pip install").partition("pip install .\n")[2]
    output = in_shell(
        install
        + commands_with("keygen flow.key")
        + commands_with("keygen --signing")
        + commands_with("--for linux")
        + commands_with("-r examples/greetings")
        + commands_with("hello.pyz"),
        tmp_path,
    )
    assert output.count("Hello, you!") == 3
    assert "Hello, world!" in output
    assert "greet" in output
    assert "greetings-1.0-py3-none-any.whl" in output


@pytest.mark.services
def test_the_readmes_way_to_an_image_without_an_engine_works(
    base_image, registry, unique, tmp_path, monkeypatch
):
    """Pushed, exported and looked into, as printed, with a registry and a base at hand."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    commands = commands_with("--export").replace("python:3.11-slim", base_image)
    output = in_shell(commands.replace("ghcr.io/you/hello", f"{registry}/{unique}"), tmp_path)
    pushed, exported, *described = output.splitlines()
    assert re.fullmatch(rf"{registry}/{unique}@sha256:[0-9a-f]{{64}}", pushed)
    assert exported == pushed.rpartition("@")[2]
    assert described[0] == "hello"


@pytest.mark.services
def test_the_readmes_way_to_an_image_works(base_image, daemon, unique, tmp_path, monkeypatch):
    """Build, info and run, as printed; the services are up, and the container engine's own client is used."""
    commands = re.sub(r"^make services.*\n", "", commands_with("make services"))
    commands = re.sub(r"(--tag|info|run|--rm) (image:)?hello\b", rf"\1 \2{unique}", commands)
    monkeypatch.setenv("PREFECT_TEST_IMAGE", base_image)
    output = in_shell(commands, tmp_path)
    assert output.count("Hello, you!") == 2
    assert "greet" in output


@pytest.mark.services
def test_an_image_runs_as_it_is_documented(base_image, daemon, unique, tmp_path, monkeypatch):
    """Without this software around it: its flow, with a parameter, and something else."""
    monkeypatch.setenv("DB_PASSWORD", "of the test")
    run(
        "from prefect import Flow, Parameter, task\n"
        "from prefect.environments import ContainerEnvironment\n"
        "with Flow('etl') as flow:\n"
        "    task(lambda limit: print('limit is', limit))(Parameter('limit', default=3))\n"
        f"ContainerEnvironment({base_image!r}, {unique + ':1'!r}, []).build(flow)\n",
        tmp_path,
    )
    output = in_shell(commands_with("team/etl:1").replace("team/etl", unique), tmp_path)
    assert "limit is 3" in output
    assert '"limit is 10"' in output


DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
SOURCES = [
    path for folder in ("benchmarks", "fuzz", "examples") for path in ROOT.glob(f"{folder}/**/*.py")
]
# Names with a dot that are no module's: files, and what the code has as text, such as labels.
NO_MODULES = {
    "prefect.key",
    *re.findall(
        r"\"(prefect(?:\.\w+)+)\.?\"", "".join(p.read_text() for p in ROOT.glob("src/**/*.py"))
    ),
    # Of classic Prefect: docs/classic.md says which of them are here.
    *json.loads((ROOT / "tests/classic/offered.json").read_text()),
    # Of Prefect 3, which a benchmark measures.
    "prefect.bundles", "prefect.client.schemas.objects",
}  # fmt: skip


def is_there(name: str) -> bool:
    """Tell whether `prefect.x.y` is a module, or an attribute of one."""
    found = prefect
    for part in name.split(".")[1:]:
        try:
            found = getattr(found, part)
        except UnsupportedError:
            return True  # a name of classic Prefect, of which something is said
        except AttributeError:
            try:
                found = importlib.import_module(f"{found.__name__}.{part}")
            except UnsupportedError:
                return True  # likewise, of a module
            except ImportError:
                return False
    return True


@pytest.mark.parametrize(
    "path", [*DOCUMENTS, *SOURCES], ids=lambda path: str(path.relative_to(ROOT))
)
def test_every_module_that_is_named_exists(path):
    """Dotted names lead to something, in documents, benchmarks, fuzzers and examples."""
    named = re.findall(r"(?<![\w/@.-])prefect(?:\.[A-Za-z_]\w*)+", path.read_text())
    # As a task has it, of a run with an output directory that OpenTelemetry is told of.
    known = {"output_dir": ROOT, "traceparent": "", "task_run_count": 1, "today": ""}
    with prefect.context(known, scheduled_start_time=None):
        assert [name for name in named if name not in NO_MODULES and not is_there(name)] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_that_is_named_exists(path):
    """Paths in backticks or in a drawing are in the checkout or in the package; links lead somewhere."""
    text = path.read_text()
    tops = [entry.name for place in (ROOT, ROOT / "src/prefect") for entry in place.iterdir()]
    named = re.findall(r"`([\w./-]+/[\w./-]*)`", text)
    for drawing in fenced(text, "mermaid"):
        named += re.findall(r"[a-z_]+(?:/[a-z_]+)+(?:\.py)?", drawing)
    ours = {name for name in named if name.split("/")[0] in tops} - {"tests/__init__.py"}
    missing = {
        n for n in ours if not any((top / n).exists() for top in (ROOT, ROOT / "src/prefect"))
    }
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert missing | {link for link in links if not (path.parent / link).exists()} == set()


def test_no_test_is_undescribed():
    """Each test says in a sentence what it proves."""
    tests = re.compile(r"^ *def (test_\w+)\(.*?\).*?:\n(.*)$", re.MULTILINE)
    undescribed = [
        f"{path.name}: {name}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for name, first_line in tests.findall(path.read_text())
        if '"""' not in first_line
    ]
    assert undescribed == []


def test_make_says_what_it_can_do():
    """Every target has its line in `make help`, and the hooks before a commit call such targets."""
    help_text = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout  # fmt: skip
    listed = re.findall(r"^  make ([a-z-]+) +\w", help_text, re.MULTILINE)
    (targets,) = re.findall(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert listed == targets.split()
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    called = re.findall(r"entry: make --no-print-directory ([a-z-]+)", hooks)
    assert called == ["lint", "types"]
