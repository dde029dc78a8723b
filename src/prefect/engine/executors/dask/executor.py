"""The settings of a Dask cluster, and how a run gets hold of it."""

from __future__ import annotations

import sys
from contextlib import contextmanager

from prefect.core import check
from prefect.core.secret_values import of_run
from prefect.core.tracebacks import describe, text_of
from prefect.engine.executors.base import ARCHIVES, Executor, Session
from prefect.engine.executors.dask.answering import (
    ANSWER_SECONDS,
    require_certificate,
    require_listener,
)
from prefect.errors import ExecutorError
from prefect.unsupported import refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

_MOST_REASONS = 3
_CLIENT = "Dask's client cannot be made"


class DaskExecutor(Executor):
    """Tasks run in the processes of a Dask cluster, which is the only engine for several machines.

    Each task is a Dask future. What it returns stays on its worker, and goes from there to the workers
    whose tasks need it; it comes here only if it is small (up to 1 KB), is read, or is the result of a
    reference task.

    Args:
        address: a running scheduler. Without one, a cluster is made for the run and closed
            after it; in a script, the run must then be under `if __name__ == "__main__":`.
        cluster_class: makes the cluster: `dask_kubernetes.operator.KubeCluster` or
            `dask_jobqueue.SLURMCluster`, for example, or its dotted name. By default a `distributed.LocalCluster` of
            processes on this machine.
        cluster_kwargs: arguments for it.
        client_kwargs: arguments for `distributed.Client`.
        adapt: arguments for the cluster's `adapt`, such as `{"minimum": 0, "maximum": 10}`: it then has
            as many workers as there is work for.
        worker_timeout: how long to wait for a worker while the cluster has none, in seconds; None for
            ever, as a cluster may need whose workers wait in a queue.
        silence_timeout: after how many seconds without a sign a worker or the scheduler is taken
            for lost.
        adapt_kwargs: classic Prefect's name of `adapt`.
        debug: classic Prefect's, and of no meaning here, as are the two after it.
        watch_worker_status: see `debug`.
        disable_cancellation_event: see `debug`.
        performance_report_path: None; anything else is an error that says what to use instead.

    Raises:
        UnsupportedError: it has a `performance_report_path`.
        TypeError: an argument is of the wrong type.
        ValueError: both an address and a cluster class are given, the address is empty, or there is no
            cluster class of that name.
    """

    def __init__(
        self,
        address: str | None = None,
        cluster_class: str | Callable[..., Any] | None = None,
        cluster_kwargs: Mapping[str, Any] | None = None,
        adapt_kwargs: Mapping[str, Any] | None = None,
        client_kwargs: Mapping[str, Any] | None = None,
        *,
        adapt: Mapping[str, Any] | None = None,
        worker_timeout: float | None = 300,
        silence_timeout: float = 60,
        debug: bool | None = None,  # noqa: ARG002  # classic Prefect's
        watch_worker_status: bool | None = None,  # noqa: ARG002  # the same
        disable_cancellation_event: bool = False,  # noqa: ARG002  # the same
        performance_report_path: str | None = None,
    ) -> None:
        if adapt_kwargs is not None and adapt is not None:
            raise ValueError("adapt_kwargs is classic Prefect's name of adapt: give one of both")
        if performance_report_path is not None:
            refuse("prefect.executors.DaskExecutor.performance_report_path")
        adapt = adapt_kwargs if adapt is None else adapt
        if address is not None and (
            cluster_class is not None or cluster_kwargs or adapt is not None
        ):
            raise ValueError("DaskExecutor takes the address of a cluster or makes one, not both")
        self.address = None if address is None else check.text("address", address)
        makes: Any = cluster_class
        if isinstance(makes, str):
            makes = _imported(check.text("cluster_class", makes))
        if makes is not None:
            check.function("cluster_class", makes)
        self.cluster_class: Callable[..., Any] | None = makes
        self.cluster_kwargs = _arguments("cluster_kwargs", cluster_kwargs)
        self.client_kwargs = _arguments("client_kwargs", client_kwargs)
        self.adapt = None if adapt is None else _adapting(_arguments("adapt", adapt))
        self.worker_timeout = (
            None if worker_timeout is None else check.seconds("worker_timeout", worker_timeout)
        )
        self.silence_timeout = check.seconds("silence_timeout", silence_timeout)
        if not self.silence_timeout:
            raise ValueError("silence_timeout must be more than 0 seconds")

    def start(self) -> Session:
        """Connect to the cluster, or make it first, and see whether it is fit for the run.

        Raises:
            ExecutorError: Dask is not installed, no scheduler answers at the address, the cluster or its client
                cannot be made, or the cluster has another release of what has to be the same, or lacks secrets that cannot be sent there.
        """
        try:
            import distributed  # noqa: PLC0415  # an extra
        except ModuleNotFoundError as error:
            # Not as an extra of this package, whose name is another product's where packages are public.
            raise ExecutorError(
                "DaskExecutor needs Dask where the flow runs: pip install 'dask[distributed]'; for an "
                "image, build it with -r 'dask[distributed]'"
            ) from error
        if self.address is not None:
            return self._session(self._connected(distributed), None, elsewhere=True)
        settings = self.cluster_kwargs
        if self.cluster_class is None:
            settings = {"processes": True, "dashboard_address": ":0", **settings}
        makes: Any = self.cluster_class or distributed.LocalCluster
        spawns = self.cluster_class is None and settings["processes"]
        if spawns:
            _refuse_import()
        hint = _GUARD if spawns and _is_script() else ""
        with _made(f"A {getattr(makes, '__name__', makes)} cannot be made{hint}"):
            cluster = makes(**settings)
        try:
            if self.adapt is not None:
                with _made("The cluster cannot adapt"):
                    cluster.adapt(**self.adapt)
            with _made(_CLIENT):
                # Not the client of whatever else this process computes with Dask.
                client: Any = distributed.Client
                client = client(cluster, **{"set_as_default": False, **self.client_kwargs})
            if spawns:
                from prefect.engine.executors.dask.interrupting import (  # noqa: PLC0415  # an extra
                    LeavesCtrlC,
                )

                client.register_plugin(LeavesCtrlC())
            # Processes of this machine find what is on this one's path.
            return self._session(client, cluster, elsewhere=self.cluster_class is not None)
        except BaseException:
            cluster.close()
            raise

    def _connected(self, distributed: Any) -> Any:
        """Return a client of the cluster at the address."""
        options = {"set_as_default": False, "timeout": ANSWER_SECONDS, **self.client_kwargs}
        assert self.address is not None  # noqa: S101  # for the type checker
        try:
            require_certificate(self.address, options.get("security"))
            require_listener(self.address, options["timeout"], options.get("security"))
            with _made(_CLIENT, (TypeError, ValueError)):  # else nobody may listen there
                return distributed.Client(self.address, **options)
        except ExecutorError:
            raise
        except (OSError, ValueError) as error:
            raise ExecutorError(
                f"No Dask scheduler answers at {self.address}: {text_of(error) or type(error).__name__}. Check the address; "
                "`dask scheduler` starts one"
            ) from error
        except Exception as error:
            raise ExecutorError(
                f"The Dask scheduler at {self.address} is not understood ({type(error).__name__}: "
                f"{error}): it may be of another release than distributed {distributed.__version__}, "
                "which is here; install the same one in both places"
            ) from error

    def _session(self, client: Any, cluster: Any, *, elsewhere: bool) -> Session:
        from prefect.engine.executors.dask.health import Health  # noqa: PLC0415  # an extra
        from prefect.engine.executors.dask.session import DaskSession  # noqa: PLC0415
        from prefect.engine.executors.local_modules import LocalModules  # noqa: PLC0415

        local = None
        try:
            secrets = of_run.get()
            health = Health(client, self.worker_timeout, self.silence_timeout, secrets)
            health.check()
            if elsewhere:  # the workers import what the run has brought in wheels
                for archive in ARCHIVES:
                    client.upload_file(str(archive))
                local = LocalModules()
            return DaskSession(client, cluster, health, secrets, local)
        except BaseException:
            client.close()
            if local is not None:
                local.close()
            raise

    def text(self) -> str | None:
        """Return its text form; None where it has arguments that text does not say."""
        others = (self.adapt, self.worker_timeout, self.silence_timeout)
        if self.cluster_class is not None or self.cluster_kwargs or self.client_kwargs:
            return None
        if others != (None, 300, 60):
            return None
        return "dask" if self.address is None else f"dask:{self.address}"

    def __repr__(self) -> str:
        return f"DaskExecutor({self.address or self.cluster_class or ''!r})"


