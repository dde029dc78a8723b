"""From a flow and a base to the plan of an image."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib import metadata, resources
from typing import TYPE_CHECKING

from prefect.environments.at_rest import forbidden, refuse_at_rest
from prefect.environments.secret import Secret, secrets_of
from prefect.errors import CompatibilityError, RequirementsError
from prefect.packaging import plan, requirements
from prefect.packaging.pickling import pickle_flow
from prefect.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from importlib.resources.abc import Traversable

    from prefect.core.flow import Flow
    from prefect.environments.base_image import BaseImage
    from prefect.environments.pickle_environment import PickleEnvironment
    from prefect.oci.platforms import Platform
    from prefect.oci.store import Store
    from prefect.packaging.manifest import Manifest


@dataclass(frozen=True, slots=True)
class PackagedFlow:
    """A flow as the files that an image holds of it.

    needs: what running it needs beside the flow's own requirements.
    """

    manifest: Manifest
    files: dict[str, bytes] = field(repr=False)
    labels: dict[str, str]
    needs: tuple[str, ...] = ()


def package(
    flow: Flow, secrets: Iterable[Secret], sealing: PickleEnvironment | None
) -> PackagedFlow:
    """Package a flow: in the open, or sealed where there is a key for it.

    Raises:
        NotAFlowError: something other than a flow was given.
        PicklingError, SecretError: the flow cannot be packaged.
    """
    if sealing is not None:
        sealed = sealing.build(flow)
        return PackagedFlow(
            sealing.manifest(sealed),
            {plan.SEALED_FILE: sealed},
            {plan.LABEL_SEALED: f"{plan.FLOW_DIRECTORY}/{plan.SEALED_FILE}"},
            (f"cryptography=={metadata.version('cryptography')}",),
        )
    pickled = pickle_flow(flow)
    manifest = pickled.manifest
    refuse_at_rest(
        forbidden((*secrets_of(manifest.flow), *secrets)),
        manifest=manifest.to_json(),
        payload=pickled.payload,
    )
    return PackagedFlow(
        manifest,
        {plan.MANIFEST_FILE: manifest.to_json(), plan.PAYLOAD_FILE: pickled.payload},
        {
            plan.LABEL_FLOW: manifest.flow["name"],
            plan.LABEL_MANIFEST: f"{plan.FLOW_DIRECTORY}/{plan.MANIFEST_FILE}",
        },
    )


def require_same_python(base: BaseImage, packaged: PackagedFlow) -> None:
    """Compare the base's Python with the one that packaged the flow.

    Raises:
        CompatibilityError: they are of different series.
    """
    here = packaged.manifest.python_minor
    if here != base.python:
        raise CompatibilityError(
            f"The base image {base.reference} has Python {base.python}, but this flow is pickled "
            f"by Python {here}, and bytecode does not move between them. Choose a base with "
            f"Python {here}, such as python:{here}-slim, or build with Python {base.python}"
        )


def make_plan(
    base: BaseImage,
    packaged: PackagedFlow | None,
    *,
    dependencies: Sequence[str] | None,
    setup: tuple[str, ...],
    lock: str | None,
    store: Store | None,
    platform: Platform | None = None,
) -> plan.ImagePlan:
    """Decide what goes into an image.

    platform: of a base for several, where one was asked for.
    dependencies: requirement lines; None takes what the flow imports, as installed here.
    lock: locked dependencies to take as they are; None resolves them.

    Raises:
        CompatibilityError: the base has another Python than the one that pickled the flow.
        RequirementsError: the dependencies cannot be resolved, or the lock is none of them.
    """
    if packaged is not None:
        require_same_python(base, packaged)
    lines = wanted(packaged, dependencies)
    if lock is not None:
        _require_locked(lines, lock)
    else:
        lock = requirements.lock(lines, python=base.python, platform=base.platform, store=store)
    labels = {plan.LABEL_VERSION: __version__, plan.LABEL_PYTHON: base.python}
    return plan.ImagePlan(
        base=base.reference,
        base_platform=str(platform or ""),
        setup=setup,
        interpreter=base.interpreter,
        python=base.python,
        platform=base.platform,
        user=base.user,
        lock=lock,
        runtime=runtime_files(),
        flow=packaged.files if packaged else {},
        labels=labels | (packaged.labels if packaged else {}),
    )


def _require_locked(lines: list[str], lock: str) -> None:
    # Here, as this module is also loaded inside images, where isal is not installed.
    from prefect.packaging.installing import read_lock  # noqa: PLC0415

    known = {one.name for one in read_lock(lock)}
    asked = {requirements.requirement_name(line) for line in lines if ";" not in line}
    if missing := sorted(asked - known):
        raise RequirementsError(
            f"The lock lacks {', '.join(missing)}, which the image needs: delete it, so that the "
            "next build locks anew"
        )


def wanted(packaged: PackagedFlow | None, dependencies: Sequence[str] | None) -> list[str]:
    """Return the requirement lines of an image, what its runtime needs among them."""
    lines: Iterable[str]
    if dependencies is not None:
        lines = dependencies
    else:
        found = set(packaged.manifest.requirements.values()) if packaged else set()
        # A local version such as 2.1+cpu is a build of that version that no index has.
        lines = sorted(line.partition("+")[0] for line in found)
    needs = packaged.needs if packaged else ()
    return [*lines, *needs, f"cloudpickle=={metadata.version('cloudpickle')}"]


@cache
def runtime_files() -> dict[str, bytes]:
    """Return the files of this package that run inside an image; its command does not."""
    files: dict[str, bytes] = {}

    def collect(directory: Traversable, path: str) -> None:
        for entry in directory.iterdir():
            name = f"{path}/{entry.name}"
            if entry.is_dir():
                if entry.name not in {"__pycache__", "cli"}:
                    collect(entry, name)
            elif entry.name.endswith(".py"):
                files[name] = entry.read_bytes()

    collect(resources.files("prefect"), "prefect")
    return dict(sorted(files.items()))
