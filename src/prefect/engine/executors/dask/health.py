"""Whether a Dask cluster is fit for a run, and still there: nothing is waited for in silence."""

from __future__ import annotations

import asyncio
import logging
import platform
from contextlib import suppress
from time import monotonic

from prefect.engine.executors.dask.secret_values import is_encrypted
from prefect.engine.executors.dask.unloadable import preparation
from prefect.errors import ExecutorError
from prefect.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from concurrent.futures import Future
    from typing import Any

    from prefect.core.secret_values import RunSecrets
    from prefect.engine.executors.inbox import Inbox


ANSWER_SECONDS = 10.0
"""How long somebody who listens may take to answer, at first."""
SAID_AFTER = 5.0
"""Seconds without a worker, or a sign of one, after which it is said."""
PROBE = 2.0
"""Seconds between questions to the scheduler."""


def versions() -> dict[str, str]:
    """Return what has to be the same wherever tasks run."""
    from importlib.metadata import version  # noqa: PLC0415  # seldom needed

    return {
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "distributed": version("distributed"),
        "prefect": __version__,
    }


class Health:
    """Looks after a cluster for one run.

    Args:
        client: connected to it.
        worker_timeout: seconds to wait for a worker, while there is none; None for ever.
        silence_timeout: seconds after which who gives no sign is lost: a worker or the scheduler.
        secrets: what workers need of secrets: what does not go over TLS they have to have themselves.
    """

    def __init__(
        self,
        client: Any,
        worker_timeout: float | None,
        silence_timeout: float,
        secrets: RunSecrets | None = None,
    ) -> None:
        self._secrets = secrets
        self._client = client
        self.worker_timeout = worker_timeout
        self.resources: list[dict[str, float]] = []  # of each worker, when it was last looked
        self._silence_timeout = silence_timeout
        self.address = client.scheduler.address if client.scheduler else "?"
        self._connection = client.scheduler_comm
        self.broken: str | None = None
        self._probe: Future[Any] | None = None
        self._asked = self._had_workers = monotonic()
        # Since the first question without an answer; not since the last answer, for who is busy asks nothing.
        self._silent_since: float | None = None
        self._said: set[str] = set()
        self._checked: set[str] = set()
        self._newcomers: Future[str | None] | None = None
        self._signs: dict[
            str, tuple[float, float]
        ] = {}  # of workers: the last, and when it was new

    # ---- before anything runs --------------------------------------------------------------

    def check(self) -> None:
        """Compare who is there with this process.

        Raises:
            ExecutorError: some differ; the message names all, and what to do.
        """
        found = self._ask(self._client.scheduler.identity(), "The scheduler")
        if problem := self._ask(self._problem(list(found["workers"])), "A worker"):
            raise ExecutorError(problem)

    def workers(self) -> list[dict[str, Any]]:
        """Return what the scheduler knows of its workers."""
        told = self._ask(self._client.scheduler.identity(), "The scheduler")
        return list(told["workers"].values())

    def _unfit(self, problems: list[str]) -> str:
        return (
            f"The Dask cluster at {self.address} is unfit for this flow: {'; '.join(problems)}. "
            f"Install there what is here: Python {versions()['Python']}, "
            f"distributed=={versions()['distributed']} and this package, {__version__}"
        )

    def _ask(self, question: Any, who: str) -> Any:
        async def ask() -> Any:
            return await asyncio.wait_for(question, ANSWER_SECONDS)

        try:
            return self._client.sync(ask)
        except (TimeoutError, OSError) as error:
            raise ExecutorError(
                f"{who} of the Dask cluster at {self.address} does not answer: is it of another "
                f"release than distributed {versions()['distributed']}, which is here, or overloaded?"
            ) from error

    async def _problem(self, workers: list[str]) -> str | None:
        """Return what is wrong with workers, if anything is."""
        if problems := await self._differing(workers):
            return self._unfit(problems)
        return await self._without_secrets(workers)

    async def _without_secrets(self, workers: list[str]) -> str | None:
        """Return which workers have no value for a secret, and cannot be given one."""
        secrets = self._secrets
        if secrets is None:
            return None
        if is_encrypted(self.address):
            workers = [each for each in workers if not is_encrypted(each)]
        if not workers:
            return None
        found = await self._client._run(  # noqa: SLF001  # as below
            secrets.lacking, list(secrets.values), workers=workers, on_error="return"
        )
        lines = [
            f"the worker {worker} "
            + (f"tells {told}" if isinstance(told, Exception) else f"lacks {', '.join(told)}")
            for worker, told in found.items()
            if told and not isinstance(told, OSError)  # it has just left
        ]
        if not lines:
            return None
        return (
            f"The Dask cluster at {self.address} lacks secrets of this flow: {'; '.join(lines)}. Their "
            "values are sent over TLS only: have scheduler, workers and client speak tls:// "
            "(distributed.Security), or give the workers' environments values of their own"
        )

    async def _differing(self, workers: list[str]) -> list[str]:
        """Return how the scheduler and workers differ from this process."""
        client, here = self._client, versions()
        theirs = await client.scheduler.versions(packages=[])
        problems = _differences("the scheduler", _read(theirs), here)
        found = await client.scheduler.broadcast(
            msg={"op": "versions", "packages": []}, workers=workers, on_error="return"
        )
        read = {each: _read(told) for each, told in found.items() if isinstance(told, dict)}
        # Bytecode is what is sent, which another Python takes for other bytecode, and may crash of.
        alike = [each for each, told in read.items() if told["Python"] == here["Python"]]
        ours = await client._run(  # noqa: SLF001  # `run`, in this loop
            preparation(), workers=alike, on_error="return"
        )
        for worker in workers:
            if told := read.get(worker):
                own = ours.get(worker)
                if worker in alike and not isinstance(own, OSError):  # it has just left
                    told["prefect"] = own if isinstance(own, str) else "None"
                problems += _differences(f"the worker {worker}", told, here)
            self._checked.add(worker)
        return problems

    # ---- while it runs -----------------------------------------------------------------------

    def watch(self, inbox: Inbox) -> None:
        """Wake the run's loop through its inbox when something is found."""
        self._inbox = inbox

    def look(self, *, busy: bool) -> str | None:
        """Return what is wrong with the cluster for good, if anything is; never waits."""
        if self.broken is not None or not busy:
            return self.broken
        moment = monotonic()
        # Dask's client connects again, but has let go of all futures before.
        if self._client.scheduler_comm is not self._connection or self._client.status != "running":
            self.broken = (
                f"the connection to the Dask scheduler at {self.address} broke: has it ended, or the "
                "network failed? Start it again, and run the flow again"
            )
            return self.broken
        if self._probe is None and moment - self._asked >= PROBE:
            self._asked = moment
            if self._silent_since is None:
                self._silent_since = moment
            self._probe = asyncio.run_coroutine_threadsafe(
                self._client.scheduler.identity(), self._client.loop.asyncio_loop
            )
        if self._probe is not None and self._probe.done():
            probe, self._probe = self._probe, None
            with suppress(Exception):
                self._examine(probe.result(), moment)
                self._silent_since = None
        silent = 0.0 if self._silent_since is None else moment - self._silent_since
        if silent >= SAID_AFTER:
            self._say(
                "scheduler",
                "the Dask scheduler at %s has not answered for %.0f s",
                self.address,
                silent,
            )
            if silent >= self._silence_timeout:
                self.broken = (
                    f"the Dask scheduler at {self.address} has not answered for {silent:.0f} s: is it "
                    "frozen, or the network cut? Start it again, and run the flow again"
                )
        return self.broken

    def _examine(self, told: dict[str, Any], moment: float) -> None:
        """Look at what the scheduler tells of its workers."""
        workers = told["workers"]
        self.resources = [each.get("resources", {}) for each in workers.values()]
        self._look_for_newcomers(workers)
        self._look_for_silence(workers, moment)
        if workers:
            self._had_workers = moment
            self._said.discard("workers")
        elif (without := moment - self._had_workers) >= SAID_AFTER:
            limit = self.worker_timeout
            ends = "" if limit is None else f"; gives up after {limit:g} s"
            self._say(
                "workers",
                "the Dask cluster at %s has no workers: start some with `dask worker %s`, or look why "
                "the cluster starts none%s", self.address, self.address, ends,
            )  # fmt: skip
            if limit is not None and without >= limit:
                self.broken = (
                    f"the Dask cluster at {self.address} has had no workers for {without:.0f} s: start "
                    f"some with `dask worker {self.address}`, look why the cluster starts none, or let "
                    "DaskExecutor(worker_timeout=...) wait longer"
                )

    def _look_for_newcomers(self, workers: dict[str, Any]) -> None:
        """Compare those who have joined since the run began."""
        if self._newcomers is not None and self._newcomers.done():
            found, self._newcomers = self._newcomers, None
            with suppress(Exception):
                self.broken = found.result()
        if self._newcomers is None and (
            new := [each for each in workers if each not in self._checked]
        ):
            self._newcomers = asyncio.run_coroutine_threadsafe(
                asyncio.wait_for(self._problem(new), ANSWER_SECONDS),
                self._client.loop.asyncio_loop,
            )

    def _look_for_silence(self, workers: dict[str, Any], moment: float) -> None:
        """Have the scheduler do without a worker that gives no sign; Dask itself waits for minutes."""
        for gone in self._signs.keys() - workers.keys():
            del self._signs[gone]
        for address, worker in workers.items():
            sign = worker["last_seen"]
            last, since = self._signs.get(address, (None, moment))
            if last != sign:
                self._signs[address] = (sign, moment)
                self._said.discard(address)
                continue
            silent = moment - since
            if silent >= self._silence_timeout:
                self._signs[address] = (sign, moment)
                logging.getLogger("prefect").warning(
                    "the Dask worker %s has given no sign for %.0f s, and is left out",
                    address,
                    silent,
                )
                asyncio.run_coroutine_threadsafe(
                    self._client.scheduler.unregister(
                        address=address, stimulus_id="prefect-silent"
                    ),
                    self._client.loop.asyncio_loop,
                )
            elif silent >= 2 * SAID_AFTER:
                self._say(
                    address,
                    "the Dask worker %s has given no sign for %.0f s: is it frozen, or busy in code that "
                    "holds the interpreter? It is left out after %g s (DaskExecutor's silence_timeout)",
                    address, silent, self._silence_timeout,
                )  # fmt: skip

    def _say(self, what: str, message: str, *args: Any) -> None:
        """Log something once for as long as it holds."""
        if what not in self._said:
            self._said.add(what)
            logging.getLogger("prefect").warning(message, *args)

    def stop(self) -> None:
        """Ask no more."""
        if self._probe is not None:
            self._probe.cancel()


def _read(told: dict[str, Any]) -> dict[str, str]:
    """Return the versions of what has to be the same, from Dask's own description."""
    python = str(told["host"]["python"])
    return {
        "Python": ".".join(python.split(".")[:2]),
        "distributed": str(told["packages"].get("distributed")),
    }


def _differences(who: str, theirs: dict[str, str], here: dict[str, str]) -> list[str]:
    lines = []
    for name, version in theirs.items():
        if version != here[name]:
            has = f"has no {name}" if version == "None" else f"has {name} {version}"
            lines.append(f"{who} {has}, here is {here[name]}")
    return lines
