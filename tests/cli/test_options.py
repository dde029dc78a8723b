"""Options of all commands: each one that is given is followed or refused, with every artifact."""

import copy

import click
import pytest
from base_making import layout

from prefect.cli.main import main as group
from prefect.environments import ContainerEnvironment, PickleEnvironment
from prefect.errors import ImageError
from prefect.sealed.keys.encryption import EncryptionKey
from prefect.sealed.keys.recipients import Identity
from prefect.sealed.keys.signers import SigningKey

FOLLOWED = "followed"
IS_SEALED = "is not sealed"
OF_FILES = "sealed flows"
NO_LOOK = "would have to be run"
KEY, SIGNER = ("--key-file", "flow.key"), ("--trusted-signer", "me.pub")
ANOTHERS, STRANGER = ("--key-file", "other.key"), ("--trusted-signer", "stranger.pub")

# For each command that takes an artifact and each option that says what may be trusted or how it is
# run: what comes of it with a file's flow, a signed sealed flow, an image, and a sealed one, on disk.
MATRIX = {
    ("info", *KEY): (NO_LOOK, FOLLOWED, IS_SEALED, FOLLOWED),
    ("info", *ANOTHERS): (NO_LOOK, "cannot be opened", IS_SEALED, "cannot be opened"),
    ("info", *KEY, *SIGNER): (NO_LOOK, FOLLOWED, IS_SEALED, "signed"),
    ("info", *SIGNER): (NO_LOOK, "no key to open", IS_SEALED, "is sealed: give"),
    ("info", *KEY, *STRANGER): (NO_LOOK, "signed", IS_SEALED, "signed"),
    ("graph", *KEY): (OF_FILES, FOLLOWED, IS_SEALED, FOLLOWED),
    ("graph", *KEY, *STRANGER): (OF_FILES, "signed", IS_SEALED, "signed"),
    ("graph", *SIGNER): (OF_FILES, "no key to open", IS_SEALED, "is sealed: give"),
    ("graph", "-o", "x.dot", "--format", "dot"): ("leave --format out",) * 4,
    ("run", *KEY): (OF_FILES, FOLLOWED, "not sealed", None),
    ("run", *KEY, *SIGNER): (OF_FILES, FOLLOWED, OF_FILES, OF_FILES),
    ("run", *KEY, *STRANGER): (OF_FILES, "signed", OF_FILES, OF_FILES),
    ("run", *SIGNER): (OF_FILES, "no key to open", OF_FILES, OF_FILES),
    ("run", "--network", "n"): ("cannot be had", "cannot be had", "network", "is sealed: give"),
    ("verify", *KEY): ("not a sealed flow", FOLLOWED, "not a sealed flow", "not a sealed flow"),
    ("verify", *KEY, *STRANGER): ("", "signed", "", ""),
}


@pytest.fixture
def artifacts(prefect, monkeypatch):
    """A file's flow, a signed sealed flow, an image and a sealed image, with keys of all kinds."""
    directory = prefect.directory
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    layout(directory / "base")
    key, me = PickleEnvironment().encryption_key, SigningKey.generate()
    texts = {
        "flow.key": key,
        "other.key": PickleEnvironment().encryption_key,
        "me": me.encode(),
        "me.pub": me.signer.encode(),
        "stranger.pub": SigningKey.generate().signer.encode(),
        "identity": Identity.generate().encode(),
        "them.pub": Identity.generate().recipient.encode(),
    }
    for name, text in texts.items():
        (directory / name).write_text(text)
    prefect("build", "etl.py", "--key-file", "flow.key", "--signing-key", "me")
    image = ("build", "etl.py", "--image", "./base", "-r", "cloudpickle", "--export")
    prefect(*image, "etl.tar")
    prefect(*image, "sealed.tar", "--key-file", "flow.key")
    return prefect


