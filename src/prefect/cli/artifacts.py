"""What an argument of the command names: a file of flows, a sealed flow, or an image.

The rules stand in the help of `prefect`. They look at how the argument is written and at nothing
else, so that the same words mean the same thing wherever they are said.
"""

from __future__ import annotations

import gc
import importlib.util
import sys
from contextlib import contextmanager, nullcontext
from functools import partial
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING

import click

from prefect.cli import mistakes, standard_input
from prefect.cli.output import say
from prefect.core.flow import Flow
from prefect.errors import (
    ArtifactError,
    ContainerEngineUnavailableError,
    ImageError,
    PrefectError,
)
from prefect.files import HEAD_BYTES, begins_as_archive, read_to_end

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from types import CodeType
    from typing import BinaryIO

    from prefect.images.inspection import FlowImage
    from prefect.places.engine.container import RunnableImage
    from prefect.sealed.source import SealedSource

_PATH_STARTS = ("file:", "/", "./", "../", "~/")
_ENDINGS = (".flow", ".pyz", ".tar", ".tar.gz", ".tgz")
_NOT_OF_USERS = (f"{Path(__file__).parents[1]}/", "<frozen importlib.")


class _Script(SourceFileLoader):
    """Compiles a file each time, as Python does with scripts.

    Bytecode that was kept of it counts as its own when it was written in the same second and has
    the same size: the flow before the last change would be built.
    """

    def get_code(self, fullname: str) -> CodeType | None:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def image_named(argument: str) -> str | None:
    """Return the image's name where an argument is one by how it is written, else None.

    What is on disk has no say: a file that is missing, or one too many, changes no meaning.
    """
    kind, colon, name = argument.partition(":")
    if colon and kind == "image":
        return name
    if argument.startswith(_PATH_STARTS) or argument.endswith(_ENDINGS) or is_flow_file(argument):
        return None
    host, slash, _ = argument.partition("/")
    has_host = bool(slash) and ("." in host or host == "localhost")
    return argument if colon or "@" in argument or has_host else None


def image_argument(name: str) -> str:
    """Return how an image's name is written as an argument."""
    return name if image_named(name) == name else f"image:{name}"


def is_flow_file(argument: str) -> bool:
    """Tell whether an argument is FILE.py or FILE.py:FLOW."""
    return not argument.startswith("image:") and _split(argument)[0].suffix == ".py"


def flow_file(argument: str) -> Path:
    """Return the file of FILE.py or FILE.py:FLOW."""
    return _split(argument)[0]


def load_flow_file(argument: str) -> Flow:
    """Run FILE.py and return its flow, or the one that FILE.py:FLOW names.

    A flow goes by the name of its variable or by its own.

    Raises:
        click.ClickException: there is no such file of source, it fails, or it holds no such flow.
    """
    if argument == standard_input.NAME:
        raise click.UsageError(
            "A flow's source is read from a FILE.py, not from standard input: the modules beside it "
            "belong to it"
        )
    path, wanted = _split(argument)
    if image_named(argument) is not None and not path.exists():
        raise click.UsageError(
            f"There is no file {path}. If an image is meant, it is built already"
        )
    if path.suffix != ".py" or not path.is_file():
        raise mistakes.not_source(path)
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
    except (Exception, SystemExit) as error:
        if mistakes.is_no_source(path):
            raise mistakes.not_source(path) from error
        told = _own_frames(error).rstrip()
        raise click.ClickException(f"{path} failed while it was loaded:\n{told}") from error
    flows = {name: value for name, value in vars(module).items() if isinstance(value, Flow)}
    return _choose(path, flows, wanted)


def _own_frames(error: BaseException) -> str:
    """Return an exception with its traceback, without the frames of this package and of imports."""
    import traceback  # noqa: PLC0415 - for errors alone

    shown: traceback.TracebackException | None = traceback.TracebackException.from_exception(error)
    text = shown
    while shown is not None:
        shown.stack = traceback.StackSummary.from_list(
            [one for one in shown.stack if not one.filename.startswith(_NOT_OF_USERS)]
        )
        shown = shown.__cause__ or shown.__context__
    return "".join(text.format()) if text else ""


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


def find_sealed(argument: str) -> SealedSource | None:
    """Return the sealed flow that an argument names, or None where it names an image.

    What comes through a pipe, or from standard input by "-", is read here, as it can be read but once.

    Raises:
        click.ClickException: it names a file that is not there, cannot be read, or is neither.
    """
    return None if image_named(argument) is not None else _find_on_disk(argument)


def require_sealed(argument: str) -> SealedSource:
    """Return the sealed flow of a file.

    Raises:
        click.ClickException: there is no such file, it cannot be read, or is an image.
    """
    if image_named(argument) is not None and not path_named(argument).exists():
        raise click.UsageError(
            f"There is no file {path_named(argument)}. If an image is meant, this is for sealed "
            "flows' files alone"
        )
    found = _find_on_disk(argument)
    if found is None:
        raise click.UsageError(f"{name_of(argument)} is an image or packed, not a sealed flow")
    return found


