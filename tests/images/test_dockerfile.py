"""`prefect.images.dockerfile`."""

from dataclasses import replace

from prefect.images.dockerfile import build_context, render
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
