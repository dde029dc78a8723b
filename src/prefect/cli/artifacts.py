"""What an argument of the command names: a file of flows, a sealed flow, or an image."""

from __future__ import annotations

import gc
import importlib.util
import sys
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING

import click

from prefect.core.flow import Flow
from prefect.errors import (
    ArtifactError,
    ContainerEngineUnavailableError,
    ImageError,
    PrefectError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, TracebackType

    from prefect.images.container import RunnableImage

_LOADERS = {__name__, "importlib._bootstrap", "importlib._bootstrap_external"}


class _Script(SourceFileLoader):
    """Compiles a file each time, as Python does with scripts.

    Bytecode that was kept of it counts as its own when it was written in the same second and has
    the same size: the flow before the last change would be built.
    """

    def get_code(self, fullname: str) -> CodeType | None:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def is_flow_file(argument: str) -> bool:
    """Tell whether an argument is FILE.py or FILE.py:FLOW."""
    return _split(argument)[0].suffix == ".py"


def flow_file(argument: str) -> Path:
    """Return the file of FILE.py or FILE.py:FLOW."""
    return _split(argument)[0]


def load_flow_file(argument: str) -> Flow:
    """Run FILE.py and return its flow, or the one that FILE.py:FLOW names.

    A flow goes by the name of its variable or by its own.

    Raises:
        click.ClickException: there is no such file, it fails, or it holds no such flow.
    """
    path, wanted = _split(argument)
    if not path.is_file():
        raise click.UsageError(f"There is no file {path}")
    # Never in the place of a module that is there, such as the standard library's.
    module_name = path.stem if path.stem not in sys.modules else f"flow_file_{path.stem}"
    loader = _Script(module_name, str(path))
    spec = importlib.util.spec_from_file_location(module_name, path, loader=loader)
    if spec is None:
        raise click.UsageError(f"{path} cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    # As for a script: modules beside it can be imported, and pickling finds its names.
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules[module_name] = module
    gc.freeze()  # what was imported by now, the interpreter's last collections may leave alone
    try:
        loader.exec_module(module)
    except PrefectError:
        raise
    except (Exception, SystemExit) as error:
        import traceback  # noqa: PLC0415 - for errors alone

        lines = traceback.format_exception(type(error), error, _below_importlib(error))
        raise click.UsageError(f"{path} failed while it was loaded:\n{''.join(lines)}") from error
    flows = {name: value for name, value in vars(module).items() if isinstance(value, Flow)}
    return _choose(path, flows, wanted)


def _below_importlib(error: BaseException) -> TracebackType | None:
    frames = error.__traceback__
    while frames and frames.tb_frame.f_globals.get("__name__") in _LOADERS:
        frames = frames.tb_next
    return frames


def _choose(path: Path, flows: dict[str, Flow], wanted: str | None) -> Flow:
    distinct = list({id(flow): flow for flow in flows.values()}.values())
    listed = ", ".join(f"{name} ({flow.name!r})" for name, flow in flows.items()) or "none"
    if wanted is not None:
        found = flows.get(wanted) or next((f for f in distinct if f.name == wanted), None)
        if found is None:
            raise click.UsageError(f"{path} has no flow {wanted!r}; its flows are: {listed}")
        return found
    if not distinct:
        raise click.UsageError(
            f"{path} has no flow among its top-level names. Define one there, not within a "
            'function or below `if __name__ == "__main__"`'
        )
    if len(distinct) > 1:
        raise click.UsageError(f"{path} has several flows, write {path}:FLOW for one of: {listed}")
    return distinct[0]


def find_sealed(argument: str) -> Path | None:
    """Return the path of a sealed flow's file, or None where the argument names no file.

    Raises:
        click.ClickException: there is a file that cannot be read, or none although one is meant.
    """
    path = Path(argument)
    try:
        with path.open("rb") as file:
            # Image archives are tar archives, or compressed ones.
            head = file.read(262)
            return None if head[257:] == b"ustar" or head[:2] == b"\x1f\x8b" else path
    except (FileNotFoundError, IsADirectoryError):
        if path.suffix == ".flow":
            raise click.UsageError(f"There is no file {argument}") from None
        return None
    except OSError as error:
        raise click.FileError(argument, error.strerror or str(error)) from error


def require_sealed(argument: str) -> Path:
    """Return the path of a sealed flow's file.

    Raises:
        click.ClickException: there is no such file, or it cannot be read.
    """
    path = find_sealed(argument)
    if path is None:
        if Path(argument).is_dir():
            raise click.UsageError(f"{argument} is a directory, not a sealed flow")
        if Path(argument).exists():
            raise click.UsageError(f"{argument} is an image or packed, not a sealed flow")
        raise click.UsageError(f"There is no file {argument}")
    return path


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say which file it is that cannot be written, or read."""
    try:
        yield
    except OSError as error:
        raise click.FileError(str(path), error.strerror or str(error)) from error


def find_in_daemon(argument: str) -> RunnableImage:
    """Return the flow image of the container engine that an argument names.

    Raises:
        ArtifactError: it cannot be an image's name, and no such file exists.
        ContainerEngineError: no container engine answers, or the container engine does not have it.
        click.ClickException: it is an image on disk.
    """
    from prefect.images import finding  # noqa: PLC0415 - for images alone

    try:
        return finding.find_in_daemon(argument)
    except (ArtifactError, ContainerEngineUnavailableError, ImageError) as error:
        if finding.is_on_disk(Path(argument)):
            raise _not_loaded(argument) from error
        raise


def _not_loaded(argument: str) -> click.UsageError:
    how = f"docker load --input {argument}"
    if Path(argument).is_dir():
        how = f"skopeo copy oci:{argument} docker-daemon:NAME:TAG"
    return click.UsageError(
        f"{argument} is an image on disk, and runs where a container engine has it: load it with "
        f"`{how}` and run it by its name. `prefect info {argument}` looks into it as it is"
    )


def _split(argument: str) -> tuple[Path, str | None]:
    file, colon, flow = argument.rpartition(":")
    if colon and file.endswith(".py"):
        return Path(file), flow
    return Path(argument), None