def require_sealed_file(argument: str) -> Path:
    """Return the path of a sealed flow's file that can be read again, and no pipe.

    Raises:
        click.ClickException: there is no such file, it cannot be read, or is an image or a pipe.
    """
    found = None if argument == standard_input.NAME else require_sealed(argument)
    if not isinstance(found, Path):
        raise click.UsageError(
            f"{name_of(argument)} is no file that could be replaced: write it to a file first"
        )
    return found


def _find_on_disk(argument: str) -> SealedSource | None:
    """Return the sealed flow in a file or from standard input; None for an image."""
    name = name_of(argument)
    try:
        with _opened(argument) as file:
            again = argument != standard_input.NAME and file.seekable()
            head = file.read(HEAD_BYTES)
            if begins_as_archive(head):
                if again:
                    return None
                raise click.UsageError(f"{name} is an image in a pipe: write it to a file first")
            if (wrong := mistakes.not_sealed(name, head)) is not None:
                raise wrong
            return path_named(argument) if again else head + _rest(name, file)
    except FileNotFoundError:
        raise click.UsageError(f"There is no file {name}{_or_image(argument)}") from None
    except IsADirectoryError:
        if (path_named(argument) / "oci-layout").is_file():
            return None
        raise click.UsageError(
            f"{name} is a directory, neither a file nor an OCI layout{_or_image(argument)}"
        ) from None
    except OSError as error:
        raise click.FileError(name, error.strerror or str(error)) from error


def _rest(name: str, file: BinaryIO) -> bytes:
    from prefect.sealed.source import PIPE_BYTES  # noqa: PLC0415 - images need none

    return read_to_end(file, PIPE_BYTES, name)


def _opened(argument: str) -> AbstractContextManager[BinaryIO]:
    if argument == standard_input.NAME:
        return nullcontext(standard_input.standard_input())
    return path_named(argument).open("rb")


def name_of(argument: str) -> str:
    """Return what a file is called in messages."""
    return "Standard input" if argument == standard_input.NAME else str(path_named(argument))


def path_named(argument: str) -> Path:
    """Return the path of PATH or file:PATH.

    Raises:
        click.UsageError: it is empty.
    """
    name = argument.removeprefix("file:")
    if not name:
        raise click.UsageError("The name of a file is needed here, and it is empty")
    return Path(name).expanduser()


def _or_image(argument: str) -> str:
    """Return what is added where somebody may have meant an image."""
    from prefect.oci.references import Reference  # noqa: PLC0415 - for these errors alone

    if argument.startswith(_PATH_STARTS) or argument.endswith(_ENDINGS):
        return ""
    try:
        Reference.parse(argument)
    except ValueError:
        return ""
    return f". If {argument} is an image, write image:{argument}"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say which file it is that cannot be written, or read."""
    try:
        yield
    except PrefectError:  # which says itself what it is about
        raise
    except OSError as error:
        raise click.FileError(str(path), error.strerror or str(error)) from error


def find_image(argument: str) -> FlowImage:
    """Return the flow image that an argument names: on disk, in a container engine or a registry.

    Raises:
        ArtifactError: it cannot be an image's name.
        ImageError: neither has it, or it is not of this package.
        ContainerEngineUnavailableError: no container engine answers, and no registry is named.
        RegistryError: the registry that it names does not have it either.
    """
    from prefect.images import finding  # noqa: PLC0415 - for images alone

    name = image_named(argument)
    if name is None:
        return finding.find(path_named(argument))
    with or_file(name):
        return finding.find(name)


def find_in_daemon(argument: str, *, pull: bool = False) -> RunnableImage:
    """Return the flow image of the container engine that an argument names.

    Args:
        pull: have the container engine pull what it does not have, if the name says from where; lines of
            that go to standard error.

    Raises:
        ArtifactError: it cannot be an image's name.
        ContainerEngineError: no container engine answers, or the container engine does not have it.
        click.ClickException: it is an image on disk.
    """
    name = image_named(argument)
    if name is None:
        raise _not_loaded(path_named(argument))
    from prefect.images import finding  # noqa: PLC0415 - for images alone
    from prefect.places.engine.container import RunnableImage  # noqa: PLC0415 - the same

    with or_file(name):
        return finding.find_in_daemon(
            name, RunnableImage, pull=pull, progress=partial(say, err=True)
        )


@contextmanager
def or_file(name: str) -> Iterator[None]:
    """Say that there is a file of the name of an image that is not there."""
    try:
        yield
    except (ArtifactError, ContainerEngineUnavailableError, ImageError) as error:
        if not Path(name).exists():
            raise
        raise click.UsageError(
            f"{error}. If the file {name} is meant, write file:{name}"
        ) from error


def _not_loaded(path: Path) -> click.UsageError:
    how = f"docker load --input {path}"
    if path.is_dir():
        how = f"skopeo copy oci:{path} docker-daemon:NAME:TAG"
    return click.UsageError(
        f"{path} is an image on disk: leave --in engine out, and it runs in a sandbox as it is. A container "
        f"engine runs what it has: load it with `{how}`, and run it by its name"
    )


def _split(argument: str) -> tuple[Path, str | None]:
    file, colon, flow = argument.rpartition(":")
    if colon and file.endswith(".py"):
        return path_named(file), flow
    return path_named(argument), None
