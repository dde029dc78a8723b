"""`prefect.oci.registry.client` against a registry that misbehaves: nothing corrupt in, nothing half out."""

import hashlib
import json

import pytest
from steps_told import Told

from prefect.errors import ImageContentError, RegistryError, RegistryLoginError
from prefect.frozen import replace
from prefect.oci import images
from prefect.oci.registry.client import fetch, push, resolve
from prefect.steps import watched

pytestmark = pytest.mark.services

WRONG = f"sha256:{'0' * 64}"


def read(image):
    with image.layers[0].blob.open() as file:
        return file.read()


@pytest.fixture
def there(faulty, reference):
    """A new repository at the faulty registry."""
    return reference(faulty)


@pytest.fixture
def pushed(there, image, layer, faulty):
    """An image that the registry has, pushed before anything goes wrong."""
    made = image(layer)
    push(made, there)
    faulty.seen.clear()
    return made


def assert_not_tagged(open_registry, there):
    assert not open_registry.tags(there.repository)
    assert resolve(there) is None


# Uploads


@pytest.mark.parametrize(
    ("method", "path", "fault", "times"),
    [
        ("POST", "uploads/$", "dropping()", 2),
        ("PUT", "uploads/", "dropping(1_000_000)", 2),
        ("PUT", "uploads/", "flipping_upload()", 2),
        ("PUT", "manifests/", "dropping(0)", 2),
        ("PUT", "manifests/", "answering(503)", 3),
        ("HEAD", "", "answering(503)", 3),
        ("HEAD", "", "dropping()", 1),
        ("POST", "uploads/$", "answering(500)", 2),
        ("POST", "uploads/$", "answering(502)", 2),
        ("PUT", "uploads/", "answering(504)", 2),
        ("PUT", "uploads/", "answering(408)", 2),
        ("GET", "/v2/$", "dropping()", 2),
        ("PUT", "uploads/", "answering(404)", 2),
    ],
)
def test_a_push_gets_over_what_passes(
    method, path, fault, times, faulty, faults, there, image, layer, retries
):
    """Drops in the middle, bursts of errors and bits that flip on the way cost attempts alone."""
    faulty.rule(method, path, eval(f"faults.{fault}"), times)
    made = image(layer, b"small")
    told = Told()
    with watched(told):
        result = push(made, there, retries=retries)
    assert result.digest == made.digest == resolve(there)
    (pushing,) = told.of("Pushing to ")
    size = len(layer) + len(b"small") + len(made.config)
    assert pushing.done == pushing.total == size  # however often it was sent
    assert read(fetch(there)) == layer


@pytest.mark.parametrize(
    ("method", "path", "fault", "error"),
    [
        ("POST", "uploads/$", "dropping()", RegistryError),
        ("PUT", "uploads/", "dropping(1_000_000)", RegistryError),
        ("PUT", "uploads/", "flipping_upload()", RegistryError),
        ("PUT", "uploads/", "answering(503)", RegistryError),
        ("PUT", "uploads/", "answering(413)", RegistryError),
        ("PUT", "uploads/", "answering(403)", RegistryLoginError),
        ("PUT", "uploads/", "saying('Docker-Content-Digest', WRONG)", ImageContentError),
        ("PUT", "uploads/", "answering(307, {'Location': '/v2/'})", RegistryError),
        ("POST", "uploads/$", "saying('Location', None)", RegistryError),
        ("POST", "uploads/$", "endless(202)", RegistryError),
        ("PUT", "manifests/", "dropping()", RegistryError),
        ("PUT", "manifests/", "answering(503)", RegistryError),
        ("PUT", "manifests/", "answering(400, body=b'no json')", RegistryError),
        ("HEAD", "blobs/", "answering(503)", RegistryError),
        ("HEAD", "manifests/", "answering(429)", RegistryError),
    ],
)
def test_a_push_that_fails_tags_nothing(
    method, path, fault, error, faulty, faults, open_registry, there, image, layer, retries
):
    """Whatever goes wrong for good, whenever it does, the tag does not come into being."""
    faulty.rule(method, path, eval(f"faults.{fault}"))
    with pytest.raises(error):
        push(image(b"small", layer), there, retries=retries)
    faulty._rules.clear()
    assert_not_tagged(open_registry, there)


