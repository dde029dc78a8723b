"""`prefect info`."""

import json
import pickle
import re
import subprocess
import sys

from sealed_making import sealed_with

from prefect.sealed.keys.encryption import EncryptionKey
from prefect.sealed.reading import open_sealed
from prefect.sealed.writing import seal


def test_a_sealed_flow_is_described(sealed):
    """Name, Python, parameters and tasks with their settings are shown."""
    out, _ = sealed("info", "etl.flow", "--key-file", "flow.key")
    for part in ("etl & co", "cpython 3.", "transform-1", "2 retries, mapped", "timeout 60 s",
                 "fail       false"):  # fmt: skip
        assert part in out
    assert not any(line.endswith(" ") for line in out.splitlines())


def test_json_is_the_manifest(sealed):
    """Programs get everything, and nothing but JSON."""
    out, err = sealed("info", "etl.flow", "--key-file", "flow.key", "--json")
    manifest = json.loads(out)
    expected = {"name": "n", "required": False, "default": 3, "type": "int"}
    assert manifest["flow"]["parameters"][0] == expected
    assert err == ""


DAY = """
from datetime import date
from prefect import Flow, Parameter, task

@task
def show(day):
    print("day", day)

with Flow("daily") as flow:
    show(Parameter("day", default=date(2024, 2, 29)))
"""


def test_defaults_are_shown_as_they_are_given(prefect):
    """What `info` and `graph` show of a date can be given with `-p`."""
    (prefect.directory / "daily.py").write_text(DAY)
    prefect("keygen", "flow.key")
    prefect("build", "daily.py", "--key-file", "flow.key")
    assert re.search(
        r"day +2024-02-29 +date", prefect("info", "daily.flow", "--key-file", "flow.key")[0]
    )
    assert "default 2024-02-29" in prefect("graph", "daily.py")[0]
    assert "day 2024-02-29" in prefect("run", "daily.py", "-p", "day=2024-02-29")[0]


def test_looking_executes_nothing(sealed, canary):
    """A payload that would act when loaded does not, and the same file run does."""
    path = sealed.directory / "etl.flow"
    key = EncryptionKey((sealed.directory / "flow.key").read_bytes().strip())
    opened = open_sealed(path.read_bytes(), key)
    path.write_bytes(seal(opened.manifest, pickle.dumps(canary), key))
    made = sealed.directory / "canary-was-loaded"
    for command in ("info", "graph"):
        sealed(command, "etl.flow", "--key-file", "flow.key")
        assert not made.exists()
    sealed("run", "etl.flow", "--key-file", "flow.key", status=2)
    assert made.exists()


def test_what_cannot_be_opened_is_said(sealed):
    """A wrong key, a changed file, a cut file, a missing file, a file of source."""
    sealed("keygen", "other.key")
    data = (sealed.directory / "etl.flow").read_bytes()
    (sealed.directory / "cut.flow").write_bytes(data[:-1])
    changed = data[:900] + bytes([data[900] ^ 1]) + data[901:]
    (sealed.directory / "changed.flow").write_bytes(changed)
    (sealed.directory / "noise.flow").write_bytes(b"noise")
    cases = [
        ("etl.flow", "other.key", "cannot be opened"),
        ("changed.flow", "flow.key", "cannot be opened"),
        ("cut.flow", "flow.key", "incomplete"),
        ("noise.flow", "flow.key", "not a sealed flow"),
        ("missing.flow", "flow.key", "no file missing.flow"),
        ("etl.py", "flow.key", "would have to be run"),
    ]
    for file, key, says in cases:
        _, err = sealed("info", file, "--key-file", key, status=2)
        assert says in err


def test_a_mistyped_file_is_named_although_no_daemon_answers(prefect):
    """No container engine is asked for it; how an image is named is said where it may be one."""
    for name, hint in (("etl.floww", True), ("./etl.floww", False), ("etl.flow", False)):
        _, err = prefect("info", name, status=2, DOCKER_HOST="unix:///nowhere.sock")
        assert f"no file {name.removeprefix('./')}" in err
        assert (f"write image:{name}" in err) is hint


