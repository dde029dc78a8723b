"""Bytecode for an image's Python, when one of the same series is at hand.

Containers are short-lived: without bytecode, each run would compile what it imports again. Its
format and content are those of a series of CPython (3.11, 3.12, …), so any machine's will do.
"""

from __future__ import annotations

import os
import platform
import queue
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.dependencies.uv import child_environment
from prefect.frozen import frozen
from prefect.oci.cache.full import FULL
from prefect.oci.layers.writing import Entry
from prefect.steps import step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from prefect.oci.cache.store import Store

_PROGRAM = Path(__file__).with_name("compile_program.py")
_BATCH = 200_000  # bytes of source that go to one process at a time
_PROBE = "import platform, sys; print(sys.implementation.cache_tag, platform.python_version())"


@frozen
class Interpreter:
    """A CPython: its program, and its whole version, such as "3.11.7"."""

    program: str
    version: str


def find_interpreter(python: str, store: Store) -> Interpreter | None:
    """Return a CPython of a series such as "3.11": this one, else `pythonX.Y` on the PATH.

    What is a script there is passed over: such shims start now one Python and now another, and
    take longer to ask than a whole build may.

    Args:
        store: remembers the answer, as long as the program stays the same.
    """
    tag = f"cpython-{python.replace('.', '')}"
    if sys.implementation.cache_tag == tag:
        return Interpreter(sys.executable, platform.python_version())
    found = shutil.which(f"python{python}")
    if found is None:
        return None
    try:
        program = os.path.realpath(found)
        status = Path(program).stat()
        key = f"interpreter {program} {status.st_size} {status.st_mtime_ns}"
        told = store.recall(key)
        if told is None:
            told = _ask_version(program)
            store.remember(key, told)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match told:
        case [str(its_tag), str(version)] if its_tag == tag:
            return Interpreter(program, version)
    return None


def bytecode_entries(
    compiler: Compiler, sources: Sequence[tuple[Path, str]], python: str, whose: str
) -> list[Entry]:
    """Compile sources, each with its path in the image; return the bytecode of those that compile.

    Args:
        python: series of the image's Python, such as "3.11".
        whose: what they belong to, for people.
    """
    with step(f"Compiling {whose} for Python {python}", len(sources), unit="files") as told:
        done = compiler.compile([(file, f"/{path}") for file, path in sources], told.add)
    return [
        Entry(bytecode_path(path, python), file)
        for (_, path), file in zip(sources, done, strict=True)
        if file is not None
    ]


def bytecode_path(source: str, python: str) -> str:
    """Return where a Python of a series such as "3.11" looks for a file's bytecode (PEP 3147)."""
    directory, _, name = source.rpartition("/")
    tag = f"cpython-{python.replace('.', '')}"
    return f"{directory}/__pycache__/{name.removesuffix('.py')}.{tag}.pyc"


def _ask_version(program: str) -> list[str]:
    with Path(program).open("rb") as file:
        if file.read(2) == b"#!":
            return []
    done = subprocess.run(  # noqa: S603 - a Python, isolated
        [program, "-I", "-S", "-c", _PROBE],
        capture_output=True,
        text=True,
        check=False,
        timeout=10,
        env=child_environment(),
    )
    return done.stdout.split() if done.returncode == 0 else []


class Compiler:
    """Processes of an interpreter that compile files, one for each core, started when needed."""

    def __init__(self, interpreter: Interpreter, directory: Path) -> None:
        self._interpreter = interpreter
        self._directory = directory
        self._cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
        self._pool = ThreadPoolExecutor(self._cores, thread_name_prefix="prefect-compile")
        self._idle: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        self._number = iter(range(sys.maxsize))

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown(cancel_futures=True)
        while not self._idle.empty():
            _end(self._idle.get())

    def compile(
        self,
        sources: Sequence[tuple[Path, str]],
        told: Callable[[int], object] = lambda _: None,
    ) -> list[Path | None]:
        """Compile files, each with its name in the image, which is what tracebacks show.

        Args:
            told: called with how many more are done, in any thread.

        Returns:
            For each the file with its bytecode; None if it does not compile.
        """
        batches = list(_batches(sources))

        def compiled(batch: Sequence[tuple[Path, str]]) -> list[Path | None]:
            result = self._compile(batch)
            told(len(batch))
            return result

        done = self._pool.map(compiled, batches)
        return [path for batch in done for path in batch]

    def _compile(self, batch: Sequence[tuple[Path, str]]) -> list[Path | None]:
        result: list[Path | None] = []
        worker = self._take()
        for source, name in batch:
            if "\n" in f"{source}{name}":
                result.append(None)
                continue
            worker = worker or self._start()
            target = self._directory / f"{next(self._number)}.pyc"
            answer = _ask(worker, f"{source}\0{name}\0{target}\n")
            result.append(target if answer == b"1\n" else None)
            if not answer:
                status = _end(worker)
                worker = None
                if status in FULL:
                    raise OSError(status, os.strerror(status), str(target))
                # What is nested too deep overflows the stack, wherever it is compiled. Whatever
                # else ends the process would leave out at random what is in the bytes elsewhere.
                if status not in {-signal.SIGSEGV, -signal.SIGABRT}:
                    raise OSError(f"Compiling {name} ended with status {status}")
        if worker is not None:
            self._idle.put(worker)
        return result

    def _take(self) -> subprocess.Popen[bytes] | None:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            return None

    def _start(self) -> subprocess.Popen[bytes]:
        # Isolated as by -I, which would leave the hash seed to chance.
        options = ("-P", "-s", "-S", "-X", "utf8", "-W", "ignore")
        return subprocess.Popen(  # noqa: S603 - a Python with our own program
            [self._interpreter.program, *options, str(_PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=child_environment() | {"PYTHONHASHSEED": "0"},
        )


def _batches(sources: Iterable[tuple[Path, str]]) -> Iterable[list[tuple[Path, str]]]:
    batch: list[tuple[Path, str]] = []
    size = 0
    for source, name in sources:
        batch.append((source, name))
        size += source.stat().st_size
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _ask(worker: subprocess.Popen[bytes], line: str) -> bytes:
    if worker.stdin is None or worker.stdout is None:
        return b""
    try:
        worker.stdin.write(os.fsencode(line))
        worker.stdin.flush()
        return worker.stdout.readline()
    except BrokenPipeError:
        return b""


def _end(worker: subprocess.Popen[bytes]) -> int:
    for pipe in (worker.stdin, worker.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()
    return worker.wait()
