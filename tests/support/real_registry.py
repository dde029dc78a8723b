"""The real `docker-registry` as a child process, and a token server such as it can be told to trust."""

import base64
import contextlib
import datetime as dt
import http.server
import ipaddress
import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

PROGRAM = "docker-registry"


class RealRegistry:
    """A registry on a free port of loopback, with its files in a directory.

    sections: of its configuration, beside those that every one has.
    """

    def __init__(self, directory: Path, **sections) -> None:
        if not shutil.which(PROGRAM):
            raise FileNotFoundError(f"{PROGRAM} is not installed: run `make services`")
        self.files = directory / "files"
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.host = f"127.0.0.1:{probe.getsockname()[1]}"
        config = {
            "version": "0.1",
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.files)},
                "delete": {"enabled": True},
            },
            **sections,
            "http": {"addr": self.host, "secret": "of tests", **sections.get("http", {})},
        }
        path = directory / "config.json"
        path.write_text(json.dumps(config))
        with (directory / "log").open("wb") as log:
            self._process = subprocess.Popen([PROGRAM, "serve", str(path)], stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", int(self.host.partition(":")[2]))).close()
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError((directory / "log").read_text())
            time.sleep(0.02)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)

    def _repository(self, name: str) -> Path:
        return self.files / "docker" / "registry" / "v2" / "repositories" / name

    def tags(self, repository: str) -> set[str]:
        """Return the tags that the registry has on its disk."""
        tags = self._repository(repository) / "_manifests" / "tags"
        return {path.name for path in tags.iterdir()} if tags.exists() else set()

    def uploads(self, repository: str) -> set[str]:
        """Return the uploads that were begun and neither finished nor cancelled."""
        uploads = self._repository(repository) / "_uploads"
        return {path.name for path in uploads.iterdir()} if uploads.exists() else set()

    def blobs(self, repository: str) -> set[str]:
        """Return the digests of the blobs of a repository."""
        layers = self._repository(repository) / "_layers" / "sha256"
        return {f"sha256:{path.name}" for path in layers.iterdir()} if layers.exists() else set()

    def corrupt(self, digest: str, content: bytes) -> None:
        """Change a blob's bytes on the registry's disk."""
        name = digest.removeprefix("sha256:")
        blobs = self.files / "docker" / "registry" / "v2" / "blobs"
        (blobs / "sha256" / name[:2] / name / "data").write_bytes(content)


class Authority:
    """A private certificate authority, and a certificate of it for loopback."""

    def __init__(self, directory: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = directory / "ca.crt"
        authority = _certificate("authority of the tests", key, None, None)
        self.certificate.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
        for name in ("server", "client"):
            own = ec.generate_private_key(ec.SECP256R1())
            issued = _certificate(name, own, authority, key)
            (directory / f"{name}.cert").write_bytes(
                issued.public_bytes(serialization.Encoding.PEM)
            )
            (directory / f"{name}.key").write_bytes(_pem(own))
        self.directory = directory


def _pem(key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _certificate(name, key, issuer, issuer_key) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer:
        loopback = [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        ]
        builder = builder.add_extension(x509.SubjectAlternativeName(loopback), critical=False)
    return builder.sign(issuer_key or key, hashes.SHA256())


class TokenServer:
    """Gives tokens as the specification of Docker's registry has it, signed with RS256.

    users: names and passwords; who logs in may do anything, others may pull from `public/...`.
    identity_tokens: what is taken for a user's login by OAuth2.
    refused: repositories for which there are no tokens at all.
    requests: method, scopes and the Authorization header of each request.
    """

    service, issuer = "registry of tests", "token server of tests"

    def __init__(self, directory: Path) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        certificate = _certificate("token server", self._key, None, None)
        self._der = certificate.public_bytes(serialization.Encoding.DER)
        self.bundle = directory / "token.crt"
        self.bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.users: dict[str, str] = {}
        self.identity_tokens: set[str] = set()
        self.refused: set[str] = set()
        self.requests: list[tuple[str, list[str], str | None]] = []
        self.seconds = 300
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
                owner.answer(self, query.get("scope", []), login=None)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = urllib.parse.parse_qs(body)
                good = form["refresh_token"][0] in owner.identity_tokens
                owner.answer(self, form["scope"][0].split(" "), login=good)

            def log_message(self, *arguments) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.realm = f"http://127.0.0.1:{self._server.server_port}/token"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def config(self) -> dict:
        """Return the registry's configuration that makes it ask for our tokens."""
        return {
            "token": {
                "realm": self.realm,
                "service": self.service,
                "issuer": self.issuer,
                "rootcertbundle": str(self.bundle),
            }
        }

    def answer(self, handler, scopes: list[str], *, login: bool | None) -> None:
        header = handler.headers.get("Authorization")
        self.requests.append((handler.command, scopes, header))
        if header:
            pair = base64.b64decode(header.removeprefix("Basic ")).decode()
            name, _, password = pair.partition(":")
            login = self.users.get(name) == password
        if login is False or any(scope.split(":")[1] in self.refused for scope in scopes):
            status, body = 401, b"{}"
        else:
            status = 200
            key = "access_token" if handler.command == "POST" else "token"
            body = json.dumps({key: self._token(scopes, bool(login)), "expires_in": self.seconds})
            body = body.encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _token(self, scopes: list[str], everything: bool) -> str:
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            allowed = set(actions.split(","))
            if not everything:
                allowed &= {"pull"} if name.startswith("public/") else set()
            access.append({"type": kind, "name": name, "actions": sorted(allowed)})
        now = int(time.time())
        header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(self._der).decode()]}
        claims = {
            "iss": self.issuer, "sub": "somebody", "aud": self.service, "exp": now + 300,
            "nbf": now - 60, "iat": now, "jti": "1", "access": access,
        }  # fmt: skip
        signed = ".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_base64url(signature)}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
