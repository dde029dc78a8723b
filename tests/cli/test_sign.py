"""`prefect sign`."""

import subprocess


def test_a_signature_is_added_in_place_without_a_key(sealed):
    """The file grows by the signature, and nothing else of it changes."""
    before = (sealed.directory / "etl.flow").read_bytes()
    sealed("keygen", "--signing", "me")
    out, _ = sealed("sign", "etl.flow", "--signing-key", "me")
    after = (sealed.directory / "etl.flow").read_bytes()
    assert after.startswith(before[:-6])
    assert len(after) > len(before)
    assert "Signed etl.flow with the key" in out
    sealed("run", "etl.flow", "--key-file", "flow.key", "--trusted-signer", "me.pub")


def test_ssh_keygen_checks_what_was_signed_with_an_ssh_key(sealed):
    """The commands of the documentation, as printed there, without this software."""

    def shell(command):
        return subprocess.run(
            command, cwd=sealed.directory, shell=True, capture_output=True, check=False
        )

    shell("ssh-keygen -q -t ed25519 -N '' -f id")
    out, _ = sealed("sign", "etl.flow", "--ssh-key", "id")
    assert "etl.flow.sig" in out
    shell('echo "NAME $(cat id.pub)" > allowed_signers')
    verify = "ssh-keygen -Y verify -f allowed_signers -I NAME -n file -s etl.flow.sig < etl.flow"
    assert b"Good" in shell(verify).stdout
    sealed("keygen", "new.key")
    sealed("rewrap", "etl.flow", "--key-file", "flow.key", "--to-key-file", "new.key")
    assert shell(verify).returncode


def test_a_damaged_file_is_signed_by_no_kind_of_key(sealed):
    """Its content is compared with its header first, and nothing is written."""
    sealed("keygen", "--signing", "me")
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "id"],
        cwd=sealed.directory,
        check=True,
    )
    path = sealed.directory / "etl.flow"
    content = bytearray(path.read_bytes())
    content[-200] ^= 1
    path.write_bytes(content)
    for key in (["--signing-key", "me"], ["--ssh-key", "id"]):
        assert "is not signed: its content" in sealed("sign", "etl.flow", *key, status=2)[1]
    assert path.read_bytes() == content
    assert not list(sealed.directory.glob("*.sig"))


def test_a_signature_is_written_over_no_key_and_no_device(sealed):
    """What has its name and is no signature stays."""
    key = sealed.directory / "etl.flow.sig"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    before = key.read_bytes()
    error = sealed("sign", "etl.flow", "--ssh-key", "etl.flow.sig", status=2)[1]
    assert "is what is being read" in error
    assert key.read_bytes() == before
    key.rename(sealed.directory / "id")
    key.mkdir()
    error = sealed("sign", "etl.flow", "--ssh-key", "id", status=2)[1]
    assert "no ordinary file" in error


def test_bad_input_is_said_and_the_file_stays(sealed):
    """No key, two keys, keys of other kinds, files that are none: exit status 2, no change."""
    before = (sealed.directory / "etl.flow").read_bytes()
    sealed("keygen", "--signing", "me")
    for arguments, says in (
        (["etl.flow"], "--signing-key FILE or"),
        (["etl.flow", "--signing-key", "me", "--ssh-key", "me"], "--signing-key FILE or"),
        (["etl.flow", "--signing-key", "flow.key"], "holds an encryption key"),
        (["etl.flow", "--signing-key", "me.pub"], "holds a signer"),
        (["etl.flow", "--ssh-key", "flow.key"], "OpenSSH private key"),
        (["etl.flow", "--ssh-key", "/dev/zero"], "/dev/zero has more than the 64 KiB"),
        (["etl.py", "--signing-key", "me"], "not a sealed flow"),
        (["etl.py", "--ssh-key", "me"], "not a sealed flow"),
        (["missing.flow", "--signing-key", "me"], "no file"),
    ):
        assert says in sealed("sign", *arguments, status=2)[1]
    assert (sealed.directory / "etl.flow").read_bytes() == before
    assert not list(sealed.directory.glob("*.sig"))
