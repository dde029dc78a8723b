"""`ShellTask`: commands of a shell as a task."""

from __future__ import annotations

import os

from prefect.core.signals import FAIL
from prefect.core.task import Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["ShellTask"]


class ShellTask(Task):
    """Runs a command in a shell; its result is the last line that it writes.

    Args:
        command: what to run, unless it is given to the task in the flow.
        env: variables beside those of this process.
        helper_script: what to run before it in the same shell.
        shell: the program; bash by default.
        return_all: whether the result is a list of all lines.
        log_stderr: whether what a failing command writes to standard error is logged as an error.
        stream_output: whether lines are logged as they come.
        **kwargs: arguments of `Task`.
    """

    def __init__(
        self,
        command: str | None = None,
        env: Mapping[str, str] | None = None,
        helper_script: str | None = None,
        shell: str = "bash",
        return_all: bool = False,
        log_stderr: bool = False,
        stream_output: bool = False,
        **kwargs: Any,
    ) -> None:
        self.command = command
        self.env = env
        self.helper_script = helper_script
        self.shell = shell
        self.return_all = return_all
        self.log_stderr = log_stderr
        self.stream_output = stream_output
        super().__init__(**kwargs)

    def run(
        self,
        command: str | None = None,
        env: Mapping[str, str] | None = None,
        helper_script: str | None = None,
    ) -> str | list[str] | None:
        """Run the command.

        Args:
            command: instead of the task's own.
            env: likewise.
            helper_script: likewise.

        Raises:
            TypeError: there is no command.
            FAIL: it failed; the signal's result is what it wrote.
        """
        import subprocess  # noqa: PLC0415  # slow to import

        command = self.command if command is None else command
        if command is None:
            raise TypeError("ShellTask needs a command, of its own or in the flow")
        script = "\n".join(filter(None, [helper_script or self.helper_script, command]))
        lines: list[str] = []
        with subprocess.Popen(  # noqa: S603  # what the flow's author wrote
            [self.shell, "-c", script],
            env={**os.environ, **(env or self.env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            assert process.stdout is not None  # noqa: S101  # for the type checker
            for line in process.stdout:
                lines.append(line.rstrip("\n"))
                if self.stream_output:
                    self.logger.info("%s", lines[-1])
        last = lines[-1] if lines else None
        if process.returncode:
            message = f"Command failed with exit code {process.returncode}"
            if self.log_stderr:
                self.logger.error("%s: %s", message, "\n".join(lines))
            raise FAIL(message, result=lines if self.return_all else last)
        return lines if self.return_all else last
