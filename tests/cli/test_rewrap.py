"""`prefect rewrap`."""


def test_a_key_is_exchanged(sealed):
    """The new key opens the file and the old does not; a keyring opens either."""
    sealed("keygen", "new.key")
    out, _ = sealed("rewrap", "etl.flow", "--key-file", "flow.key", "--to-key-file", "new.key")
    assert "etl.flow opens for" in out
    sealed("run", "etl.flow", "--key-file", "new.key")
    sealed("run", "etl.flow", "--key-file", "flow.key", "--key-file", "new.key")
    sealed("info", "etl.flow", "--key-file", "flow.key", status=2)


def test_a_signed_file_is_opened_to_a_recipient(sealed):
    """Unsigned it is refused; signed it opens by the identity, in a file of its own."""
    sealed("keygen", "--signing", "me")
    sealed("keygen", "--recipient", "them")
    arguments = ["rewrap", "etl.flow", "--key-file", "flow.key", "--to-key-file", "flow.key",
                 "--recipient", "them.pub", "-o", "theirs.flow"]  # fmt: skip
    assert "must be signed" in sealed(*arguments, status=2)[1]
    assert not (sealed.directory / "theirs.flow").exists()
    sealed("sign", "etl.flow", "--signing-key", "me")
    sealed(*arguments)
    sealed("run", "theirs.flow", "--key-file", "them", "--trusted-signer", "me.pub")
    sealed("run", "theirs.flow", "--key-file", "flow.key")
    assert "--trusted-signer" in sealed("run", "theirs.flow", "--key-file", "them", status=2)[1]
    # Who holds the identity can change wraps too, once they say whom they trust.
    sealed("keygen", "new.key")
    back = ["rewrap", "theirs.flow", "--key-file", "them", "--to-key-file", "new.key"]
    sealed(*back, status=2)
    sealed(*back, "--trusted-signer", "me.pub")
    sealed("verify", "theirs.flow", "--key-file", "new.key", "--trusted-signer", "me.pub")


def test_bad_input_is_said_and_the_file_stays(sealed):
    """A wrong key, nobody to open it for, keys of other kinds: exit status 2, no change."""
    before = (sealed.directory / "etl.flow").read_bytes()
    sealed("keygen", "other.key")
    sealed("keygen", "--recipient", "them")
    for arguments, says in (
        (["--key-file", "other.key", "--to-key-file", "other.key"], "cannot be opened"),
        (["--key-file", "flow.key"], "--to-key-file FILE or --recipient"),
        (["--key-file", "flow.key", "--to-key-file", "them"], "holds an identity"),
        (["--key-file", "flow.key", "--recipient", "other.key"], "holds an encryption key"),
        (["--to-key-file", "other.key"], "with --key-file"),
    ):
        assert says in sealed("rewrap", "etl.flow", *arguments, status=2)[1]
    assert (sealed.directory / "etl.flow").read_bytes() == before


def test_a_damaged_file_is_neither_blessed_nor_replaced(sealed):
    """The file stays as it is, and no other is written."""
    sealed("keygen", "new.key")
    path = sealed.directory / "etl.flow"
    content = bytearray(path.read_bytes())
    content[-200] ^= 1
    path.write_bytes(content)
    arguments = ["rewrap", "etl.flow", "--key-file", "flow.key", "--to-key-file", "new.key"]
    assert "were changed" in sealed(*arguments, status=2)[1]
    assert path.read_bytes() == content
    sealed(*arguments, "-o", "other.flow", status=2)
    assert not (sealed.directory / "other.flow").exists()
