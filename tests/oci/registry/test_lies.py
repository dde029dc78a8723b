"""`prefect.oci.registry.client` and a server whose documents have the right digests and the wrong types."""

import http.server
import threading

import pytest

from prefect.errors import ImageContentError, RegistryLoginError
from prefect.oci.images import OCI_CONFIG, OCI_MANIFEST, canonical_json, digest_of
from prefect.oci.platforms import Platform
from prefect.oci.references import Reference
from prefect.oci.registry.client import fetch

CONFIG = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []}}


@pytest.fixture
def serve(monkeypatch, tmp_path):
    """Return a function that serves answers by the ends of their paths, and names an image there."""
    (tmp_path / "auth.json").write_text("{}")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    answers = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.partition("?")[0].rpartition("/")[2]
            status, headers, body = answers.get(name, (200, {}, b""))
            self.send_response(status)
            for header in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(*header)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    host = f"127.0.0.1:{server.server_port}"

    def begin(**given):
        answers.update(given)
        return Reference.parse(f"{host}/demo:tag")

    yield begin
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "changes",
    [
        {"os": 1}, {"architecture": None}, {"config": "text"}, {"config": {"Env": 5}},
        {"config": {"Env": [5]}}, {"config": {"Labels": {"prefect.version": 1}}},
        {"rootfs": {"diff_ids": "text"}},
    ],
)  # fmt: skip
def test_a_config_of_wrong_types_is_refused(serve, changes):
    """By an error of ours, before anybody reads platform, settings or labels out of it."""
    config = canonical_json(CONFIG | changes)
    named = {"mediaType": OCI_CONFIG, "digest": digest_of(config), "size": len(config)}
    manifest = canonical_json({"schemaVersion": 2, "config": named, "layers": []})
    reference = serve(
        tag=(200, {"Content-Type": OCI_MANIFEST}, manifest),
        **{digest_of(config): (200, {}, config)},
    )
    with pytest.raises(ImageContentError, match="config"):
        fetch(reference, Platform.parse("linux/amd64"))


@pytest.mark.parametrize("life", ["1" + "0" * 400, "[1]", '"soon"'])
def test_a_token_of_an_impossible_life_is_none(serve, life):
    """Numbers that are none to a clock are an error of ours."""
    reference = serve(token=(200, {}, b'{"token": "x", "expires_in": %s}' % life.encode()))
    realm = f'Bearer realm="http://{reference.registry}/token"'
    serve(**{"": (401, {"WWW-Authenticate": realm}, b"")})
    with pytest.raises(RegistryLoginError, match="gave no token"):
        fetch(reference)
