"""Containers of a container engine: starting them and reaching into them."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, BinaryIO

from prefect.errors import ContainerEngineError
from prefect.frozen import frozen
from prefect.oci import documents
from prefect.oci.daemon.client import ABSENT, Daemon
from prefect.oci.daemon.directories import copy_directory, make_directory
from prefect.oci.daemon.files import DaemonFiles
from prefect.oci.daemon.image import identifier
from prefect.oci.daemon.settings import DEFAULT, Settings, with_fix
from prefect.oci.daemon.transport import Answer, first_line, in_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

__all__ = ["Container", "send", "start", "stop"]

_OUT, _ERR, _FAULT = 1, 2, 3  # whose a frame is; 0 is standard input, which counts as output
_HEADER = 8  # bytes before each frame: whose it is, three zeros, its length
_EXIT_SECONDS = 10
_OUTPUT_BYTES = 1 << 16  # of a program whose output is for a message alone
_UNCHANGED, _CONFLICT = 304, 409


@frozen
class Container:
    """A container that was started."""

    daemon: Daemon
    id: str
    tty: bool

    def logs(self) -> Iterator[tuple[int, bytes]]:
        """Yield what the container writes, until it ends: 1, standard output, or 2, error, and bytes.

        A terminal has one stream, which is standard output.

        Raises:
            ContainerEngineError: the logs cannot be had, or break off.
        """
        with self._logs("follow the logs", follow="1") as answer:
            yield from self._payloads(answer)

    def last_lines(self) -> str:
        """Return the end of the container's logs, or nothing where they cannot be had."""
        output = b""
        with (
            contextlib.suppress(ContainerEngineError),
            self._logs("read the logs", tail="20") as answer,
        ):
            for _, data in self._payloads(answer):
                output = (output + data)[-_OUTPUT_BYTES:]
        return output.decode(errors="replace").strip()

    def wait(self) -> int:
        """Wait until the container ends; return its exit status."""
        with self.daemon.http.request(
            "POST", f"/containers/{self.id}/wait", f"wait for {self.id[:12]}", timeout=None
        ) as answer:
            status = answer.document().get("StatusCode")
            return answer.made(lambda told: documents.expect(told, int, "Its status"), status)

    def usage(self) -> tuple[float, int]:
        """Return the seconds of CPU that it has taken, and the bytes of memory that it takes now.

        Raises:
            ContainerEngineError: the container engine does not tell, as of one that has ended.
        """
        with self.daemon.http.request(
            "GET", f"/containers/{self.id}/stats", f"measure {self.id[:12]}",
            query={"stream": "false", "one-shot": "true"},
        ) as answer:  # fmt: skip
            return answer.made(_usage, answer.document())

    def kill(self, number: int) -> None:
        """Send its first process a signal, if it runs."""
        with self.daemon.http.request(
            "POST", f"/containers/{self.id}/kill", f"stop {self.id[:12]}",
            query={"signal": str(number)}, also=ABSENT | {_CONFLICT},
        ):  # fmt: skip
            pass

    def copy(self, path: str, file: BinaryIO, limit: int) -> None:
        """Write the content of one of its files into another, whether it runs or has ended.

        Raises:
            FileNotFoundError: there is no such file.
            ImageContentError: it has more bytes than the limit; nothing is written then.
        """
        DaemonFiles(self.daemon, self.id).copy(path, file, limit)

    def copy_directory(self, path: str, target: Path) -> list[str]:
        """Copy what is in one of its directories into one of this machine; return what stays behind.

        Raises:
            ContainerEngineError: the directory is not there, or cannot be had whole.
            OSError: something cannot be written.
        """
        return copy_directory(self.daemon, self.id, path, target)

    def remove(self) -> None:
        """Remove the container, running or not, if it is there."""
        self.daemon.remove_container(self.id)

    def _logs(self, doing: str, **query: str) -> Answer:
        return self.daemon.http.request(
            "GET", f"/containers/{self.id}/logs", f"{doing} of {self.id[:12]}",
            query={"stdout": "1", "stderr": "1", **query}, timeout=None,
        )  # fmt: skip

    def _payloads(self, answer: Answer) -> Iterator[tuple[int, bytes]]:
        if self.tty:  # a terminal has one stream, which needs no frames
            return ((_OUT, data) for data in iter(answer.read, b""))
        return _payloads(answer, answer.read)


