"""`prefect.patterns`: regular expressions that are compiled when they are first used."""

import copy
import re
import subprocess
import sys

import pytest

from prefect.patterns import pattern


def test_a_pattern_does_what_a_compiled_one_does():
    """In all of its methods and attributes."""
    lazy, compiled = (
        pattern(r"(?P<word>\w+)-(\d)", re.ASCII),
        re.compile(r"(?P<word>\w+)-(\d)", re.ASCII),
    )
    for text in ("a-1", "x a-1 b-2", "none"):
        for name in ("match", "fullmatch", "search"):
            one, other = (getattr(each, name)(text) for each in (lazy, compiled))
            assert (one and one.groups()) == (other and other.groups())
        assert lazy.findall(text) == compiled.findall(text)
        assert lazy.sub("-", text) == compiled.sub("-", text)
        assert lazy.split(text) == compiled.split(text)
    assert (lazy.pattern, lazy.flags) == (compiled.pattern, compiled.flags)
    assert lazy.groupindex == compiled.groupindex
    assert pattern(rb"\d").search(b"a1")
    assert copy.copy(lazy).search("a-1")
    with pytest.raises(re.error):
        pattern("(").search("")


def test_every_pattern_of_the_package_can_be_compiled():
    """A mistake in one is found here, and not where it is first used."""
    code = (
        "import pkgutil, importlib, prefect\n"
        "from prefect.patterns import _Pattern\n"
        "seen = 0\n"
        "for each in pkgutil.walk_packages(prefect.__path__, 'prefect.', onerror=lambda name: None):\n"
        "    if each.name.endswith('__main__'):\n"
        "        continue\n"
        "    try:\n"
        "        module = importlib.import_module(each.name)\n"
        "    except Exception:\n"
        "        continue\n"
        "    for value in vars(module).values():\n"
        "        for one in value.values() if isinstance(value, dict) else [value]:\n"
        "            if isinstance(one, _Pattern):\n"
        "                one.flags\n"
        "                seen += 1\n"
        "print(seen)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100