def test_an_artifact_tells_which_key_it_needs(artifacts):
    """And not to make one, which would open nothing; an image takes no identity."""
    key_id = EncryptionKey((artifacts.directory / "flow.key").read_text()).id
    says = f"the encryption key {key_id}"
    for command in ("info", "graph", "run", "verify"):
        arguments = ("--trusted-signer", "me.pub") if command == "info" else ()
        err = artifacts(command, "etl.flow", *arguments, status=2)[1]
        assert f"There is no key to open etl.flow with. It opens for {says}" in err
        assert "keygen" not in err
    err = artifacts("rewrap", "etl.flow", "--to-key-file", "other.key", status=2)[1]
    assert says in err
    assert says in artifacts("graph", "sealed.tar", status=2)[1]
    err = artifacts("info", "sealed.tar", "--key-file", "identity", status=2)[1]
    assert says in err
    assert "An identity opens the files of sealed flows alone" in err
    err = artifacts("info", "sealed.tar", *ANOTHERS, "--key-file", "identity", status=2)[1]
    assert "cannot be opened" in err


def test_a_policy_is_followed_or_refused(artifacts):
    """With every command and every kind of artifact, a given key or signer is never ignored."""
    for (command, *options), outcomes in MATRIX.items():
        names = ("etl.py", "etl.flow", "etl.tar", "sealed.tar")
        for name, outcome in zip(names, outcomes, strict=True):
            if outcome is None:
                continue
            status = 0 if outcome == FOLLOWED else 2
            out, err = artifacts(command, name, *options, status=status)
            if status:
                assert outcome in err, (command, name, options, err)
                assert "loaded" not in out, (command, name, options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--tag", "etl:1"], "--image"),
        (["--image", "./base", "--tag", "etl:1", "--push", "localhost:1/etl"], "--push says"),
        (["--image", "./base", "--tag", "etl:1", "--dockerfile", "x"], "--tag names an image"),
        (["--image", "./base", "--network", "host"], "--setup"),
        (["--key-file", "flow.key", "--verbose"], "an image's build"),
        (["--key-file", "flow.key", "--push", "t/x"], "for images"),
        (["--key-file", "flow.key", "--key-file", "other.key"], "given twice"),
        (["-o", "a.flow", "--output", "b.flow"], "given twice"),
        (["--key-file", "identity", "--recipient", "them.pub", "--signing-key", "me"], "--recipient"),
        (["--image", "./base", "--signing-key", "me"], "not for images"),
    ],
)  # fmt: skip
def test_what_a_build_would_leave_out_is_refused(artifacts, options, says):
    """Each option of `build` that another one makes void is named, and nothing is written."""
    (artifacts.directory / "etl.flow").unlink()
    before = sorted(path.name for path in artifacts.directory.iterdir())
    assert says in artifacts("build", "etl.py", *options, status=2)[1]
    assert sorted(path.name for path in artifacts.directory.iterdir()) == before


@pytest.mark.parametrize("argument", ["signing_key", "recipients"])
def test_what_the_flows_own_environment_asks_for_is_not_dropped(artifacts, argument):
    """A flow whose PickleEnvironment signs or has recipients is not sealed without them."""
    (artifacts.directory / "own.py").write_text(
        "from pathlib import Path\nfrom prefect import Flow\n"
        "from prefect.environments import PickleEnvironment\n"
        "read = lambda name: Path(name).read_text()\n"
        f"more = dict(recipients=read('them.pub')) if {argument == 'recipients'} else {{}}\n"
        "flow = Flow('own', environment=PickleEnvironment(signing_key=read('me'), **more))\n"
    )
    build = ("build", "own.py", "--key-file", "flow.key")
    option = ("--signing-key", "me")
    assert "--signing-key" in artifacts(*build, status=2)[1]
    if argument == "recipients":
        assert "--recipient" in artifacts(*build, *option, status=2)[1]
        option += ("--recipient", "them.pub")
    artifacts(*build, *option)


