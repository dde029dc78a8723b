"""The environment that packages a file's flow: its own, with what a command's options add."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prefect.cli.artifacts import flow_file
from prefect.cli.requirement_lines import requirement_lines
from prefect.environments import ContainerEnvironment, PickleEnvironment
from prefect.environments.environment import Environment

if TYPE_CHECKING:
    from prefect.core.flow import Flow


def environment_of_file(
    flow: Flow,
    file: str,
    image: str | None,
    requirements: tuple[str, ...],
    include: tuple[str, ...],
    *,
    is_image: bool,
) -> ContainerEnvironment | PickleEnvironment:
    """Return the environment that packages a file's flow for a run of its: its own, or the like.

    Args:
        file: FILE.py or FILE.py:FLOW.
        image: the base, if one is named.
        requirements: dependency lines beside what the flow imports.
        include: paths and patterns of files that travel.
        is_image: whether it is to become an image, and not a sealed flow.

    Raises:
        click.UsageError: something is not as it is written, or there is no base.
    """
    options: dict[str, Any] = {"python_dependencies": requirements} if requirements else {}
    own = flow.environment
    options |= {
        "secrets": getattr(own, "secrets", ()),
        "allow_secret_like": (),
        **included(include, flow, flow_file(file)),
    }
    try:
        if not is_image:
            return PickleEnvironment(**sealed_options(flow, options))
        if image is None and not isinstance(own, ContainerEnvironment):
            raise click.UsageError(
                "There is no image to run it in: name a base with --image, such as python:3.11-slim"
            )
        return image_environment(flow, image, options)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def included(patterns: tuple[str, ...], flow: Flow, file: Path) -> dict[str, Any]:
    """Return what of an environment's arguments says which files travel: its own, and what is asked.

    Paths on the command line are relative to the current directory, those of an environment to where
    it says.
    """
    own = flow.environment
    paths = (
        [Path(own.include_from, path) for path in own.include]
        if isinstance(own, Environment)
        else []
    )
    home = file.absolute().parent
    # As text relative to the flow's file: paths of this machine are nobody's business.
    listed = [os.path.relpath(path, home) for path in (*paths, *map(Path, patterns))]
    return {"include": listed, "include_from": home} if listed else {}


def image_environment(
    flow: Flow, image: str | None, options: dict[str, Any]
) -> ContainerEnvironment:
    """Return the flow's own ContainerEnvironment with what the options say, or a new one.

    Lists are added to those that it has: nothing that the flow's file asks for is dropped.
    """
    own = flow.environment
    options["python_dependencies"] = requirement_lines(options.get("python_dependencies", ()))
    if isinstance(own, ContainerEnvironment):
        if options["python_dependencies"] is None:
            del options["python_dependencies"]
        elif own.python_dependencies:
            options["python_dependencies"][:0] = own.python_dependencies
        options["setup"] = (*own.setup, *options.get("setup", ()))
        options["allow_source"] = (*own.allow_source, *options.get("allow_source", ()))
        options["allow_secret_like"] = (*own.allow_secret_like, *options["allow_secret_like"])
        environment = own.but(**options, **({} if image is None else {"image": image}))
    else:
        environment = ContainerEnvironment(image or "", **options)
    if options.get("network") and not environment.setup:
        raise click.UsageError("--network is for the commands of --setup, and there are none")
    return environment


def mention_project(directory: Path, options: dict[str, Any]) -> None:
    """Say that a project's lock lies beside the flow, or above it up to here, and is not what is taken."""
    if options.get("project") or options.get("lock"):
        return
    here = Path.cwd()
    above = [one for one in directory.resolve().parents if one.is_relative_to(here)]
    names = ("pylock.toml",), ("pyproject.toml", "uv.lock")
    for place in (directory, *(Path(os.path.relpath(one)) for one in above)):
        for lock in names:
            if all((place / name).is_file() for name in lock):
                click.echo(
                    f"{place / lock[-1]} is not used: versions are those installed here. "
                    f"With --project {place} they are the project's.",
                    err=True,
                )
                return


def sealed_options(flow: Flow, options: dict[str, Any]) -> dict[str, Any]:
    """Return what the options say of a sealed flow, with what its own environment says of its lock."""
    given = dict(options)
    lines = requirement_lines(options.get("python_dependencies", ())) or []
    own = flow.environment
    if isinstance(own, PickleEnvironment):
        lines[:0] = own.python_dependencies or ()
        given["allow_source"] = (*own.allow_source, *options.get("allow_source", ()))
        for name in ("lock", "relock", "project", "platforms", "pythons", "vendor", "infer"):
            given.setdefault(name, getattr(own, name))
        if given.get("lock") and given.get("project"):  # one of them is the flow's own
            given["lock" if "project" in options else "project"] = None
    given["python_dependencies"] = lines
    PickleEnvironment(**given)  # which checks it, before a key is read
    return given
