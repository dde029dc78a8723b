"""`prefect.oci.registry.client` with real registries."""

import io

import pytest
from image_making import put_index

from prefect.errors import (
    ImageContentError,
    ImageError,
    RegistryError,
    RegistryLoginError,
    RegistryNotFoundError,
)
from prefect.frozen import replace
from prefect.oci import images
from prefect.oci.images import DOCKER_MANIFEST, OCI_MANIFEST
from prefect.oci.platforms import Platform
from prefect.oci.references import Reference
from prefect.oci.registry.client import fetch, push, resolve

pytestmark = pytest.mark.services


def contents(image):
    """Read every layer."""
    found = []
    for layer in image.layers:
        with layer.blob.open() as file:
            found.append(file.read())
    return found


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_what_is_pushed_is_fetched_again(media_type, open_registry, reference, image, layer):
    """Manifest, config and layers come back byte for byte, whatever the family."""
    made, there = (
        image(layer, b"small", b"", layer, media_type=media_type),
        reference(open_registry),
    )
    pushed = push(made, there)
    back = fetch(there)
    assert pushed.digest == made.digest == back.digest == resolve(there)
    assert (back.manifest, back.config, back.media_type) == (
        made.manifest,
        made.config,
        media_type,
    )
    assert contents(back) == [layer, b"small", b"", layer]
    assert back.reference == replace(there, tag=None, digest=made.digest)
    assert {layer.blob.origin for layer in back.layers} == {back.reference}
    assert fetch(back.reference).digest == made.digest


def test_a_layer_is_read_in_pieces(open_registry, reference, image, layer):
    """Reading by small and odd amounts gives the same bytes, and ends once they are all there."""
    push(image(layer), reference(open_registry))
    with fetch(reference(open_registry)).layers[0].blob.open() as file:
        pieces = [file.read(1), file.read(700_001), file.read(12)]
        pieces += iter(lambda: file.read(1 << 20), b"")
        assert b"".join(pieces) == layer
        assert file.read(10) == b""


def test_a_second_push_sends_only_what_is_missing(open_registry, reference, image, layer):
    """Blobs that are there are not sent, and of an image that is there nothing is sent at all."""
    first = push(image(layer, b"old"), reference(open_registry))
    assert first.bytes_sent > len(layer)
    assert len(first.sent) == 3
    again = push(image(layer, b"old"), reference(open_registry))
    assert again == replace(first, bytes_sent=0, sent=())
    changed = image(layer, b"new")
    second = push(changed, reference(open_registry, "2"))
    assert second.present == (changed.layers[0].blob.digest,)
    assert second.bytes_sent == len(b"new") + len(changed.config) + len(changed.manifest)


def test_an_unchanged_image_is_found_by_looking(faulty, reference, image, layer):
    """Pushing what is there makes no request but to look: no upload, no manifest, no blob."""
    push(image(layer), reference(faulty))
    faulty.seen.clear()
    lines = []
    push(image(layer), reference(faulty), progress=lines.append)
    assert [(seen.method, seen.path.rpartition("/")[0]) for seen in faulty.seen] == [
        ("GET", "/v2"),
        ("HEAD", f"/v2/{reference(faulty).repository}/manifests"),
    ]
    assert "already there" in lines[0]


def test_layers_of_another_repository_are_mounted(open_registry, reference, image, layer):
    """A base that the registry has elsewhere is not sent again, nor read."""
    push(image(layer), reference(open_registry, suffix="/base"))
    base = fetch(reference(open_registry, suffix="/base"))
    new = image(layer, b"own")
    there = reference(open_registry, suffix="/flow")
    made = replace(new, layers=(base.layers[0], new.layers[1]))
    lines = []
    pushed = push(made, there, progress=lines.append)
    assert pushed.mounted == (base.layers[0].blob.digest,)
    assert pushed.bytes_sent < 2000
    name = made.layers[0].blob.digest[:19]
    assert f"Layer {name}… is mounted from {base.reference.repository}" in lines
    assert lines[-1] == f"The image {made.digest} is pushed"
    assert contents(fetch(there)) == [layer, b"own"]


def test_layers_of_another_registry_are_streamed(
    open_registry, password_registry, reference, image, layer, log_in
):
    """An image goes from one registry to another, whatever their logins, with no file between."""
    push(image(layer), reference(open_registry))
    log_in(password_registry.host)
    push(fetch(reference(open_registry)), reference(password_registry))
    assert contents(fetch(reference(password_registry))) == [layer]


@pytest.mark.parametrize("family", [(images.OCI_INDEX, OCI_MANIFEST),
                                    (images.DOCKER_INDEX, DOCKER_MANIFEST)])  # fmt: skip
