"""The import contracts of pyproject.toml: each can fail, in every folder that it is about.

A folder is found where the files are: a new one is asked for here, whoever forgets to name it.
"""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter import api
from importlinter.application import use_cases
from importlinter.application.user_options import UserOptions

from prefect.images.runtime import INSIDE

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
CONFIGURATION = api.read_configuration(str(ROOT / "pyproject.toml"))
CONTRACTS = {contract["name"]: contract for contract in CONFIGURATION["contracts_options"]}


def path_of(module: str, source: Path = SOURCE) -> Path:
    """Return the file or the folder of a module."""
    path = source.joinpath(*module.split("."))
    return path if path.is_dir() else path.with_suffix(".py")


def within(module: str) -> list[str]:
    """Return a module's folders, itself among them; of the package, its other modules as well."""
    path = path_of(module)
    if path.is_file():
        return [module]
    folders = [file.parent for file in sorted(path.rglob("__init__.py"))]
    files = [file for file in path.glob("*.py") if module == "prefect"]
    names = [each.relative_to(SOURCE).with_suffix("").parts for each in (*folders, *files)]
    return [".".join(parts) for parts in names if parts[-1] != "__init__"]


def a_module_of(unit: str) -> str:
    """Return a module that stands in a folder itself, or the module if it is none."""
    path = path_of(unit)
    if path.is_file():
        return unit
    names = sorted(file.stem for file in path.glob("*.py") if file.stem != "__init__")
    return f"{unit}.{names[0]}" if names else f"{unit}.__init__"


def is_let_in(module: str, forbidden: str, contract: dict) -> bool:
    """Tell whether a contract makes an exception for an import."""

    def fits(name: str, pattern: str) -> bool:
        # Two stars stand for one name or more, and what is below a folder is the folder's.
        words = re.escape(pattern).replace(r"\*\*", ".+").replace(r"\*", r"[^.]+")
        return re.fullmatch(words, name) is not None

    for line in contract.get("ignore_imports", ()):
        importer, imported = line.split(" -> ")
        if fits(module, importer) and (fits(forbidden, imported) or f"{forbidden}.**" == imported):
            return True
    return False


def layers_of(contract: dict) -> list[list[str]]:
    """Return a contract's layers, the uppermost first, each with its members."""
    return [[name.strip() for name in layer.split("|")] for layer in contract["layers"]]


def violations() -> Iterator[tuple[str, str, str]]:
    """Yield a contract, a module in a folder of its, and what that must not import."""
    for name, contract in CONTRACTS.items():
        if contract["type"] == "forbidden":
            units = [unit for source in contract["source_modules"] for unit in within(source)]
            for unit in units:
                module = a_module_of(unit)
                for forbidden in contract["forbidden_modules"]:
                    if not is_let_in(module, forbidden, contract):
                        yield name, module, forbidden
            continue
        above: list[str] = []
        for members in layers_of(contract):
            for member in members:
                siblings = [other for other in members if other != member]
                for unit in within(member):
                    for forbidden in (*above, *siblings):
                        yield name, a_module_of(unit), forbidden
            above = members


@pytest.fixture(scope="module")
def copied(tmp_path_factory) -> Path:
    """A copy of the package's source."""
    source = tmp_path_factory.mktemp("contracts") / "src"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(SOURCE, source, ignore=ignored)
    return source


@pytest.fixture
def broken(copied, monkeypatch):
    """Return a function that lints the copy, and returns the names of the contracts broken."""
    monkeypatch.syspath_prepend(str(copied))
    # What is imported already is found again where it is: the tests' own package.
    monkeypatch.delitem(sys.modules, "prefect")

    def lint(*names: str) -> set[str]:
        contracts = [CONTRACTS[name] for name in names or CONTRACTS]
        options = UserOptions(CONFIGURATION["session_options"], contracts)
        use_cases._register_contract_types(options)
        report = use_cases.create_report(options, cache_dir=str(copied.parent / "cache"))
        assert not report.could_not_run
        assert "prefect.cli.main" in report.graph.modules
        return {each.name for each, check in report.get_contracts_and_checks() if not check.kept}

    return lint


def test_the_contracts_are_kept(broken):
    """All of them are, before anything is added to the copy: what fails below fails by that."""
    assert broken() == set()


@pytest.mark.parametrize(("contract", "module", "forbidden"), [*violations()])
def test_a_forbidden_import_is_seen(copied, broken, contract, module, forbidden):
    """Added to the end of one module of a folder, it breaks the contract that is about it."""
    path = path_of(module, copied)
    text = path.read_text()
    path.write_text(f"{text}\nimport {forbidden}\n")
    try:
        assert broken(contract) == {contract}
    finally:
        path.write_text(text)


def test_every_folder_stands_in_a_layer():
    """Of the package's own folders and modules, none is forgotten where the layers are named."""
    named = {
        name for members in layers_of(CONTRACTS["Nothing imports upwards"]) for name in members
    }
    assert {unit for unit in within("prefect") if unit.count(".") == 1} == named


def test_what_is_inside_is_what_the_contract_says():
    """The modules that an image gets are those that the contract keeps apart, and all others outside."""
    contract = CONTRACTS["Inside and outside are apart"]
    assert {f"prefect.{name}" for name in INSIDE} == set(contract["source_modules"])
    tops = {unit for unit in within("prefect") if unit.count(".") == 1}
    outside = {*contract["forbidden_modules"], "prefect.__main__"}
    assert tops == outside | set(contract["source_modules"])
