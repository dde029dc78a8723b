"""`prefect.images.dockerfile`."""

import os
import resource
from contextlib import contextmanager
from pathlib import Path

import pytest

from prefect.errors import OutputError
from prefect.frozen import replace
from prefect.images.dockerfile import build_context, render, write_context
from prefect.images.plan import ImagePlan

PLAN = ImagePlan(
    base="python@sha256:" + "0" * 64,
    interpreter="python3",
    python="3.11",
    platform="x86_64-manylinux_2_36",
    user="app",
    lock="numpy==1.0 --hash=sha256:00\n",
    runtime={"prefect/__init__.py": b""},
    flow={"manifest.json": b"{}", "payload.pickle": b"p"},
    labels={"prefect.flow": 'a "quoted" $HOME \\ name\nin two lines'},
)


def test_stable_layers_come_first_and_the_flow_last():
    """A changed flow leaves the layers of dependencies and runtime as they are."""
    text = render(PLAN)
    order = ["FROM python@sha256", "COPY requirements.lock", "pip install", "COPY runtime/",
             "ENTRYPOINT", "LABEL", "COPY flow/manifest.json"]  # fmt: skip
    positions = [text.index(part) for part in order]
    assert positions == sorted(positions)


def test_the_bases_user_is_restored():
    """Only the installation runs as root."""
    text = render(PLAN)
    assert text.index("USER root") < text.index("pip install") < text.index("USER app")
    assert "USER" not in render(
        ImagePlan("b", "python3", "3.11", "x86_64-manylinux_2_36", "", "", {})
    ).replace("USER root", "")


def test_labels_cannot_escape_their_quotes():
    """Quotes, dollars, backslashes and newlines of a flow's name stay within its label."""
    assert 'LABEL prefect.flow="a \\"quoted\\" \\$HOME \\\\ name in two lines"' in render(PLAN)


def test_the_context_holds_what_the_dockerfile_copies():
    """Every source of a COPY is in the context, and nothing else is."""
    context = build_context(PLAN)
    assert set(context) == {
        "Dockerfile",
        "requirements.lock",
        "runtime/prefect/__init__.py",
        "flow/manifest.json",
        "flow/payload.pickle",
    }


def test_an_image_of_dependencies_has_no_flow():
    """Without a flow, nothing of one is copied."""
    plan = ImagePlan(
        "b", "python3", "3.11", "x86_64-manylinux_2_36", "", "", {"prefect/__init__.py": b""}
    )
    assert "flow/" not in render(plan)
    assert set(build_context(plan)) == {
        "Dockerfile", "requirements.lock", "runtime/prefect/__init__.py",
    }  # fmt: skip


def test_a_platform_that_was_asked_for_is_that_of_the_base():
    """An index by digest has several, of which the builder would take its own."""
    text = render(replace(PLAN, base_platform="linux/arm64"))
    assert f"FROM --platform=linux/arm64 {PLAN.base}\n" in text
    assert f"FROM {PLAN.base}\n" in render(PLAN)


# ---- written ------------------------------------------------------------------------------------


@contextmanager
def no_room_for(size):
    """Let no file of this process grow to a size, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size - 1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("theirs", ["requirements.lock", "runtime/x.txt", "flow/x.txt"])
def test_nothing_of_the_users_is_overwritten_or_joined(tmp_path, theirs):
    """Without a Dockerfile of prefect's, a lock or folder of that name is somebody else's."""
    (tmp_path / theirs).parent.mkdir(exist_ok=True)
    (tmp_path / theirs).write_text("mine")
    with pytest.raises(OutputError, match=theirs.partition("/")[0]):
        write_context(tmp_path, build_context(PLAN))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / theirs]
    assert (tmp_path / theirs).read_text() == "mine"


def test_a_link_that_leads_nowhere_is_not_written_through(tmp_path):
    """Whoever made it did not ask for a file where it points."""
    (tmp_path / "Dockerfile").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="Dockerfile"):
        write_context(tmp_path, build_context(PLAN))
    assert [path.name for path in tmp_path.iterdir()] == ["Dockerfile"]


def test_the_lock_that_is_used_may_lie_where_it_goes(tmp_path):
    """It has the same bytes: nothing is lost. Prefect's own files are renewed."""
    context = build_context(PLAN)
    (tmp_path / "requirements.lock").write_bytes(context["requirements.lock"])
    write_context(tmp_path, context)
    write_context(tmp_path, build_context(replace(PLAN, lock="idna==3 --hash=sha256:00\n")))
    assert (tmp_path / "requirements.lock").read_text().startswith("idna")


@pytest.mark.parametrize("directory", [".", "a/b/c"])
def test_every_user_can_read_the_runtime_whatever_the_umask(tmp_path, monkeypatch, directory):
    """The directories, too, wherever the context is written."""
    monkeypatch.chdir(tmp_path)
    former = os.umask(0o077)
    try:
        write_context(Path(directory), build_context(PLAN))
    finally:
        os.umask(former)
    modes = {path: Path(directory, path).stat().st_mode & 0o777 for path in ("runtime", "flow")}
    assert modes == {"runtime": 0o755, "flow": 0o700}


@pytest.mark.parametrize("there", [True, False])
def test_a_full_disk_leaves_nothing_and_is_told_by_the_files_name(tmp_path, there):
    """Folders that were made go as well; what was there stays."""
    target = tmp_path / "new" / "context"
    if there:
        target.mkdir(parents=True)
        (target / "etl.py").write_text("mine")
    before = set(tmp_path.rglob("*"))
    plan = replace(PLAN, flow={"manifest.json": b"{}", "payload.pickle": b"p" * 100_000})
    with no_room_for(100_000), pytest.raises(OSError, match=r"flow/payload\.pickle"):
        write_context(target, build_context(plan))
    assert set(tmp_path.rglob("*")) == before
