"""The command itself."""

import re
from pathlib import Path

import pytest

from prefect import __version__

README = Path(__file__).parents[2] / "README.md"
COMMANDS = ["build", "info", "run", "graph", "verify", "sign", "rewrap", "keygen", "cache"]


def test_the_version_is_the_packages(prefect):
    """`prefect --version` says name and version."""
    assert prefect("--version")[0] == f"prefect {__version__}\n"


def test_help_names_every_command_with_examples(prefect):
    """The first page teaches both ways to package a flow."""
    out, _ = prefect("--help")
    assert all(re.search(rf"^  {name} +\w", out, re.MULTILINE) for name in COMMANDS)
    assert "prefect build etl.py -o etl.flow --key-file flow.key\n" in out
    assert "PREFECT_ENCRYPTION_KEY" in out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_stands_in_the_readme(prefect, command):
    """Each option is explained, and no command is undocumented."""
    out, _ = prefect(command, "--help")
    options = re.findall(r"^  (?:-\w, )?--[\w-]+.*(?:\n {10,}.*)*", out, re.MULTILINE)
    assert options
    assert all(re.search(r"  \S+ \S+", option) for option in options)
    assert f"prefect {command}" in README.read_text()


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_says_nothing_twice(prefect, command):
    """No sentence and no line of an example comes twice on a page; what a habit says, may."""
    out, _ = prefect(*command.split(), "--help")
    examples = [line.strip() for line in out.splitlines() if line.startswith("    prefect ")]
    text = " ".join(out.split())
    said = [part for part in re.split(r"(?<=[.:;]) ", text) if part != "May be repeated."]
    assert len(set(examples)) == len(examples)
    assert sorted({part for part in said if said.count(part) > 1}) == []


def test_a_mistyped_command_is_corrected(prefect):
    """The nearest command is proposed."""
    _, err = prefect("biuld", status=2)
    assert "Did you mean 'build'?" in err
