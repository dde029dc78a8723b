"""A sandbox that is entered while its command still packages the flow, and whose worker waits for that.

A command that is given again, for a flow that was changed, mostly runs on the layers on which it ran before: only the
flow's own is another one. So these are put together again at once, and the worker's Python starts there and imports
what it is going to need. Nothing depends on it: where the image that is made then is on other layers, or asks for
something else, the sandbox is removed, and another one made.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.errors import PrefectError
from prefect.files import private_directory
from prefect.oci.cache.directories import hold, place_of
from prefect.oci.cache.facts import recall
from prefect.oci.cache.layout import DIRECTORIES, MOUNT
from prefect.oci.cache.of_user import kept_root
from prefect.places.process import Child
from prefect.places.sandbox import bubblewrap, entering
from prefect.places.sandbox.beginning import tied_without_keys
from prefect.places.sandbox.host import known_host
from prefect.places.sandbox.spec import REPORT, REPORT_FILE, Mount, Spec
from prefect.places.sandbox.trees import FILES, key_of
from prefect.places.sandbox.users import User
from prefect.places.surroundings import NOTHING
from prefect.running.flow_directory import FLOW_DIRECTORY, MANIFEST_FILE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect.oci.cache.store import Store
    from prefect.oci.images import Image
    from prefect.places.protocol import Work
    from prefect.places.sandbox.entering import Launch
    from prefect.places.sandbox.stack import Stack

_SETTINGS = ("Env", "Entrypoint", "User", "WorkingDir")  # what a run gets of an image's config
_FLOW = FLOW_DIRECTORY.lstrip("/")


class _Ahead:
    """A sandbox whose worker waits."""

    def __init__(
        self, child: Child, launch: Launch, root: Path, known: dict[str, Any], closing: ExitStack
    ) -> None:
        self.child = child
        self.launch = launch
        self.flow = root / "flow"
        self.result = root / "result" / Path(REPORT_FILE).name
        self.known = known
        self.close = closing.close

    def discard(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.child.process.pid, signal.SIGKILL)
        self.child.process.wait()
        for file in (self.child.process.stdout, self.child.process.stderr):
            if file is not None:
                file.close()
        self.child.close()
        self.close()


_commands: list[str] = []  # under which what this process runs is remembered, if it is
_waiting: list[_Ahead] = []


def begin(words: Sequence[str]) -> None:
    """Enter the sandbox that the same command ran in before, if that is remembered and kept.

    It ends when this process does, or when `take` has no use for it.

    Args:
        words: of the command.
    """
    with suppress(PrefectError, OSError), ExitStack() as entered:  # told where it is needed
        command = f"sandbox of {json.dumps([os.getcwd(), *words])}"  # noqa: PTH109 - as text
        _commands.append(command)
        root = kept_root()
        known = None if root is None else recall(root, command)
        host = None if root is None else known_host(root)
        if root is None or not known or host is None or host.bwrap is None or not host.overlay:
            return
        lower = []
        for diff_id in known["layers"]:
            held = hold(place_of(root, key_of(diff_id)))
            if held is None:
                return
            entered.callback(held.close)
            lower.append(os.path.relpath(held.path / FILES, root / DIRECTORIES))
        own = entered.enter_context(private_directory("prefect-ahead"))
        (own / "result").mkdir()
        (own / "flow" / _FLOW).mkdir(parents=True)
        layers = entering.Layers(root / MOUNT, lower, known["modes"])
        launch = bubblewrap.on_overlay(host.bwrap, _spec(known, own), layers)
        if launch is None:
            return
        entered.callback(launch.close)
        try:
            child = Child(
                launch.command, env=entering.ENVIRONMENT, cwd=root / DIRECTORIES, takes=True,
                descriptors=launch.inherited, apart=tied_without_keys(),
            )  # fmt: skip
        finally:
            launch.begun()
        _waiting.append(_Ahead(child, launch, own, known, entered.pop_all()))
        atexit.register(_end)


def _spec(known: dict[str, Any], own: Path) -> Spec:
    uid, gid, home = known["user"]
    imports = [f"--import={','.join(known['imports'])}"] if known["imports"] else []
    return Spec(
        command=(*known["settings"]["Entrypoint"], "wait", *imports),
        env=known["env"],
        user=User(uid, gid, home),
        workdir=known["workdir"],
        home=known["home"],
        mounts=(
            Mount(str(own / "result"), REPORT, writable=True),
            Mount(str(own / "flow" / _FLOW), FLOW_DIRECTORY, writable=True),
        ),
        secrets={},
        network=False,
    )


def _end() -> None:
    while _waiting:
        _waiting.pop().discard()


def take(image: Image, work: Work) -> _Ahead | None:
    """Have the worker that waits run an image's flow; None where none does, or it is in another sandbox.

    Raises:
        ImageContentError, ImageError, OSError: the flow's layer cannot be unpacked.
    """
    if not _waiting:
        return None
    found = _waiting.pop()
    try:
        if _suits(found, image, work) and _brought(image, found.flow, found.known):
            order = {"arguments": work.awaiting(REPORT_FILE)}
            text = json.dumps(order).encode()
            found.child.write([len(text).to_bytes(4, "big"), text])
            return found
    except BaseException:
        found.discard()
        raise
    found.discard()
    return None


def _suits(found: _Ahead, image: Image, work: Work) -> bool:
    there = found.child.process.poll() is None
    known = {name: found.known[name] for name in ("layers", "settings", "json")}
    return there and _asks_for_nothing(work) and known == _identity(image, work)


def _asks_for_nothing(work: Work) -> bool:
    """Tell whether a run gets nothing but its flow and parameters: secrets are given when a sandbox is entered."""
    plain = work.surroundings == NOTHING and work.has_report
    return plain and not (work.secrets or work.tty) and work.arguments[:1] == ["run"]


def _identity(image: Image, work: Work) -> dict[str, Any]:
    return {
        "layers": [layer.diff_id for layer in image.layers[:-1]],
        "settings": {name: image.settings.get(name) for name in _SETTINGS},
        "json": "--json" in work.arguments,
    }


def _brought(image: Image, directory: Path, known: dict[str, Any]) -> bool:
    """Unpack the flow's layer into a sandbox; tell whether it is all that the sandbox lacks."""
    from prefect.places.sandbox.unpacking import unpack  # noqa: PLC0415 - loads isal

    unpack(image.layers[-1], directory)
    return _is_flow_alone(directory) and (
        known["json"] or known["imports"] == _imports(directory / _FLOW)
    )


