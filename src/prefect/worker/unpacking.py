"""The first steps of a file that runs by itself: what runs its flow is unpacked, once for a user.

    <cache>/prefect/pyz/<key>/site-packages/   the runtime, cryptography and what else was brought
                             /sizes.json       of all that was unpacked: a cleaner may take a part

Unpacked, machine code can be loaded at all, and bytecode is kept. The key is of all that is in the clear
and of this Python and machine. A directory takes its name once it is complete; a run locks it, shared,
until it ends; the oldest go where there are many. Where there is no cache that is this user's alone, a
directory for this run takes its place. This is imported out of the archive, as little as can be, and once
more from where it was unpacked.
"""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import sys
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from typing import TYPE_CHECKING

from prefect.errors import CompatibilityError, PrefectError, SettingError
from prefect.printable import error_text
from prefect.pyz import reading
from prefect.user_cache import cache_home, make_private, require_private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO, NoReturn

_BAD_INPUT, _STOPPED = 2, 130  # exit statuses, as of a run
_KEPT = 4  # each with some 20 MB
_KEY_LENGTH = 32
RUNTIMES, VENDORED = "pyz", "vendored"
"""What is kept, each in a directory of this name in that of the user's caches."""
_SITE = "site-packages"
_SIZES = "sizes.json"