def test_an_upload_that_fails_is_cancelled(faulty, faults, open_registry, there, image, retries):
    """Each begun upload is deleted, and the registry has none left that was not written to."""
    faulty.rule("PUT", "uploads/", faults.answering(503))
    with pytest.raises(RegistryError, match="status 503"):
        push(image(b"small"), there, retries=retries)
    # Layer and config are sent side by side: the one that fails for good first stops the other.
    assert faulty.count("DELETE", "uploads/") == faulty.count("POST", "uploads/$") >= 4
    assert not list(open_registry.files.glob(f"**/{there.repository}/_uploads/*/startedat"))


def test_one_failure_stops_the_other_uploads(faulty, faults, open_registry, there, image, retries):
    """When one layer is refused the rest is given up: no config, no manifest."""
    made = image(*(bytes([n]) * 1000 for n in range(12)))
    refused = made.layers[0].blob.digest
    faulty.rule("PUT", f"uploads/.*{refused[-64:]}", faults.answering(413))
    with pytest.raises(RegistryError, match="status 413"):
        push(made, there, retries=retries)
    assert faulty.count("PUT", "manifests/") == 0
    assert faulty.count("HEAD", images.digest_of(made.config)) == 0
    assert_not_tagged(open_registry, there)


def test_a_registry_that_takes_another_manifest_is_found_out(faulty, faults, there, image, retries):
    """A manifest's digest in the answer that is not ours fails the push."""
    faulty.rule("PUT", "manifests/", faults.saying("Docker-Content-Digest", WRONG))
    with pytest.raises(ImageContentError, match="do not use that tag"):
        push(image(b"x"), there, retries=retries)


def test_a_registry_that_is_done_too_early_is_not_believed(
    faulty, open_registry, there, image, layer, retries
):
    """Success before all bytes were sent, and the connection closed, is none."""

    def fault(registry, handler):
        handler.send_response(201)
        handler.send_header("Content-Length", "0")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True

    faulty.rule("PUT", "uploads/", fault)
    with pytest.raises(RegistryError):
        push(image(layer * 8), there, retries=retries)
    assert faulty.count("PUT", "manifests/") == 0


@pytest.mark.parametrize(
    "fault",
    [
        "answering(404)",
        "answering(401)",
        "answering(403)",
        "answering(405)",
        "answering(500)",
        "dropping()",
        "answering(202)",
        "answering(202, {'Location': 'http://127.0.0.1:9/elsewhere'})",
    ],
)
def test_a_mount_that_fails_is_an_upload(
    fault, faulty, faults, there, reference, image, layer, pushed, retries
):
    """Registries refuse mounts in many ways; after any of them the blob is sent."""
    fetched = fetch(there)
    other = reference(faulty, suffix="/other")
    faulty.rule("POST", "mount=", eval(f"faults.{fault}"))
    result = push(fetched, other, retries=retries)
    assert fetched.layers[0].blob.digest in result.sent
    assert read(fetch(other)) == layer


def test_a_mount_may_become_an_upload(faulty, faults, there, reference, layer, pushed, retries):
    """Status 202 says that there is nothing to mount, and where to send it to: no second POST."""
    fetched = fetch(there)
    other = reference(faulty, suffix="/other")
    absent = replace(fetched.reference, repository=f"{there.repository}/absent")
    blob = replace(fetched.layers[0].blob, origin=absent)
    moved = replace(fetched.layers[0], blob=blob)
    push(replace(fetched, layers=(moved,)), other, retries=retries)
    assert sorted(s.path for s in faulty.seen if s.method == "POST") == [
        f"/v2/{other.repository}/blobs/uploads/",  # the config
        f"/v2/{other.repository}/blobs/uploads/?mount={blob.digest}&from={absent.repository}",
    ]
    assert read(fetch(other)) == layer


def test_a_registry_that_mounts_something_else_is_sent_the_blob(
    faulty, faults, there, reference, layer, pushed, retries
):
    """A mount is believed if it tells no other digest."""
    fetched = fetch(there)
    other = reference(faulty, suffix="/other")
    headers = {"Docker-Content-Digest": WRONG}
    faulty.rule("POST", "mount=", faults.answering(201, headers))
    assert fetched.layers[0].blob.digest in push(fetched, other, retries=retries).sent