def _is_flow_alone(directory: Path) -> bool:
    for name in Path(_FLOW).parts:
        if os.listdir(directory) != [name]:  # noqa: PTH208 - names alone
            return False
        directory /= name
    return (directory / MANIFEST_FILE).is_file()


def _imports(directory: Path) -> list[str]:
    """Return the modules that a flow imports, by its manifest."""
    return sorted(json.loads((directory / MANIFEST_FILE).read_bytes())["requirements"])


def remember(image: Image, work: Work, stack: Stack, spec: Spec, store: Store) -> None:
    """Keep what `begin` needs, if the command may be given again, and its flow's layer is the last one.

    Args:
        stack: the image's layers.
        spec: of a run that was started.
    """
    if not _commands or not _asks_for_nothing(work) or len(stack.trees) != len(image.layers):
        return
    below, top = stack.without_last(), stack.trees[-1].path
    if below.find(_FLOW) is not None or not below.marked or not _is_flow_alone(top):
        return
    known = _identity(image, work) | {
        "modes": below.unlisted_modes(),
        "user": [spec.user.uid, spec.user.gid, spec.user.home],
        "home": spec.home,
        "workdir": spec.workdir,
        "env": dict(spec.env),
        # What they print would not be an object of JSON.
        "imports": [] if "--json" in work.arguments else _imports(top / _FLOW),
    }
    store.remember(_commands[-1], known)
