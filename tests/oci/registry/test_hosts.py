"""`prefect.oci.registry.hosts`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect.errors import RegistryError
from prefect.oci.registry.hosts import Origin, Rules, api_of


@pytest.mark.parametrize(
    ("registry", "api"),
    [
        ("docker.io", "registry-1.docker.io"),
        ("index.docker.io", "registry-1.docker.io"),
        ("Ghcr.io", "ghcr.io"),
    ],
)
def test_docker_hub_has_its_api_elsewhere(registry, api):
    """Every other registry is where its name says."""
    assert api_of(registry) == api


@pytest.mark.parametrize(
    ("registry", "insecure", "schemes"),
    [
        ("r.example", None, ("https",)),
        ("r.example:5000", None, ("https",)),
        ("10.0.0.1:5000", None, ("https",)),
        ("r.example", True, ("http", "https")),
        ("localhost", None, ("http", "https")),
        ("localhost:5000", None, ("http", "https")),
        ("127.0.0.1:5000", None, ("http", "https")),
        ("127.1.2.3", None, ("http", "https")),
        ("[::1]:5000", None, ("http", "https")),
        ("127.0.0.1:5000", False, ("https",)),
        ("localhost.example", None, ("https",)),
        ("127.0.0.1.example", None, ("https",)),
        ("listed.example:80", None, ("http", "https")),
        ("listed.example:5000", None, ("http", "https")),
        ("listed.example:5001", None, ("https",)),
    ],
)
def test_plain_http_is_for_loopback_and_who_asks(registry, insecure, schemes, monkeypatch):
    """Others are listed by host and port, or are spoken to by https alone."""
    monkeypatch.setenv("PREFECT_INSECURE_REGISTRIES", "other, Listed.example:5000,listed.example")
    assert Rules(registry, insecure).schemes() == schemes


RULES = Rules("r.example")


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/v2/x?y=z", "https://r.example/v2/x?y=z"),
        ("https://cdn.example/blob?sig=%20", "https://cdn.example/blob?sig=%20"),
        ("//cdn.example/x", "https://cdn.example/x"),
    ],
)
def test_locations_that_are_followed(location, target):
    """Relative ones, and https to anywhere."""
    assert RULES.follow("https://r.example/v2/", location, "a redirect") == target


@pytest.mark.parametrize(
    "location",
    [
        "http://r.example/", "http://cdn.example/", "http://127.0.0.1/", "https://127.0.0.1/",
        "https://localhost:8443/", "https://[::1]/", "https://user:pw@cdn.example/",
        "https://r.example\\@evil.example/", "https://evil.example\\.r.example/", "gopher://x/",
        "", "https://:443/", "https://a b/", "https://r.example:port/", "https://x:70000/",
        "https://r.example/\r\nX: y", "https://[::1/", "https://ü.example/", "javascript:1",
    ],
)  # fmt: skip
def test_locations_that_are_not_followed(location):
    """Plain http, this machine, names in URLs, what parsers disagree about, and other schemes."""
    with pytest.raises(RegistryError, match=r"^The registry r\.example gave a redirect"):
        RULES.follow("https://r.example/v2/", location, "a redirect")


@pytest.mark.parametrize(
    ("location", "good"),
    [
        ("/v2/a/blobs/uploads/1", True),
        ("https://r.example:443/upload", True),
        ("https://R.EXAMPLE/upload", True),
        ("https://r.example:444/upload", False),
        ("https://evil.example/upload", False),
        ("http://r.example/upload", False),
    ],
)
def test_uploads_go_to_the_same_origin(location, good):
    """The same scheme, host and port, however they are written."""
    if good:
        assert RULES.upload("https://r.example/v2/", location)
    else:
        with pytest.raises(RegistryError):
            RULES.upload("https://r.example/v2/", location)


@given(st.text(max_size=60))
def test_any_location_is_allowed_or_refused(text):
    """No text is an error of another kind, and what is allowed is https and not this machine."""
    try:
        target = RULES.follow("https://r.example/v2/", text, "a redirect")
    except RegistryError:
        return
    origin = Origin.parse(target)
    assert origin.scheme == "https"
    assert not origin.is_loopback