# Downloads


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_download_that_drops_is_resumed(framing, faulty, faults, there, layer, pushed, retries):
    """After a drop the rest is asked for by Range, not the whole again, however it was framed."""
    found = fetch(there, retries=retries)
    faulty.rule("GET", found.layers[0].blob.digest, faults.cutting(1_000_000, framing), 2)
    assert read(found) == layer
    starts = [
        int(s.headers.get("Range", "bytes=0-")[6:-1])
        for s in faulty.seen
        if found.layers[0].blob.digest in s.path
    ]
    if framing == "chunked":  # of which the HTTP library loses what came of the last piece
        assert starts[0] == 0
        assert 900_000 < starts[1] <= 1_000_000
        assert 900_000 < starts[2] - starts[1] <= 1_000_000
    else:
        assert starts == [0, 1_000_000, 2_000_000]


@pytest.mark.parametrize(
    ("fault", "times"),
    [
        ("dropping()", 3),
        ("answering(503)", 3),
        ("answering(429, {'Retry-After': '1'})", 3),
        ("answering(500)", 1),
    ],
)
def test_a_download_gets_over_what_passes(
    fault, times, faulty, faults, there, layer, pushed, retries
):
    """Bursts of errors and refusals cost attempts alone, of manifest, config and layer."""
    faulty.rule("GET", "manifests/", eval(f"faults.{fault}"), times)
    digest = pushed.layers[0].blob.digest
    faulty.rule("GET", digest, eval(f"faults.{fault}"), times)
    faulty.rule("GET", "blobs/", eval(f"faults.{fault}"), times)
    assert read(fetch(there, retries=retries)) == layer


def test_a_server_without_ranges_sends_the_whole_again(
    faulty, faults, there, layer, pushed, retries
):
    """What was read already is skipped, and the digest is that of the whole."""
    found = fetch(there, retries=retries)
    faulty.rule("GET", found.layers[0].blob.digest, faults.cutting(1_000_000), 1)
    faulty.rule("GET", found.layers[0].blob.digest, faults.without_ranges())
    assert read(found) == layer


@pytest.mark.parametrize(
    ("path", "fault", "error"),
    [
        ("blobs/LAYER", "flipping()", ImageContentError),
        ("blobs/LAYER", "flipping('chunked')", ImageContentError),
        ("blobs/LAYER", "flipping('close')", ImageContentError),
        ("blobs/LAYER", "shortening(1_000_000)", ImageContentError),
        ("blobs/LAYER", "cutting(0)", RegistryError),
        ("blobs/LAYER", "cutting(0, 'chunked')", RegistryError),
        ("blobs/LAYER", "cutting(0, 'close')", RegistryError),
        ("blobs/LAYER", "answering(200, {'Content-Length': str(10**15)})", ImageContentError),
        ("blobs/LAYER", "endless()", ImageContentError),
        ("blobs/LAYER", "answering(206, {'Content-Range': 'bytes 7-9/10'})", RegistryError),
        ("manifests/", "flipping()", ImageContentError),
        ("manifests/", "shortening(100)", ImageContentError),
        ("manifests/", "cutting(100)", RegistryError),
        ("manifests/", "cutting(100, 'chunked')", RegistryError),
        ("manifests/", "cutting(100, 'close')", ImageContentError),
        ("manifests/", "saying('Docker-Content-Digest', WRONG)", ImageContentError),
        ("manifests/", "saying('Content-Type', images.OCI_INDEX)", ImageContentError),
        ("manifests/", "answering(200, {'Content-Length': str(10**15)})", ImageContentError),
        ("manifests/", "answering(200, body=bytes(5 << 20))", ImageContentError),
        ("manifests/", "answering(200, body=b'[' * 1_000_000)", ImageContentError),
        ("manifests/", "endless()", ImageContentError),
        ("blobs/CONFIG", "flipping()", ImageContentError),
        ("blobs/CONFIG", "shortening(10)", ImageContentError),
        ("blobs/CONFIG", "endless()", ImageContentError),
        ("blobs/CONFIG", "cutting(10, 'close')", ImageContentError),
    ],
)
def test_nothing_corrupt_is_accepted(path, fault, error, faulty, faults, there, pushed, retries):
    """Lies, cut bodies and endless ones are errors; what is read before is never the whole."""
    path = path.replace("LAYER", pushed.layers[0].blob.digest)
    path = path.replace("CONFIG", images.digest_of(pushed.config))
    faulty.rule("GET", path, eval(f"faults.{fault}"))
    given = 0
    with (
        pytest.raises(error),
        fetch(there, retries=retries).layers[0].blob.open() as file,
    ):
        while chunk := file.read(100_000):
            given += len(chunk)
    assert given < pushed.layers[0].blob.size