def test_an_index_is_resolved_by_platform(family, open_registry, reference, image):
    """The image for the wanted platform is taken; without one for it, those there are are named."""
    index, manifest = family
    entries = []
    for architecture in ("amd64", "arm64"):
        one = image(architecture.encode(), architecture=architecture, media_type=manifest)
        push(one, reference(open_registry, architecture))
        platform = {"os": "linux", "architecture": architecture}
        entry = {"mediaType": manifest, "digest": one.digest, "size": len(one.manifest)}
        entries.append({**entry, "platform": platform})
    put_index(reference(open_registry, "all"), entries, index)
    there = reference(open_registry, "all")
    for architecture in ("amd64", "arm64"):
        found = fetch(there, Platform.parse(f"linux/{architecture}"))
        assert contents(found) == [architecture.encode()]
        assert found.reference.digest == found.digest
    assert fetch(there).platform == Platform.of_host()
    with pytest.raises(RegistryNotFoundError, match="linux/amd64, linux/arm64"):
        fetch(there, Platform.parse("linux/s390x"))
    with pytest.raises(RegistryNotFoundError, match="is for linux/amd64 alone"):
        fetch(reference(open_registry, "amd64"), Platform.parse("linux/arm64"))


def test_what_is_not_there_is_said(open_registry, reference, image):
    """An absent tag, repository and digest are errors that name them; `resolve` says None."""
    push(image(b"x"), reference(open_registry))
    for name in (
        reference(open_registry, "other"),
        reference(open_registry, suffix="/absent"),
        Reference(open_registry.host, "absent", None, f"sha256:{'0' * 64}"),
    ):
        assert resolve(name) is None
        with pytest.raises(RegistryNotFoundError, match=name.repository):
            fetch(name)


def test_a_layer_that_is_in_a_daemon_alone_is_refused(open_registry, reference, image):
    """An image without bytes for a layer is an error before anything is asked."""
    made = image(b"x")
    bare = replace(made, layers=(replace(made.layers[0], blob=None),))
    with pytest.raises(ImageError, match="in a container engine alone"):
        push(bare, reference(open_registry))
    assert not open_registry.blobs(reference(open_registry).repository)


def test_a_digest_that_the_image_has_not_is_refused(open_registry, reference, image):
    """A push to a digest is one of exactly that image."""
    wrong = replace(reference(open_registry), digest=f"sha256:{'0' * 64}")
    with pytest.raises(ImageContentError, match="not sha256:000"):
        push(image(b"x"), wrong)
    made = image(b"x")
    right = replace(wrong, tag=None, digest=made.digest)
    assert push(made, right).digest == resolve(right) == made.digest


def test_corrupt_local_bytes_are_never_pushed(
    faulty, open_registry, reference, image, layer, spoiled
):
    """Changed, short, long and unreadable files stop the push: no blob, no tag, uploads cancelled."""
    there = reference(faulty)
    made = image(b"good", layer)

    def unreadable():
        raise PermissionError(13, "Permission denied")

    wrong = layer[:-1] + bytes([layer[-1] ^ 1])
    for opener in (
        lambda: io.BytesIO(wrong),
        lambda: io.BytesIO(layer[:-1]),
        lambda: io.BytesIO(layer + b"x"),
        unreadable,
    ):
        faulty.seen.clear()
        with pytest.raises(ImageContentError, match="The bytes of sha256"):
            push(spoiled(made, opener), there)
        assert made.layers[-1].blob.digest not in open_registry.blobs(there.repository)
        assert not open_registry.tags(there.repository)
        # One, or more where the push's other blobs were still on their way.
        assert faulty.count("DELETE", f"/v2/{there.repository}/blobs/uploads/") >= 1


def test_a_blob_that_rotted_on_the_registrys_disk_is_not_read(
    open_registry, reference, image, layer, retries
):
    """The digest is checked before the last bytes are given."""
    there = reference(open_registry)
    push(image(layer), there)
    found = fetch(there, retries=retries)
    open_registry.corrupt(found.layers[0].blob.digest, bytes(len(layer)))
    with (
        found.layers[0].blob.open() as file,
        pytest.raises(ImageContentError, match="other bytes"),
    ):
        file.read()
    open_registry.corrupt(found.layers[0].blob.digest, layer)


def test_basic_authentication(password_registry, reference, image, log_in):
    """Who logged in pushes and fetches; others are told to log in, and no password is shown."""
    there = reference(password_registry)
    host = password_registry.host
    with pytest.raises(RegistryLoginError, match=f"wants a login: .*docker login {host}"):
        push(image(b"x"), there)
    path = log_in(host, password="wrong word")
    with pytest.raises(RegistryLoginError, match="refuses the credentials") as caught:
        push(image(b"x"), there)
    assert str(path) in str(caught.value)
    assert "wrong word" not in str(caught.value)
    log_in(host)
    push(image(b"x"), there)
    assert contents(fetch(there)) == [b"x"]


def test_a_token_is_got_for_what_is_done(token_registry, token_server, reference, image, log_in):
    """Push and pull ask for their own scopes, by name and password, once each."""
    there = reference(token_registry)
    log_in(token_registry.host)
    push(image(b"x", b"y", b"z"), there)
    fetch(there)
    scopes = [scopes for _, scopes, _ in token_server.requests]
    name = f"repository:{there.repository}"
    assert scopes == [[f"{name}:pull,push"], [f"{name}:pull"]]