def test_without_a_key_is_shown_what_anyone_can_see(sealed):
    """Sizes, key ids and signers, as text and as JSON, with the note that nobody vouches for it."""
    sealed("keygen", "--signing", "me")
    sealed("sign", "etl.flow", "--signing-key", "me")
    out, err = sealed("info", "etl.flow")
    assert "A256KW" in out
    assert "payload" in out
    assert "Nothing of this is authenticated" in err
    seen = json.loads(sealed("info", "etl.flow", "--json")[0])
    assert seen["signer_ids"][0] in out
    assert "etl & co" not in out + err
    assert "--key-file" in sealed("graph", "etl.flow", status=2)[1]


def test_without_a_key_the_sizes_of_all_sections_are_shown(sealed):
    """What a packaged flow carries beside its payload is in the table and in the JSON."""
    further = {"files": b"files" * 10, "wheels": b"wheels" * 10}
    made = sealed_with(b"{}", b"", further, EncryptionKey.generate())
    (sealed.directory / "more.flow").write_bytes(made)
    out, _ = sealed("info", "more.flow")
    assert [line.split() for line in out.splitlines()[1:5]] == [
        ["manifest", "74", "bytes"],
        ["payload", "72", "bytes"],
        ["files", "122", "bytes"],
        ["wheels", "132", "bytes"],
    ]
    seen = json.loads(sealed("info", "more.flow", "--json")[0])
    assert seen["further_bytes"] == {"files": 122, "wheels": 132}


def test_a_file_for_a_recipient_goes_all_the_way(prefect):
    """Key pairs, build by public keys alone, info, graph and run by the identity."""
    prefect("keygen", "--signing", "me")
    prefect("keygen", "--recipient", "them")
    build = ["build", "etl.py", "-o", "etl.flow", "--recipient"]
    assert "must be signed" in prefect(*build, "them.pub", status=2)[1]
    recipient = (prefect.directory / "them.pub").read_text().strip()
    for spelled in ("them.pub", recipient):
        prefect(*build, spelled, "--signing-key", "me")
        for command in ("info", "graph", "run"):
            arguments = [command, "etl.flow", "--key-file", "them"]
            prefect(*arguments, "--trusted-signer", "me.pub")
            assert "--trusted-signer" in prefect(*arguments, status=2)[1]
    assert "holds a signer" in prefect(*build, "me.pub", "--signing-key", "me", status=2)[1]
    assert "No such file" in prefect(*build, "nobody.pub", "--signing-key", "me", status=2)[1]


def test_with_a_key_is_shown_who_opens_and_who_has_signed(prefect):
    """As without one; and whose signature was checked."""
    prefect("keygen", "flow.key")
    for name in ("me", "other"):
        prefect("keygen", "--signing", name)
    prefect("build", "etl.py", "--key-file", "flow.key", "--signing-key", "me")
    outline, _ = prefect("info", "etl.flow")
    holder = next(line for line in outline.splitlines() if "opens for" in line).split()[2]
    for trusted, told in ([], "not checked"), (["--trusted-signer", "me.pub"], "trusted"):
        out, _ = prefect("info", "etl.flow", "--key-file", "flow.key", *trusted)
        facts = {line[:14].strip(): line[14:].strip() for line in out.splitlines()}
        assert facts["opens for"].startswith(holder)
        assert facts["signed by"].endswith(f"({told})")


def test_keys_can_come_through_pipes(sealed):
    """A key that a secret store writes into a pipe is read once, and never lies on a disk."""
    for command in ("info", "graph", "verify", "run"):
        done = subprocess.run(
            f"cat flow.key | '{sys.executable}' -m prefect {command} etl.flow --key-file /dev/stdin",
            cwd=sealed.directory, shell=True, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


def test_what_is_locked_can_be_installed_by_hash(prefect):
    """As lines for pip and uv; where nothing is locked, that is said."""
    (prefect.directory / "f.py").write_text(
        "import iniconfig\nfrom prefect import Flow, task\n@task\ndef t():\n    return iniconfig.__name__\n\n"
        "with Flow('f') as flow:\n    t()\n"
    )
    prefect("keygen", "flow.key")
    prefect("build", "f.py", "--key-file", "flow.key")
    out, _ = prefect("info", "f.flow", "--key-file", "flow.key", "--requirements")
    assert out.startswith("iniconfig==")
    assert "--hash=sha256:" in out
    prefect("info", "f.flow", "--key-file", "flow.key", "--requirements", "--json", status=2)
    prefect("build", "etl.py", "--key-file", "flow.key")
    _, err = prefect("info", "etl.flow", "--key-file", "flow.key", "--requirements", status=2)
    assert "nothing that is locked" in err