def start(
    daemon: Daemon,
    image: str,
    command: Sequence[str],
    settings: Settings = DEFAULT,
) -> Container:
    """Start a container in the background and return it.

    Raises:
        ImageError: the container engine does not have the image.
        ContainerEngineError: the container cannot be made or started, or not with these settings.
        ValueError: a setting is none.
    """
    if settings.gpus is not None and daemon.http.podman:  # which would run without, silently
        raise ContainerEngineError(
            "podman gives GPUs by its own command alone (podman run --device nvidia.com/gpu=all), and "
            "not where it is spoken to as a Docker Engine: leave out --gpus, or take a Docker Engine"
        )
    document = {"Cmd": list(command), **settings.document(daemon.http.endpoint.proxies)}
    try:
        container = Container(daemon, daemon.create(image, document), settings.tty)
        try:
            for path in settings.directories:
                make_directory(daemon, container.id, path)
            with daemon.http.request(
                "POST", f"/containers/{container.id}/start", f"start {image}", timeout=None
            ):
                return container
        except BaseException:
            container.remove()
            raise
    except ContainerEngineError as error:
        raise with_fix(error) from None


def send(container: Container, command: Sequence[str], data: bytes) -> None:
    """Run a program inside a running container and write to its standard input.

    Nothing of the data reaches the container engine's disk: it goes through a stream.

    Raises:
        ContainerEngineError: the program did not end well; the message carries its output.
    """
    http = container.daemon.http
    doing = f"reach into {container.id[:12]}"
    program = {
        "Cmd": list(command),
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
    }
    with http.request(
        "POST", f"/containers/{container.id}/exec", doing, document=program
    ) as answer:
        execution = in_path(answer.made(identifier, answer.document()))
    output = b""
    with http.request(
        "POST", f"/exec/{execution}/start", doing, document={"Detach": False, "Tty": False},
        headers={"Connection": "Upgrade", "Upgrade": "tcp"}, timeout=None,
    ) as stream:  # fmt: skip
        stream.send(data)
        for _, part in _payloads(stream, stream.receive):
            output = (output + part)[-_OUTPUT_BYTES:]
    # The stream ends a moment before the container engine knows how the program did.
    deadline = time.monotonic() + _EXIT_SECONDS
    while (status := _exit_status(container.daemon, execution, doing)) is None:
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    if status != 0:
        lines = output.decode(errors="replace").strip().splitlines()
        reason = "\n".join(map(first_line, lines))
        raise ContainerEngineError(f"{command[0]} failed in {container.id[:12]}: {reason}")


def _exit_status(daemon: Daemon, execution: str, doing: str) -> int | None:
    with daemon.http.request("GET", f"/exec/{execution}/json", doing) as answer:
        status = answer.document().get("ExitCode")
    return None if status is None else int(status)


def stop(daemon: Daemon, container_id: str, *, timeout: int = 10) -> None:
    """Stop a container if it still exists; `timeout` seconds for it to end by itself."""
    with daemon.http.request(
        "POST", f"/containers/{in_path(container_id)}/stop", f"stop {container_id[:12]}",
        query={"t": str(timeout)}, also=ABSENT | {_UNCHANGED}, timeout=None,
    ):  # fmt: skip
        pass


def _payloads(answer: Answer, read: Callable[[], bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield whose and what the frames of a stream are, as it comes (Docker Engine API, ContainerAttach)."""
    waiting, rest, kind = b"", 0, _OUT
    while data := read():
        waiting += data
        while waiting:
            if not rest:
                if len(waiting) < _HEADER:
                    break
                kind, zeros = waiting[0], waiting[1:4]
                rest = int.from_bytes(waiting[4:_HEADER], "big")
                if kind > _FAULT or any(zeros):
                    raise answer.nonsense("a frame of its stream is malformed")
                waiting = waiting[_HEADER:]
                continue
            part, waiting = waiting[:rest], waiting[rest:]
            rest -= len(part)
            if kind == _FAULT:
                raise answer.nonsense(part.decode(errors="replace"))
            yield (_ERR if kind == _ERR else _OUT), part
    if waiting or rest:
        raise answer.nonsense("its stream ends within a frame")


def _usage(told: dict[str, Any]) -> tuple[float, int]:
    def number(value: Any) -> int:
        return documents.expect(value, int, "A number of what it takes")

    memory = documents.expect(told.get("memory_stats"), dict, "Its memory")
    cached = documents.expect(memory.get("stats") or {}, dict, "Its memory")
    # What the kernel gives up when somebody needs it is not counted, as `docker stats` has it.
    idle = number(cached.get("inactive_file", cached.get("total_inactive_file", 0)))
    processor = documents.expect(told.get("cpu_stats"), dict, "Its CPU")
    taken = documents.expect(processor.get("cpu_usage"), dict, "Its CPU")
    return number(taken.get("total_usage", 0)) / 1e9, max(number(memory.get("usage", 0)) - idle, 0)