def test_anybody_may_pull_what_is_public(token_registry, token_server, image, unique, log_in):
    """Without credentials a token is asked for anonymously; it does not push."""
    there = Reference.parse(f"{token_registry.host}/public/{unique}:1")
    path = log_in(token_registry.host)
    push(image(b"x"), there)
    path.unlink()
    token_server.requests.clear()
    assert contents(fetch(there)) == [b"x"]
    assert {header for _, _, header in token_server.requests} == {None}
    with pytest.raises(RegistryLoginError, match="docker login"):
        push(image(b"y"), there)
    with pytest.raises(RegistryLoginError, match="docker login"):
        fetch(replace(there, repository=f"private/{unique}"))


def test_an_identity_token_is_used_by_oauth2(
    token_registry, token_server, reference, image, log_in
):
    """Who logged in with an identity token gets access tokens by POST, and sends no password."""
    token_server.identity_tokens = {"the identity token"}
    log_in(token_registry.host, identitytoken="the identity token", username="<token>")
    push(image(b"x"), reference(token_registry))
    assert {(method, header) for method, _, header in token_server.requests} == {("POST", None)}
    log_in(token_registry.host, identitytoken="a stale token")
    with pytest.raises(RegistryLoginError, match="refuses the credentials") as caught:
        fetch(reference(token_registry))
    assert "a stale token" not in str(caught.value)


def test_a_mount_gets_a_token_for_both_repositories(
    token_registry, token_server, reference, image, layer, log_in
):
    """The push scope stands first, the pull scope of the other repository is added for a mount."""
    log_in(token_registry.host)
    base, there = (reference(token_registry, suffix=s) for s in ("/base", "/flow"))
    push(image(layer), base)
    fetched = fetch(base)
    token_server.requests.clear()
    assert push(fetched, there).mounted == (fetched.layers[0].blob.digest,)
    assert [scopes for _, scopes, _ in token_server.requests] == [
        [f"repository:{there.repository}:pull,push"],
        [f"repository:{there.repository}:pull,push", f"repository:{base.repository}:pull"],
    ]


def test_without_a_token_for_both_the_blob_is_sent(
    token_registry, token_server, reference, image, layer, log_in
):
    """A server that refuses the second scope costs the mount, not the push."""
    log_in(token_registry.host)
    base, there = (reference(token_registry, suffix=s) for s in ("/base", "/flow"))
    push(image(layer), base)
    fetched = fetch(base)

    def opened():
        return io.BytesIO(layer)

    blob = replace(fetched.layers[0].blob, open=opened)
    made = replace(fetched, layers=(replace(fetched.layers[0], blob=blob),))
    token_server.refused = {base.repository}
    assert blob.digest in push(made, there).sent
    token_server.refused = set()
    assert contents(fetch(there)) == [layer]


def test_a_token_that_runs_out_is_renewed(
    token_registry, token_server, reference, image, layer, log_in
):
    """With tokens that live for a moment a push asks for more of them, and succeeds."""
    log_in(token_registry.host)
    token_server.seconds = 1e-6
    push(image(layer), reference(token_registry))
    assert len(token_server.requests) > 3


def test_a_private_authority_is_trusted_when_it_is_named(
    tls_registry, authority, reference, image, home, monkeypatch, retries
):
    """Its certificate is taken from certs.d or SSL_CERT_FILE; without it the error says where to."""
    there = reference(tls_registry)
    with pytest.raises(RegistryError, match=r"not trusted .*certs\.d/127\.0\.0\.1:\d+/ca\.crt"):
        push(image(b"x"), there, retries=retries)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    push(image(b"x"), there)
    monkeypatch.delenv("SSL_CERT_FILE")
    directory = home / ".config" / "containers" / "certs.d" / tls_registry.host
    directory.mkdir(parents=True)
    (directory / "ca.crt").write_bytes(authority.certificate.read_bytes())
    assert contents(fetch(there)) == [b"x"]
    assert contents(fetch(there, insecure=False)) == [b"x"]


def test_a_clients_certificate_is_shown(
    mutual_tls_registry, authority, reference, image, home, retries
):
    """`*.cert` and `*.key` in certs.d let in who a registry wants to know; without, it refuses."""
    there = reference(mutual_tls_registry)
    directory = home / ".config" / "containers" / "certs.d" / mutual_tls_registry.host
    directory.mkdir(parents=True)
    (directory / "ca.crt").write_bytes(authority.certificate.read_bytes())
    with pytest.raises(RegistryError):
        push(image(b"x"), there, retries=retries)
    (directory / "me.cert").write_bytes((authority.directory / "client.cert").read_bytes())
    with pytest.raises(RegistryError, match=r"its key in \*\.key"):
        push(image(b"x"), there)
    (directory / "me.key").write_bytes((authority.directory / "client.key").read_bytes())
    push(image(b"x"), there)
    assert contents(fetch(there)) == [b"x"]


def test_plain_http_can_be_forbidden(open_registry, reference, image, retries):
    """With insecure=False even loopback has to speak TLS."""
    with pytest.raises(RegistryError, match="does not speak TLS"):
        push(image(b"x"), reference(open_registry), insecure=False, retries=retries)
    assert not open_registry.tags(reference(open_registry).repository)
