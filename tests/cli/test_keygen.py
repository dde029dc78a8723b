"""`prefect keygen`."""

import stat

from prefect.packaging.keys import EncryptionKey


def test_a_key_is_written_for_its_owner_alone(prefect):
    """The file has mode 0600 and holds a key; what is printed does not."""
    out, err = prefect("keygen", "new/dir/flow.key")
    path = prefect.directory / "new/dir/flow.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = EncryptionKey(path.read_bytes().strip())
    assert key.encode().decode() not in out + err
    assert key.id in err


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