@pytest.mark.services
def test_an_image_in_an_engine_keeps_the_same_policies(sealed, daemon, base_image, unique):
    """What is not sealed is neither run nor looked into where a key or a signer is given."""
    sealed("keygen", "--signing", "me")
    sealed("keygen", "other.key")
    build = ("build", "etl.py", "--image", base_image, "-r", "cloudpickle", "--tag")
    sealed(*build, f"{unique}:plain")
    sealed(*build, f"{unique}:sealed", *KEY)
    for command, options, says in (
        ("run", KEY, IS_SEALED),
        ("run", SIGNER, "by its digest"),
        ("info", KEY, IS_SEALED),
        ("info", SIGNER, IS_SEALED),
        ("graph", SIGNER, IS_SEALED),
    ):
        out, err = sealed(command, f"{unique}:plain", *options, status=2)
        assert (says in err, out) == (True, ""), (command, options, err)
    key = (sealed.directory / "flow.key").read_text().strip()
    environment = ContainerEnvironment(base_image, f"{unique}:plain", encryption_key=key)
    for at in (environment, copy.copy(environment)):  # which has lost its key, and not its policy
        for look in (at.info, at.run):
            with pytest.raises(ImageError, match=IS_SEALED):
                look()
    # A variable may be there for others, and is no policy.
    assert "loaded" in sealed("run", f"{unique}:plain", PREFECT_ENCRYPTION_KEY=key)[0]
    assert "loaded" in sealed("run", f"{unique}:sealed", *KEY)[0]
    assert "cannot be opened" in sealed("run", f"{unique}:sealed", *ANOTHERS, status=2)[1]
    assert "signed" in sealed("info", f"{unique}:sealed", *KEY, *SIGNER, status=2)[1]


@pytest.mark.services
def test_an_image_is_never_meant_by_chance(prefect, daemon, base_image, unique):
    """Where a file is missing, no image of its name runs: the error says how to write each."""
    prefect("build", "etl.py", "--image", base_image, "-r", "cloudpickle", "--tag", unique)
    for command in ("run", "info", "graph"):
        out, err = prefect(command, unique, status=2)
        assert f"There is no file {unique}. If {unique} is an image, write image:{unique}" in err
        assert out == ""
    assert "loaded" in prefect("run", f"image:{unique}")[0]
    (prefect.directory / f"{unique}:2").write_text("no image")
    err = prefect("run", f"{unique}:2", status=2)[1]
    assert f"no image {unique}:2" in err
    assert f"write file:{unique}:2" in err


def test_an_option_that_counts_once_is_given_once():
    """Every option of every command refuses a second value, unless its help says otherwise."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        for option in command.params:
            if isinstance(option, click.Option) and not option.is_flag and not option.multiple:
                with pytest.raises(click.UsageError, match="given twice"):
                    command.parse_args(
                        click.Context(command), ["x", *[option.opts[-1], "text"] * 2]
                    )


def test_an_empty_value_is_refused_and_not_ignored():
    """As a shell gives it for a variable that is not set: of every option and argument."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.is_flag:
                continue
            for value in ("", "  "):
                words = [f"{parameter.opts[-1]}={value}"]
                if not isinstance(parameter, click.Option):
                    words = [value]
                elif any(isinstance(each, click.Argument) for each in command.params):
                    words.append("bash" if name in {"completion", "help"} else "etl.py")
                with pytest.raises(click.UsageError, match=r"is empty|is not one of"):
                    command.make_context(name, words)


def test_what_holds_no_key_is_named(sealed):
    """With what is needed in its place; a key of another kind is named as such."""
    (sealed.directory / "noise").write_bytes(b"\x00noise")
    for command, option, kind in (
        ("info", "--key-file", "an encryption key or an identity"),
        ("info", "--trusted-signer", "a signer"),
        ("sign", "--signing-key", "a signing key"),
    ):
        key = ("--key-file", "flow.key") if option == "--trusted-signer" else ()
        _, err = sealed(command, "etl.flow", *key, option, "noise", status=2)
        assert f"noise holds no key, and {kind} is needed" in err
    (sealed.directory / "odd").write_text("prefect-signer-nothing")
    assert "odd" in sealed("info", "etl.flow", "--key-file", "odd", status=2)[1]


def test_a_name_that_is_too_long_is_an_error_of_one_line(sealed):
    """No traceback, whichever file it should have been."""
    name = "x" * 300
    for words in (
        ("rewrap", "etl.flow", "--key-file", "flow.key", "--to-key-file", "flow.key", "-o", name),
        ("build", "etl.py", "--key-file", "flow.key", "-o", name),
        ("graph", "etl.py", "-o", f"{name}.txt"),
        ("build", "etl.py", "--image", "base:1", "--export", f"./{name}.tar"),
        ("build", "etl.py", "--image", "base:1", "-r", name),
        ("build", f"{name}.py"),
        ("info", name),
        ("keygen", name),
    ):
        _, err = sealed(*words, status=2, DOCKER_HOST="unix:///nowhere")
        assert err.count("Error: ") == 1