_GUARD = (
    " (each of its processes imports the script that runs the flow: have that call flow.run within "
    "`if __name__ == '__main__':`, or use ProcessExecutor, whose processes do not)"
)


@contextmanager
def _made(what: str, kinds: tuple[type[Exception], ...] = (Exception,)) -> Iterator[None]:
    """Have an error of what is made, or of its arguments, be one of the executor.

    Args:
        what: what to say of it.
        kinds: the errors that are meant.

    Raises:
        ExecutorError: there was one.
    """
    try:
        yield
    except kinds as error:
        reasons = [describe(error)]
        cause = error.__cause__
        while cause is not None and len(reasons) < _MOST_REASONS:
            reasons.append(describe(cause))
            cause = cause.__cause__
        raise ExecutorError(f"{what}: {'; because of '.join(reasons)}") from error


def _refuse_import() -> None:
    """End a process of a cluster that imports the script which made it, before that makes another.

    Raises:
        SystemExit: this is one.
    """
    from multiprocessing import current_process  # noqa: PLC0415  # seldom needed

    if getattr(current_process(), "_inheriting", False):  # as multiprocessing itself looks for it
        raise SystemExit(f"A process of a Dask cluster cannot make another one{_GUARD}")


def _is_script() -> bool:
    main = sys.modules.get("__main__")
    return hasattr(main, "__file__") and getattr(main, "__spec__", None) is None


def _adapting(given: dict[str, Any]) -> dict[str, Any]:
    """Check the bounds of a cluster that adapts; the other arguments are its own."""
    least, most = given.get("minimum", 0), given.get("maximum", float("inf"))
    for name, bound in (("minimum", least), ("maximum", most)):
        if name in given and isinstance(bound, int):
            check.count(f"adapt's {name}", bound)
    if isinstance(least, int) and isinstance(most, int | float) and (most < max(least, 1)):
        raise ValueError(f"adapt's maximum must be at least 1 and its minimum, not {most}")
    return given


def _imported(name: str) -> Any:
    import signal  # noqa: PLC0415  # seldom needed
    from pkgutil import resolve_name  # noqa: PLC0415

    on_ctrl_c = signal.getsignal(signal.SIGINT)
    try:
        return resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"cluster_class {name!r} cannot be imported: {error}") from error
    finally:
        # dask_jobqueue sets a handler when it is imported, by which Ctrl-C ends the process and not the run.
        if on_ctrl_c is not None and signal.getsignal(signal.SIGINT) is not on_ctrl_c:
            signal.signal(signal.SIGINT, on_ctrl_c)


def _arguments(what: str, given: Mapping[str, Any] | None) -> dict[str, Any]:
    return {} if given is None else check.named(what, "arguments", given)
