"""A plan as a Dockerfile and the files that it copies: for people, engines and build tools."""

from __future__ import annotations

import json

from prefect.packaging.plan import FLOW_DIRECTORY, PREFIX, ImagePlan

NAME = "Dockerfile"
FIRST_LINE = "# Written by prefect. "
LOCK = "requirements.lock"
_RUNTIME, _FLOW = "runtime", "flow"


def build_context(plan: ImagePlan) -> dict[str, bytes]:
    """Return every file of the build's context by its path, the Dockerfile among them."""
    context = {NAME: render(plan).encode(errors="replace"), LOCK: plan.lock.encode()}
    context |= {f"{_RUNTIME}/{path}": content for path, content in plan.runtime.items()}
    context |= {f"{_FLOW}/{path}": content for path, content in plan.flow.items()}
    return context


def render(plan: ImagePlan) -> str:
    """Return the text of the Dockerfile: stable layers first, the flow last."""
    major, minor = plan.python.split(".")
    python = f"{PREFIX}/bin/python"
    check = (
        f"import sys; v = sys.version_info[:2]; v == ({major}, {minor}) or "
        f"sys.exit('needs Python {plan.python}, has %d.%d' % v)"
    )
    lines = [
        f"{FIRST_LINE}Build it with: docker build --tag NAME .",
        f"FROM {plan.base}",
        "",
        "USER root",
        "",
        f"# The packages below are locked for Python {plan.python}: stop early on any other.",
        f'RUN {plan.interpreter} -c "{check}"',
        "",
        "# Dependencies, hash-checked, in an environment of their own that still sees the base's.",
        f"COPY {LOCK} {PREFIX}/{LOCK}",
        f"RUN {plan.interpreter} -m venv --system-site-packages {PREFIX} \\",
        f" && {python} -m pip install --no-cache-dir --disable-pip-version-check --no-deps \\",
        f"      --require-hashes --requirement {PREFIX}/{LOCK}",
        "",
        "# The runtime, compiled once here and not at every start.",
        f"COPY {_RUNTIME}/ {plan.site_packages}/",
        f"RUN {python} -m compileall -q {plan.site_packages}/prefect",
        "",
    ]
    if plan.user:
        lines += [f"USER {plan.user}", ""]
    lines += [
        f"ENV PATH={PREFIX}/bin:$PATH PYTHONUNBUFFERED=1",
        f"ENTRYPOINT {json.dumps([python, '-m', 'prefect.worker'])}",
        'CMD ["run"]',
        "",
    ]
    if plan.labels:
        labels = [f"{name}={_quoted(value)}" for name, value in sorted(plan.labels.items())]
        lines += ["LABEL " + " \\\n      ".join(labels), ""]
    if plan.flow:
        # By name: what else lies in that directory is not the flow's.
        files = " ".join(f"{_FLOW}/{name}" for name in sorted(plan.flow))
        lines += [f"COPY {files} {FLOW_DIRECTORY}/", ""]
    return "\n".join(lines)


def _quoted(value: str) -> str:
    # A Dockerfile expands $ and backslashes within double quotes and ends a line at a newline.
    flat = " ".join(value.split())
    return '"' + flat.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'