def test_a_wrong_part_after_a_drop_is_refused(faulty, faults, there, pushed, retries):
    """A resumed download that starts somewhere else is an error, not a splice."""
    found = fetch(there, retries=retries)
    digest = found.layers[0].blob.digest
    faulty.rule("GET", digest, faults.cutting(1_000_000), 1)
    headers = {"Content-Range": "bytes 5-9/10"}
    faulty.rule("GET", digest, faults.answering(206, headers, b"wrong"))
    with pytest.raises(ImageContentError, match="another part"):
        read(found)


def test_bits_that_flip_after_a_drop_are_found(faulty, faults, there, pushed, retries):
    """The digest covers both parts of a resumed download."""
    found = fetch(there, retries=retries)
    digest = found.layers[0].blob.digest
    faulty.rule("GET", digest, faults.cutting(1_000_000), 1)
    faulty.rule("GET", digest, faults.flipping())
    with pytest.raises(ImageContentError, match="other bytes"):
        read(found)


def test_a_manifest_by_digest_must_have_it(faulty, faults, there, pushed, image, retries):
    """Another manifest, itself in order, is not taken for the one that was asked for."""
    other = image(b"other")
    headers = {"Content-Type": other.media_type, "Docker-Content-Digest": other.digest}
    faulty.rule("GET", "manifests/", faults.answering(200, headers, other.manifest))
    with pytest.raises(ImageContentError, match="asked for"):
        fetch(replace(there, digest=pushed.digest), retries=retries)


def tampered(manifest: bytes, **changes) -> bytes:
    return json.dumps({**json.loads(manifest), **changes}).encode()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schemaVersion": 1, "signatures": []}, "old schema 1"),
        ({"manifests": []}, "has not the members"),
        ({"layers": None}, "malformed"),
        (
            {"layers": [{"mediaType": "a", "digest": "sha256:../../x", "size": 1}]},
            "sha256:<64 hex>",
        ),
        ({"layers": [{"mediaType": "a", "digest": WRONG, "size": -1}]}, "size"),
        ({"layers": []}, "malformed"),
        ({"config": {"mediaType": "a", "digest": WRONG, "size": 10**12}}, "is refused"),
        ({"config": {"mediaType": "a", "digest": "md5:0", "size": 1}}, "sha256:<64 hex>"),
        ({"config": None}, "config of a manifest is None"),
        ({"mediaType": "text/html"}, "is no image"),
        ({"mediaType": images.DOCKER_MANIFEST}, "is no image"),
    ],
)
def test_a_malformed_manifest_is_refused(changes, words, faulty, faults, there, pushed, retries):
    """Old, ambiguous, huge and impossible manifests are errors that say what is wrong."""
    body = tampered(pushed.manifest, **changes)
    headers = {"Content-Type": images.OCI_MANIFEST}
    faulty.rule("GET", "manifests/", faults.answering(200, headers, body))
    with pytest.raises(ImageContentError, match=words):
        fetch(there, retries=retries)


def test_indexes_that_lead_in_circles_are_refused(faulty, faults, there, retries):
    """An index of indexes is followed a few steps."""
    body = b'{"schemaVersion":2,"manifests":[]}'
    for _ in range(5):
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        faulty.rule("GET", f"manifests/{digest}", faults.answering(
            200, {"Content-Type": images.OCI_INDEX}, body))  # fmt: skip
        platform = {"os": "linux", "architecture": "amd64"}
        entry = {"digest": digest, "size": len(body), "platform": platform}
        entry["mediaType"] = images.OCI_INDEX
        body = images.canonical_json({"schemaVersion": 2, "manifests": [entry]})
    faulty.rule("GET", "manifests/", faults.answering(
        200, {"Content-Type": images.OCI_INDEX}, body))  # fmt: skip
    from prefect.oci.platforms import Platform

    with pytest.raises(ImageContentError, match="index of indexes"):
        fetch(there, Platform.parse("linux/amd64"), retries=retries)