class _File:
    """An open file as what archives are read from."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = file.seek(0, os.SEEK_END)

    def read(self, offset: int, length: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(length)


def start(archive: str) -> NoReturn:
    """Run the flow of a file that runs by itself, and end with the status of the run.

    Args:
        archive: absolute path of the file, out of which this is imported.
    """
    entered = ExitStack()
    atexit.register(entered.close)  # after what is registered later
    try:
        site = unpack(archive, entered)
    except (PrefectError, OSError) as error:
        print(error_text(error), file=sys.stderr)  # noqa: T201
        sys.exit(_BAD_INPUT)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)  # noqa: T201
        sys.exit(_STOPPED)
    sys.path[0] = str(site)
    for name in [name for name in sys.modules if name.partition(".")[0] == "prefect"]:
        del sys.modules[name]
    from prefect.worker.pyz import main  # noqa: PLC0415 - from where it was unpacked

    sys.exit(main(archive))


def unpack(archive: str, entered: ExitStack) -> Path:
    """Unpack what a file that runs by itself brings, if it is not there; return where it is to import.

    Args:
        archive: path of the file.
        entered: until it is closed, the directory stays.

    Raises:
        FormatError: it is damaged.
        CompatibilityError: it does not bring cryptography for here, and none is installed.
        OSError: there is no place to unpack it.
    """
    with open(archive, "rb") as file:  # noqa: PTH123 - as light as can be
        source = _File(file)
        members = reading.read_members(source)
        text = reading.content(source, members[reading.INDEX])
        key = key_of(text)
        with suppress(OSError):  # as where a home cannot be written
            place = cache_of(RUNTIMES)
            if place is not None:
                return kept(place / key, lambda one: _fill(one, source, members), entered)
        from prefect.files import private_directory  # noqa: PLC0415 - not where there is a cache

        directory = entered.enter_context(private_directory("prefect-pyz"))
        _fill(directory, source, members)
        return directory / _SITE


def key_of(content: bytes) -> str:
    """Return the name of the directory for what has this content, as it is unpacked here."""
    return sha256(b"\0".join([content, *map(os.fsencode, _here())])).hexdigest()[:_KEY_LENGTH]


def _here() -> Iterator[str]:
    """Yield what decides which wheels fit: homes are shared by machines."""
    yield sys.implementation.cache_tag or ""
    yield getattr(sys, "abiflags", "")
    yield sys.platform
    yield os.uname().machine
    with suppress(AttributeError, OSError, ValueError):
        yield os.confstr("CS_GNU_LIBC_VERSION") or ""


def cache_of(kind: str) -> Path | None:
    """Return the directory of all of a kind that was unpacked, if nobody else can change it."""
    home = cache_home()
    if home is None or not home.is_absolute():  # what is imported later would not be found
        return None
    directory = home / "prefect" / kind
    make_private(directory)
    try:
        require_private(directory)
    except SettingError as error:
        print(f"{error}. Until then, each run unpacks what it needs.", file=sys.stderr)  # noqa: T201
        return None
    return directory


def kept_directories() -> list[Path]:
    """Return what was unpacked for this user and is kept, with what a killed run left half made."""
    home = cache_home()
    if home is None:
        return []
    found: list[Path] = []
    for kind in (RUNTIMES, VENDORED):
        with suppress(OSError):
            found += sorted((home / "prefect" / kind).iterdir())
    keys = [one.name.removeprefix(".").partition(".")[0] for one in found]
    return [one for one, key in zip(found, keys, strict=True) if len(key) == _KEY_LENGTH]


def kept(target: Path, fill: Callable[[Path], object], entered: ExitStack) -> Path:
    """Return where what a directory of the cache holds is to import, after it was made if need be.

    Args:
        target: the directory, in one of `cache_of`.
        fill: makes its content, by `filling`.
        entered: until it is closed, the directory stays.

    Raises:
        OSError: it cannot be made.
        Exception: whatever `fill` raises; nothing is kept then.
    """
    if site := held(target, entered):
        return site
    from prefect.files import replacing_directory  # noqa: PLC0415 - for the first run alone

    discard(target)  # what is there is not whole
    try:
        with replacing_directory(target) as directory:
            fill(directory)
    except OSError:
        # Perhaps another run has just done the same.
        if site := held(target, entered):
            return site
        raise
    site = held(target, entered)
    if site is None:
        raise FileNotFoundError(f"{target} was removed while it was made")
    _keep_few(target)
    return site


def held(target: Path, entered: ExitStack) -> Path | None:
    """Lock a directory, shared, and mark it as used; None where it is not there, or not whole."""
    try:
        handle = os.open(target, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    except OSError:
        return None
    mine = ExitStack()
    mine.callback(os.close, handle)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        sizes = json.loads((target / _SIZES).read_bytes())
        whole = os.path.samestat(os.fstat(handle), target.stat()) and all(
            os.lstat(f"{target}/{_SITE}/{name}").st_size == size for name, size in sizes.items()
        )
        if whole:
            os.utime(handle)
    except (OSError, ValueError):
        whole = False
    if whole:
        entered.push(mine.pop_all())
    mine.close()
    return target / _SITE if whole else None


def discard(target: Path) -> None:
    """Remove a directory that no run uses."""
    import shutil  # noqa: PLC0415 - for the first run alone

    try:
        handle = os.open(target, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    except OSError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(target, ignore_errors=True)
    except OSError:
        pass
    finally:
        os.close(handle)


def _keep_few(mine: Path) -> None:
    """Remove those that were not used for longest, but for the latest few."""
    with suppress(OSError):
        others = [one for one in mine.parent.iterdir() if one != mine and "." not in one.name]
        others.sort(key=lambda one: one.stat().st_mtime, reverse=True)
        for one in others[_KEPT - 1 :]:
            discard(one)


@contextmanager
def filling(directory: Path) -> Iterator[Callable[[str, bytes], None]]:
    """Yield what writes a file, by its path below site-packages; then note that all are there."""
    sizes: dict[str, int] = {}
    site = directory / _SITE
    site.mkdir()

    def put(name: str, data: bytes) -> None:
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        sizes[name] = len(data)

    yield put
    (directory / _SIZES).write_text(json.dumps(sizes))


def _fill(directory: Path, source: reading.Source, members: dict[str, reading.Member]) -> None:
    """Unpack into a directory, each member compared with its digest in the index.

    Raises:
        FormatError, CompatibilityError, OSError: as `unpack` raises them.
    """
    from prefect.pyz.index import indexed_content, read_index  # noqa: PLC0415 - for the first run

    index = read_index(source, members)

    def content(name: str) -> bytes:
        return indexed_content(source, members[name], index)

    with filling(directory) as put:
        for name in members:
            if name.startswith(reading.RUNTIME):
                put(name.removeprefix(reading.RUNTIME), content(name))
        wheels = [name for name in members if name.startswith(reading.WHEELS)]
        pure = [name for name in wheels if name.endswith("-none-any.whl")]
        for name in pure:
            _unpack_wheel(content(name), put)
        site = str(directory / _SITE)
        sys.path.insert(0, site)  # packaging is among them
        try:
            chosen = _fitting([name for name in wheels if name not in pure])
        finally:
            sys.path.remove(site)
        for name in chosen:
            _unpack_wheel(content(name), put)


def _fitting(wheels: Iterable[str]) -> list[str]:
    """Return the wheels of machine code that fit here; none where their packages are installed here."""
    from prefect.running.own_wheels import fitting  # noqa: PLC0415 - for the first run alone

    names = [name.removeprefix(reading.WHEELS) for name in wheels]
    try:
        return [reading.WHEELS + name for name in fitting(names)]
    except CompatibilityError:
        from importlib.util import find_spec  # noqa: PLC0415 - for this alone

        with suppress(ModuleNotFoundError):
            if find_spec("cryptography.cobblestone") is not None:
                return []
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    raise CompatibilityError(
        f"This file brings the machine code of cryptography as {', '.join(names)}, and none of it is for "
        f"Python {version} on {sys.platform}/{os.uname().machine} here. Run it by another Python, build "
        "it with --for and --python for this one, or install the package cryptography here"
    )


def _unpack_wheel(data: bytes, put: Callable[[str, bytes], None]) -> None:
    import io  # noqa: PLC0415 - for the first run alone
    from zipfile import ZipFile  # noqa: PLC0415 - the same

    from prefect.running.own_wheels import wheel_files  # noqa: PLC0415 - the same

    with ZipFile(io.BytesIO(data)) as wheel:
        for name, content in wheel_files(wheel):
            put(name, content)
