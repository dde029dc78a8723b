"""`prefect.oci.platforms`."""

import platform

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect.oci.platforms import Platform


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("linux/amd64", "linux/x86_64"),
        ("linux/arm64", "linux/aarch64"),
        ("linux/arm64", "linux/arm64/v8"),
        ("linux/arm/v7", "linux/arm"),
        ("linux/arm/v7", "linux/armv7l"),
        ("linux/arm/v6", "linux/armv6l"),
        ("linux/386", "linux/i686"),
        ("linux/amd64", "Linux/AMD64"),
    ],
)
def test_spellings_of_one_platform_are_equal(text, same):
    """Machines' own names, and variants that are usually left out."""
    assert Platform.parse(text) == Platform.parse(same)


def test_variants_are_told_apart():
    """Of one processor, an old and a new one."""
    assert Platform.parse("linux/arm/v6") != Platform.parse("linux/arm/v7")
    assert str(Platform.parse("linux/arm/v6")) == "linux/arm/v6"


@pytest.mark.parametrize(
    "text", ["", "linux", "arm64", "linux/", "/arm64", "linux//v8", "linux/arm/v7/x", "linux/arm 64"]
)  # fmt: skip
def test_what_is_no_platform_is_refused(text):
    """The error shows how one is written."""
    with pytest.raises(ValueError, match="linux/amd64"):
        Platform.parse(text)


def test_only_text_is_taken():
    """A None or a tuple is a TypeError."""
    for given_ in (None, ("linux", "amd64")):
        with pytest.raises(TypeError):
            Platform.parse(given_)


def test_this_machine_is_linux_on_its_processor(monkeypatch):
    """Containers are Linux, also where this is a Mac."""
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert str(Platform.of_host()) == "linux/arm64"


@given(
    st.sampled_from(["linux", "windows"]), st.sampled_from(["amd64", "arm64", "arm", "riscv64"]),
    st.sampled_from(["", "v6", "v7", "v8", "v9"]),
)  # fmt: skip
def test_text_and_back(system, processor, variant):
    """What is printed is read as the same platform."""
    known = Platform.parse("/".join(part for part in (system, processor, variant) if part))
    assert Platform.parse(str(known)) == known