def test_a_digest_that_is_not_told_is_computed(faulty, faults, there, pushed, retries):
    """The header is optional, and nonsense in it is as none: `resolve` then reads the manifest."""
    for header in (None, "../../x"):
        faulty._rules.clear()
        faulty.rule("HEAD", "manifests/", faults.saying("Docker-Content-Digest", header))
        assert resolve(there, retries=retries) == pushed.digest


# Pauses


def test_a_pause_that_is_asked_for_is_kept(faulty, faults, there, pushed, retries, pauses):
    """Retry-After is waited for; without it pauses double, with jitter."""
    faulty.rule("GET", "manifests/", faults.answering(429, {"Retry-After": "7"}), 1)
    faulty.rule("GET", "manifests/", faults.answering(503), 2)
    fetch(there, retries=retries)
    assert pauses[0] == 7
    assert 0.5 <= pauses[1] <= 1
    assert 1 <= pauses[2] <= 2


def test_a_pause_that_is_too_long_is_told(faulty, faults, there, pushed, retries, pauses):
    """An hour is not waited for; the error says when to come back."""
    faulty.rule("GET", "manifests/", faults.answering(429, {"Retry-After": "3600"}))
    with pytest.raises(RegistryError, match="status 429; try again in 3600 s"):
        fetch(there, retries=retries)
    assert pauses == []


# Other hosts


@pytest.fixture
def guarded(faulty_with_password, reference, image, layer, log_in):
    """An image in a faulty registry that wants a password."""
    log_in(faulty_with_password.host)
    made, there = image(layer), reference(faulty_with_password)
    push(made, there)
    faulty_with_password.seen.clear()
    return there, made


def test_credentials_do_not_follow_a_redirect(
    faulty_with_password, faults, another_host, guarded, layer, retries
):
    """A blob is read from another host, which is shown neither password nor token."""
    there, made = guarded
    digest = made.layers[0].blob.digest
    another_host.rule("GET", "", faults.answering(200, body=layer))
    location = {"Location": f"http://{another_host.host}/elsewhere?signature=1"}
    faulty_with_password.rule("GET", digest, faults.answering(307, location))
    assert read(fetch(there, retries=retries)) == layer
    assert any("Authorization" in seen.headers for seen in faulty_with_password.seen)
    assert [seen.path for seen in another_host.seen] == ["/elsewhere?signature=1"]
    assert not any("Authorization" in seen.headers for seen in another_host.seen)


def test_credentials_do_not_come_back_after_a_redirect(
    faulty_with_password, faults, another_host, guarded, retries
):
    """Another host that sends us back to the registry does not act in our name."""
    there, made = guarded
    digest = made.layers[0].blob.digest
    back = {"Location": f"http://{faulty_with_password.host}/v2/secret"}
    another_host.rule("GET", "", faults.answering(307, back))
    location = {"Location": f"http://{another_host.host}/"}
    faulty_with_password.rule("GET", digest, faults.answering(307, location))
    with pytest.raises(RegistryError):
        read(fetch(there, retries=retries))
    (seen,) = [s for s in faulty_with_password.seen if s.path == "/v2/secret"]
    assert "Authorization" not in seen.headers


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("http://registry.example/blob", "plain http"),
        ("file:///etc/passwd", "no URL of http"),
        ("http://user@127.0.0.1/x", "no URL of http"),
        ("http://127.0.0.1:99999/", "no URL of http"),
        ("/again", "in circles"),
    ],
)
def test_redirects_that_are_not_followed(location, words, faulty, faults, there, pushed, retries):
    """Plain http to elsewhere, other schemes, names in URLs and circles are errors."""
    faulty.rule("GET", "manifests/|again", faults.answering(302, {"Location": location}))
    with pytest.raises(RegistryError, match=words):
        fetch(there, retries=retries)


