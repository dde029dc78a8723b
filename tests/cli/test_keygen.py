"""`prefect keygen`."""

import stat

import pytest

from prefect.sealed.keys.encryption import EncryptionKey
from prefect.sealed.keys.recipients import Identity, Recipient
from prefect.sealed.keys.signers import Signer, SigningKey


def test_a_key_is_written_for_its_owner_alone(prefect):
    """The file has mode 0600 and holds a key; what is printed does not."""
    out, err = prefect("keygen", "new/dir/flow.key")
    path = prefect.directory / "new/dir/flow.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = EncryptionKey(path.read_bytes().strip())
    assert key.encode() not in out + err
    assert key.id in err
    assert "PREFECT_STORE_KEY it encrypts the results" in err


def test_a_key_is_never_overwritten(prefect):
    """A file that is there stays as it is, whatever it holds."""
    (prefect.directory / "prefect.key").write_text("precious")
    _, err = prefect("keygen", status=2)
    assert "not overwritten" in err
    assert (prefect.directory / "prefect.key").read_text() == "precious"
    assert sorted(p.name for p in prefect.directory.iterdir()) == [
        "etl.py", "helper_beside_it.py", "prefect.key",
    ]  # fmt: skip


def test_a_key_can_go_to_a_secret_store(prefect):
    """With `-` it is the one thing on standard output."""
    out, err = prefect("keygen", "-")
    EncryptionKey(out.strip())
    assert err == ""


def test_a_directory_that_cannot_be_written_is_said(prefect):
    """The cause is the system's, the exit status that of bad input."""
    _, err = prefect("keygen", "etl.py/flow.key", status=2)
    assert "etl.py" in err


@pytest.mark.parametrize(
    ("option", "private", "public", "default"),
    [
        ("--recipient", Identity, Recipient, "prefect-identity"),
        ("--signing", SigningKey, Signer, "prefect-signing-key"),
    ],
)
def test_a_pair_is_written_to_two_files(prefect, option, private, public, default):
    """The private key is its owner's alone, the public one anybody's, and they belong together."""
    out, err = prefect("keygen", option)
    path = prefect.directory / default
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key, other = private(path.read_text().strip()), path.with_name(f"{default}.pub")
    assert stat.S_IMODE(other.stat().st_mode) == 0o644
    assert public(other.read_text().strip()).id == key.id
    assert key.encode() not in out + err
    for taken, missing in ((path, other), (other, path)):
        taken.write_text("precious")
        missing.unlink(missing_ok=True)
        assert "not overwritten" in prefect("keygen", option, status=2)[1]
        assert taken.read_text() == "precious"
        assert not missing.exists()


def test_a_pair_can_go_to_a_secret_store(prefect):
    """With `-` the private key is on standard output and the public one on standard error."""
    out, err = prefect("keygen", "--recipient", "-")
    assert Identity(out.strip()).recipient == Recipient(err.strip())
    assert "choose one" in prefect("keygen", "--recipient", "--signing", status=2)[1]


@pytest.mark.parametrize("option", ["--recipient", "--signing"])
def test_a_lost_public_key_is_written_again(prefect, option):
    """From the private one, the very same; never over another, nor from a key that has none."""
    prefect("keygen", option, "me")
    public = prefect.directory / "me.pub"
    text = public.read_text()
    assert "not overwritten" in prefect("keygen", "--public", "me", status=2)[1]
    public.unlink()
    out, err = prefect("keygen", "--public", "me")
    assert (out, err) == ("", "Wrote me.pub.\n")
    assert public.read_text() == text
    assert stat.S_IMODE(public.stat().st_mode) == 0o644
    assert "me exists and is not overwritten" in prefect("keygen", option, "me", status=2)[1]
    (prefect.directory / "me").rename(prefect.directory / "old")
    assert "me.pub exists and is not overwritten" in prefect("keygen", option, "me", status=2)[1]
    prefect("keygen", "flow.key")
    assert "an encryption key" in prefect("keygen", "--public", "flow.key", status=2)[1]
    assert "FILE" in prefect("keygen", "--public", status=2)[1]
    assert "choose one" in prefect("keygen", "--public", option, "me", status=2)[1]


def test_a_files_name_commands_no_terminal(prefect):
    """It shows as escapes, wherever the command names it."""
    for arguments in (["keygen", "a\x1b[2Jb"], ["keygen", "--signing", "c\x1b[2Jd"]):
        shown = "".join(prefect(*arguments))
        assert "\x1b" not in shown
        assert r"\x1b[2J" in shown
