"""`prefect.sealed.sshsig`, checked by the real ssh-keygen."""

import subprocess

import pytest

from prefect.errors import InvalidKeyError
from prefect.sealed.sshsig import ssh_sign

DATA = bytes(range(256)) * 5000


def generate(tmp_path, *arguments: str) -> bytes:
    """Make a key with ssh-keygen, and allow it to sign."""
    path = tmp_path / "key"
    subprocess.run(
        ["ssh-keygen", "-q", "-N", "", "-f", path, *arguments], check=True, capture_output=True
    )
    (tmp_path / "allowed").write_text(f"me {(tmp_path / 'key.pub').read_text()}")
    return path.read_bytes()


def verifies(tmp_path, signature: bytes, data: bytes, namespace: str = "file") -> bool:
    """Ask ssh-keygen whether a signature is good."""
    (tmp_path / "sig").write_bytes(signature)
    command = ["ssh-keygen", "-Y", "verify", "-f", "allowed", "-I", "me", "-n", namespace,
               "-s", "sig"]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, input=data, capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("-t", "ed25519"),
        ("-t", "rsa", "-b", "2048"),
        ("-t", "ecdsa", "-b", "256"),
        ("-t", "ecdsa", "-b", "384"),
        ("-t", "ecdsa", "-b", "521"),
    ],
    ids="-".join,
)
def test_ssh_keygen_accepts_the_signature_of_every_kind_of_key(arguments, tmp_path):
    """Over these bytes it is good, over others or for another purpose it is not."""
    key = generate(tmp_path, *arguments)
    for _ in range(5):  # numbers of an ECDSA signature vary in length
        signature = ssh_sign(DATA, key)
        assert verifies(tmp_path, signature, DATA)
    assert not verifies(tmp_path, signature, DATA + b"x")
    assert not verifies(tmp_path, signature, DATA, namespace="git")


def test_a_file_is_signed_by_its_path(tmp_path):
    """A path gives the same signature as the bytes that are in it."""
    key = generate(tmp_path, "-t", "ed25519")
    (tmp_path / "data").write_bytes(DATA)
    assert ssh_sign(tmp_path / "data", key) == ssh_sign(DATA, key)


def test_a_key_that_cannot_sign_is_said_with_what_to_do(tmp_path):
    """A passphrase, a public key and noise are InvalidKeyErrors, none of them quoted."""
    locked = generate(tmp_path, "-t", "ed25519", "-N", "secret")
    with pytest.raises(InvalidKeyError, match="ssh-keygen -Y sign"):
        ssh_sign(DATA, locked)
    for bad in (b"", b"noise", (tmp_path / "key.pub").read_bytes(), locked[:100]):
        with pytest.raises(InvalidKeyError, match="ssh-keygen -t ed25519"):
            ssh_sign(DATA, bad)
