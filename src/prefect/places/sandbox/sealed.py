"""A sealed flow in a sandbox without an image: its environment and this machine's programs, read-only.

What the flow has locked is in an environment, as for `--in venv`; all else that Python needs, its own files and
the system's libraries, is this machine's. Nothing more of the machine is seen.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.errors import PlaceError
from prefect.images.base.python import DEFAULT_PATH
from prefect.oci.cache.of_user import open_cache
from prefect.places.sandbox import bubblewrap, entering
from prefect.places.sandbox.beginning import tied_without_keys
from prefect.places.sandbox.host import INSTALL, find_host
from prefect.places.sandbox.limits import limited, remove_stale_groups
from prefect.places.sandbox.place import SandboxProcess
from prefect.places.sandbox.spec import (
    REPORT,
    REPORT_FILE,
    Mount,
    Spec,
    require_surroundings,
    resolving,
)
from prefect.places.sandbox.users import User
from prefect.places.stores import STORE_DIRECTORY, store_of
from prefect.places.venv.environment import environment_for
from prefect.places.venv.place import apart
from prefect.running.handed import Handed
from prefect.running.output_directory import OUTPUT_DIRECTORY, make_output_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prefect.payload.manifest import Manifest
    from prefect.places.protocol import Work
    from prefect.places.surroundings import Surroundings
    from prefect.places.venv.environment import Environment
    from prefect.running.run_directory import RunDirectory

_GIVEN = ("volumes", "env", "memory", "cpus", "network", "workdir", "output")
_PROGRAMS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
# What programs need to find libraries, certificates and the time; no file with a secret of the machine's.
_SETTINGS = (
    "/etc/alternatives", "/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types", "/etc/nsswitch.conf",
    "/etc/protocols", "/etc/services", "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/pki/tls/certs",
    "/etc/pki/ca-trust/extracted",
)  # fmt: skip
_HOME = "/home/flow"
_BROUGHT = "/run/prefect-flow"  # what travelled with it
_NAME = "flow"


class SealedSandbox:
    """A flow that was opened here, and runs in a sandbox; meets `protocol.Place`.

    No key leaves this process: the worker gets what they opened.

    Args:
        manifest, payload: of the flow, authenticated.
        directory: has the files and the wheels that travelled, as long as it is started and runs.
        progress: gets a line now and then, where something takes long.
    """

    def __init__(
        self,
        manifest: Manifest,
        payload: bytes | bytearray,
        directory: RunDirectory,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        self.manifest = manifest
        self._payload = payload
        self._directory = directory
        self._progress = progress

    def start(self, work: Work) -> SandboxProcess:
        """Make the environment where there is none yet, and start the worker, apart from the machine.

        It ends with the thread that calls this, at the latest.

        Raises:
            PlaceError: no sandbox can be made here, or not with what is asked of it; or as `Venv.start`.
            RequirementsError, DiskFullError, SettingError, OSError: as `Venv.start`.
        """
        asked = work.surroundings
        asked.require(*_GIVEN, place="by a sealed flow in a sandbox")
        require_surroundings(work)
        _refuse_covered(asked)
        with ExitStack() as closing:
            with open_cache() as store:
                host = find_host(store)
            if host.bwrap is None:
                raise PlaceError(f"A sealed flow's sandbox is made by bubblewrap alone: {INSTALL}")
            remove_stale_groups()
            limits = closing.enter_context(limited(asked))
            wheels = self._directory.wheels
            environment = closing.enter_context(
                environment_for(self.manifest, wheels, progress=self._progress)
            )
            own = apart(wheels, environment.own)
            result = self._directory.make_for_result() if work.result else None
            brought = {"files": self._directory.path, "wheels": own}
            handed = Handed(
                self.manifest.to_json(),
                self._payload,
                work.secrets,
                *(path and Path(_BROUGHT, name) for name, path in brought.items()),
            )
            mounts = list(_of_python(environment))
            mounts += [
                Mount(str(path), f"{_BROUGHT}/{name}", writable=name == "files")
                for name, path in brought.items()
                if path is not None
            ]
            if result is not None:
                mounts.append(Mount(str(result.parent), REPORT, writable=True))
            spec = _spec(work, environment, mounts, reports=result is not None)
            launch = bubblewrap.on_directories(host, spec, list(_system()), _NAME)
            closing.callback(launch.close)
            try:
                clean_up = closing.pop_all()
                return SandboxProcess(
                    [*limits, *launch.command],
                    launch,
                    env=entering.ENVIRONMENT,
                    cwd="/",
                    handed=handed,
                    reports=work.reports and result is None,
                    descriptors=[*launch.inherited, *environment.held],
                    result=result,
                    clean_up=clean_up.close,
                    apart=tied_without_keys(),
                )
            finally:
                launch.begun()


def _spec(work: Work, environment: Environment, mounts: list[Mount], *, reports: bool) -> Spec:
    asked = work.surroundings
    python = environment.python
    env = {
        "PATH": f"{python.parent}:{DEFAULT_PATH}",
        "HOME": _HOME,
        "VIRTUAL_ENV": str(python.parent.parent),
        "PYTHONUNBUFFERED": "1",
    }
    network = asked.network == "host"
    mounts += [Mount(each.source, each.target, each.writable) for each in asked.volumes]
    mounts += [Mount(path, path) for path in resolving(network=network)]
    command = [*environment.command, *work.reporting(REPORT_FILE if reports else None)]
    if asked.output is not None:
        output = str(make_output_directory(asked.output))
        mounts.append(Mount(output, OUTPUT_DIRECTORY, writable=True))
        command.append(f"--output={OUTPUT_DIRECTORY}")
    mounts += [Mount(each, STORE_DIRECTORY, writable=True) for each in store_of(work)]
    command += work.keeping(STORE_DIRECTORY, "sandbox")
    return Spec(
        command=tuple(command),
        env=env | dict(asked.env),
        user=User(os.geteuid(), os.getegid(), _HOME),
        workdir=asked.workdir or _HOME,
        home=_HOME,
        mounts=tuple(mounts),
        secrets={},  # which are handed over with the flow
        network=network,
    )


def _system() -> Iterator[str]:
    """Yield bubblewrap's options for what of this machine is seen, read-only."""
    for path in _PROGRAMS:
        if os.path.islink(path):  # noqa: PTH114 - as text
            yield from ("--symlink", os.readlink(path), path)  # noqa: PTH115 - the same
        else:
            yield from ("--ro-bind-try", path, path)
    for path in _SETTINGS:
        yield from ("--ro-bind-try", path, path)


def _of_python(environment: Environment) -> Iterator[Mount]:
    """Yield what the environment's Python is of, beside what is of the system.

    Raises:
        PlaceError: it lies where more of the machine would be seen.
    """
    program = environment.python.resolve()
    prefix = program.parent.parent
    seen = [environment.python.parent.parent, environment.runtime]
    if not any(prefix.is_relative_to(each) for each in _PROGRAMS):
        if Path(os.path.expanduser("~")).resolve().is_relative_to(prefix):  # noqa: PTH111 - no home, no error
            raise PlaceError(
                f"The Python {program} lies directly in {prefix}, all of which the flow would see in its sandbox: "
                "install one in a directory of its own, for example by `uv python install`"
            )
        seen.append(prefix)
    for path in seen:
        yield Mount(str(path), str(path))


def _refuse_covered(asked: Surroundings) -> None:
    for volume in asked.volumes:
        target = Path(os.path.normpath(volume.target))
        if any(target.is_relative_to(each) for each in (*_PROGRAMS, "/etc", _BROUGHT)):
            raise PlaceError(
                f"{volume.target} is of the system, which a sealed flow's sandbox has from this machine: name a "
                "directory of its own"
            )
