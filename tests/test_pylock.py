"""`prefect.pylock`: the lock that travels, of which the text may be anybody's."""

import tomllib
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.pylock import Pylock

from prefect.errors import FormatError
from prefect.pylock import LARGEST_LOCK, File, Lock, Package, Target, read, shown

PLACES = [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64")]
TARGETS = [Target(python, *place) for python in ("3.11", "3.12", "3.13") for place in PLACES]


def package(name, version="1.0", *, kind="-py3-none-any.whl"):
    """Return a package with one file."""
    return Package(
        name,
        version,
        (File(f"{name.replace('-', '_')}-{version}{kind}", 10, "a" * 64),),
        frozenset(),
    )


def lock(needed):
    """Return a lock of what is needed: names by targets."""
    return Lock.of({target: map(package, names) for target, names in needed.items()})


needs = st.dictionaries(
    st.sampled_from(TARGETS), st.sets(st.sampled_from(["a", "b2", "c-d"])), min_size=1
)


@given(needs)
@settings(deadline=None)
def test_a_lock_is_read_as_it_was_written(needed):
    """Each target gets the packages that were locked for it, and the text is a pylock.toml."""
    text = lock(needed).text()
    found = read(text)
    for target in TARGETS:
        assert {one.name for one in found.for_target(target)} == set(needed.get(target, ()))
    Pylock.from_dict(tomllib.loads(text)).validate()


@given(needs)
@settings(deadline=None)
def test_other_tools_select_the_same(needed):
    """Markers mean to others, who know PEP 751, what they mean here."""
    text = lock(needed).text()
    theirs = Pylock.from_dict(tomllib.loads(text))
    for target in needed:
        environment = {
            "python_version": target.python,
            "python_full_version": f"{target.python}.1",
            "sys_platform": target.system,
            "platform_machine": target.machine,
            "implementation_name": "cpython",
        }
        selected = {chosen.name for chosen, _ in theirs.select(environment=environment)}
        assert selected == set(needed[target])


@given(needs, st.data())
@settings(deadline=None)
def test_no_other_text_is_a_lock(needed, data):
    """A changed text is refused, or is the text of the lock that it is read as."""
    text = lock(needed).text()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 20)))
    changed = text[:start] + data.draw(st.text(max_size=20)) + text[end:]
    with suppress(FormatError):
        assert read(changed).text() == changed


@given(st.text())
def test_what_is_no_lock_is_refused(text):
    """Whatever it is, the error is ours."""
    with pytest.raises(FormatError):
        read(text)


WHOLE = lock({TARGETS[0]: ["a"]}).text()


@pytest.mark.parametrize(
    "text",
    [
        WHOLE + "x" * LARGEST_LOCK,
        WHOLE.replace('path = "a-', 'path = "../a-'),
        WHOLE.replace('path = "a-', 'path = "/a-'),
        WHOLE.replace('path = "', 'url = "https://files.example/'),
        WHOLE.replace('name = "a"', 'name = "a --index-url=x"'),
        WHOLE.replace('version = "1.0"', 'version = "1.0\\n--pre"'),
        WHOLE.replace("3.11", "2.7"),
        WHOLE + WHOLE[WHOLE.index("\n[[packages]]") :],
        WHOLE.replace("environments = [", "environments = []\nx = ["),
        WHOLE[: WHOLE.index("wheels")],
        WHOLE.replace("]\n\n", ", " + ", ".join(['"x"'] * 40) + "]\n\n"),
        WHOLE.replace("\n\n[[packages]]", "\n" + "a." * 1_000_000 + "a = 1\n\n[[packages]]"),
    ],
)
def test_what_a_lock_must_not_say_is_refused(text):
    """A path elsewhere, an address, options in names, and what takes long, are no lock."""
    assert text != WHOLE
    with pytest.raises(FormatError):
        read(text)


def test_a_package_stands_once_for_a_target():
    """Two versions for one target would leave open which is meant."""
    target = TARGETS[0]
    twice = Lock.of({target: [package("a", "1.0"), package("a", "2.0")]})
    with pytest.raises(FormatError):
        read(twice.text())


def test_a_package_is_a_requirement_line_for_installers():
    """What installs from an index gets the version with the hashes of its files."""
    lock = Lock.of({TARGETS[0]: [package("a", kind=".tar.gz")]})
    assert [one.line() for one in read(lock.text()).packages] == [
        f"a==1.0 --hash=sha256:{'a' * 64}"
    ]


def test_targets_are_shown_together():
    """Platforms with the same Pythons stand side by side."""
    assert shown(TARGETS) == "Python 3.11, 3.12, 3.13 on linux/amd64, linux/arm64, macos/arm64"
    some = [TARGETS[0], TARGETS[3], TARGETS[1]]
    assert shown(some) == "Python 3.11, 3.12 on linux/amd64; Python 3.11 on linux/arm64"