@pytest.mark.parametrize(
    "location",
    ["http://registry.example/upload", "http://ANOTHER/upload", "https://SAME/upload", "ftp://x/"],
)
def test_uploads_stay_at_the_registry(
    location, faulty, faults, another_host, open_registry, there, image, retries
):
    """A Location at another host, port or scheme gets nothing, and the push fails."""
    location = location.replace("ANOTHER", another_host.host).replace("SAME", faulty.host)
    faulty.rule("POST", "uploads/$", faults.saying("Location", location))
    with pytest.raises(RegistryError, match=r"place for an upload|another origin"):
        push(image(b"x"), there, retries=retries)
    assert another_host.seen == []
    assert faulty.count("PUT") == 0
    assert_not_tagged(open_registry, there)


@pytest.mark.parametrize(
    ("realm", "words"),
    [
        ("http://tokens.example/token", "plain http"),
        ("/token", "does not say from where"),
        ("", "does not say from where"),
        ("ftp://127.0.0.1/token", "no URL of http"),
        ("http://127.0.0.1@tokens.example/", "no URL of http"),
    ],
)
def test_a_realm_that_is_not_to_be_asked_is_not(
    realm, words, faulty_with_password, faults, log_in, reference, retries
):
    """No credentials go to a token server over plain http, or to what is no address of one."""
    log_in(faulty_with_password.host)
    challenge = {"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'}
    faulty_with_password.rule("GET", "", faults.answering(401, challenge))
    with pytest.raises(RegistryError, match=words):
        fetch(reference(faulty_with_password), retries=retries)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "gave no token"),
        (b"[]", "gave no token"),
        (b'{"token": 7}', "gave no token"),
        (b'{"token": "a\\r\\nX: b"}', "gave no token"),
        (b'{"token": "good", "expires_in": "x"}', "gave no token"),
        (b'{"token": "refused"}', "refuses the credentials"),
    ],
)
def test_a_token_server_that_lies_gets_nowhere(
    body, words, faulty_with_password, faults, another_host, log_in, reference, retries
):
    """Malformed tokens, such as one with a line break, and useless ones are errors."""
    log_in(faulty_with_password.host)
    realm = f"http://{another_host.host}/token"
    challenge = {"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'}
    faulty_with_password.rule("GET", "", faults.answering(401, challenge))
    another_host.rule("GET", "token", faults.answering(200, body=body))
    with pytest.raises(RegistryLoginError, match=words) as caught:
        fetch(reference(faulty_with_password), retries=retries)
    assert "X: b" not in str(caught.value)


def test_a_registry_that_repeats_a_secret_does_not_get_it_printed(
    faulty_with_password, faults, guarded, retries
):
    """Its words are masked, cut, and their control characters escaped."""
    there, _ = guarded

    def repeat(registry, handler):
        secret = handler.headers.get("Authorization", "")
        words = f"\x1b[31m{secret} " + "pass:word of the test" + "x" * 10_000
        body = json.dumps({"errors": [{"code": "DENIED", "message": words}]}).encode()
        faults.answering(403, body=body)(registry, handler)

    faulty_with_password.rule("GET", "manifests/", repeat)
    with pytest.raises(
        RegistryLoginError, match=r"DENIED: \\x1b\[31mBasic \*\*\* \*\*\*x"
    ) as caught:
        fetch(there, retries=retries)
    assert len(str(caught.value)) < 600


def test_an_error_without_words_is_told_by_its_status(faulty, faults, there, pushed, retries):
    """An endless or garbled body of an error is not waited for."""
    faulty.rule("GET", "manifests/", faults.endless(418), 1)
    faulty.rule("GET", "manifests/", faults.answering(418, body=b"<html>"), 1)
    for _ in range(2):
        with pytest.raises(RegistryError, match=r"status 418$"):
            fetch(there, retries=retries)


def test_what_wants_another_authentication_is_told(faulty, faults, reference, retries):
    """A scheme that is neither Basic nor Bearer is an error."""
    faulty.rule("GET", "", faults.answering(401, {"WWW-Authenticate": "Negotiate"}))
    with pytest.raises(RegistryLoginError, match="another authentication"):
        fetch(reference(faulty), retries=retries)


def test_a_registry_that_is_not_there_is_said(reference, another_host, retries):
    """Nothing at the address is an error that names the registry."""
    another_host.stop()
    with pytest.raises(RegistryError, match=f"{another_host.host} cannot be reached: nothing"):
        fetch(reference(another_host), retries=retries)
