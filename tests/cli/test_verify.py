"""`prefect verify`."""

import shutil


def test_an_authentic_file_is_said_to_be_one(sealed):
    """Its keys' ids are shown, and nobody's signature."""
    out, err = sealed("verify", "etl.flow", "--key-file", "flow.key")
    assert "authentic, every byte" in out
    assert "A256KW" in out
    assert "nobody" in out
    assert err == ""


def test_a_signature_is_asked_for_by_the_reader(sealed):
    """Trusted and untrusted signers are told apart; without a trusted one the status is 2."""
    for name in ("me", "stranger"):
        sealed("keygen", "--signing", name)
    check = ["verify", "etl.flow", "--key-file", "flow.key", "--trusted-signer"]
    assert "cannot be opened" in sealed(*check, "me.pub", status=2)[1]
    sealed("sign", "etl.flow", "--signing-key", "stranger")
    assert "cannot be opened" in sealed(*check, "me.pub", status=2)[1]
    sealed("sign", "etl.flow", "--signing-key", "me")
    text = (sealed.directory / "me.pub").read_text().strip()
    for signer in ("me.pub", text):
        out, _ = sealed(*check, signer)
        assert out.count("(trusted)") == out.count("(not checked)") == 1
    for command in ("info", "graph", "run"):
        arguments = ["etl.flow", "--key-file", "flow.key", "--trusted-signer"]
        sealed(command, *arguments, "me.pub")
        sealed("keygen", "--signing", f"other-{command}")
        sealed(command, *arguments, f"other-{command}.pub", status=2)


def test_what_is_not_authentic_is_exit_status_2(sealed):
    """A wrong key, a byte changed at the very end of the payload, a missing file or key."""
    sealed("keygen", "other.key")
    shutil.copy(sealed.directory / "etl.flow", sealed.directory / "changed.flow")
    with (sealed.directory / "changed.flow").open("r+b") as file:
        file.seek(-7, 2)
        file.write(b"?")
    for file, key, says in (
        ("etl.flow", "other.key", "cannot be opened"),
        ("changed.flow", "flow.key", "cannot be opened"),
        ("missing.flow", "flow.key", "no file missing.flow"),
        ("missing", "flow.key", "no file missing"),
        ("etl.py", "flow.key", "not a sealed flow"),
        (".", "flow.key", "directory"),
    ):
        out, err = sealed("verify", file, "--key-file", key, status=2)
        assert says in err
        assert out == ""
    assert "--key-file" in sealed("verify", "etl.flow", status=2)[1]
    sealed("info", "changed.flow", "--key-file", "flow.key")  # which reads the manifest alone
