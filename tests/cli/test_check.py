"""`prefect check`."""

import json

import pytest


@pytest.fixture
def needy(prefect):
    """A sealed flow that needs a secret and brings a file."""
    prefect("keygen", "flow.key")
    (prefect.directory / "data.csv").write_text("x" * 3000)
    prefect(
        "build",
        "etl.py",
        "--key-file",
        "flow.key",
        "--secret",
        "DB_PASSWORD",
        "--include",
        "data.csv",
    )
    return "etl.flow"


def findings(prefect, *arguments, status=0, **environment):
    """Return what is told as JSON, by what it is about."""
    out, _ = prefect("check", *arguments, "--json", status=status, **environment)
    told = json.loads(out)
    assert told["fits"] == (status == 0)
    return {one["about"]: one for one in told["findings"]}


def test_all_that_is_missing_is_told_at_once(prefect, needy):
    """Each with its fix; what is here is told, too; the value of a secret is not."""
    found = findings(prefect, needy, "--key-file", "flow.key", "--secret", "OTHER", status=2)
    assert found["Python"]["fits"]
    assert found["disk"]["told"].startswith("Its files take 2.9 KiB")
    for name in ("DB_PASSWORD", "OTHER"):
        assert found[f"secret {name}"]["fits"] is False
        assert f"Set the environment variable {name}" in found[f"secret {name}"]["fix"]
    out, _ = prefect("check", needy, "--key-file", "flow.key", DB_PASSWORD="hunter2hunter2")
    assert out.startswith("etl.flow can run here\n")
    assert "hunter2" not in out


def test_a_run_that_refuses_shows_the_same(prefect, needy):
    """In one message: nobody mends one thing to be told of the next."""
    told = findings(prefect, needy, "--key-file", "flow.key", "--secret", "OTHER", status=2)
    _, err = prefect("run", needy, "--key-file", "flow.key", "--secret", "OTHER", status=2)
    for one in told.values():
        if one["fits"] is False:
            assert one["told"] in err
            assert one["fix"] in err


NEEDS = """
from prefect import Flow, Parameter, task

@task
def add(n: int, more):
    return n

with Flow("NAME") as flow:
    add(Parameter("n"), Parameter("more", default=1))
"""


def test_parameters_are_checked_as_a_run_checks_them(prefect):
    """In the same words; those that a flow needs are named where none are given."""
    (prefect.directory / "needs.py").write_text(NEEDS.replace("NAME", "needs"))
    prefect("keygen", "flow.key")
    needs = [prefect.directory / "needs.flow", "--key-file", "flow.key"]
    prefect("build", "needs.py", "--key-file", "flow.key")
    for wrong in (["n=x"], ["more=2"], ["n=1", "-p", "other=2"]):
        found = findings(prefect, *needs, "-p", *wrong, status=2)
        _, err = prefect("run", *needs, "-p", *wrong, status=2)
        assert found["parameters"]["fits"] is False
        assert found["parameters"]["told"] in " ".join(err.split())
    assert findings(prefect, *needs, "-p", "n=3")["parameters"]["fits"]
    without = findings(prefect, *needs)["parameters"]
    assert without["fits"] is None
    assert "It needs n" in without["told"]
    _, err = prefect("check", *needs, "-p", "n", status=2)
    assert "write name=value" in err


def test_a_key_that_does_not_open_is_told(prefect, needy):
    """And what only the key shows is not guessed at."""
    prefect("keygen", "other.key")
    assert list(findings(prefect, needy, "--key-file", "other.key", status=2)) == ["key"]
    assert list(findings(prefect, needy, status=2)) == ["key"]


def test_a_wrong_key_and_an_untrusted_signer_are_two_findings(prefect, needy):
    """Each with the ids that the file names and a fix of its own; a run's error stays one for all."""
    for name in ("me", "other"):
        prefect("keygen", "--signing", name)
    prefect("keygen", "other.key")
    prefect("build", "etl.py", "--key-file", "flow.key", "--signing-key", "me")
    signer = ["--trusted-signer", "other.pub"]
    key = findings(prefect, needy, "--key-file", "other.key", status=2)
    assert "None of the keys here opens it: it opens for the encryption key" in key["key"]["told"]
    untrusted = findings(prefect, needy, "--key-file", "flow.key", *signer, status=2)
    assert list(untrusted) == ["signature"]
    assert "whom you do not trust" in untrusted["signature"]["told"]
    assert "--trusted-signer" in untrusted["signature"]["fix"]
    both = findings(prefect, needy, "--key-file", "other.key", *signer, status=2)
    assert list(both) == ["key", "signature"]


def test_a_changed_payload_is_told(prefect, needy):
    """What a run would refuse, a check does not pass."""
    data = bytearray((prefect.directory / needy).read_bytes())
    data[-400] ^= 1
    (prefect.directory / needy).write_bytes(data)
    found = findings(
        prefect, needy, "--key-file", "flow.key", status=2, DB_PASSWORD="hunter2hunter2"
    )
    assert "its bytes were changed" in found["key"]["told"]


def test_signatures_are_told(prefect, needy):
    """Whose there are; and a policy that they do not meet is refused."""
    prefect("keygen", "--signing", "me")
    run = {"DB_PASSWORD": "hunter2hunter2"}
    unsigned = findings(prefect, needy, "--key-file", "flow.key", **run)
    assert unsigned["signature"]["told"] == "It is signed by nobody"
    findings(
        prefect, needy, "--key-file", "flow.key", "--trusted-signer", "me.pub", status=2, **run
    )
    prefect("sign", needy, "--signing-key", "me")
    findings(prefect, needy, "--key-file", "flow.key", "--trusted-signer", "me.pub", **run)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["etl.py"], "is no artifact"), (["nothing.flow"], "no file nothing.flow"), (["etl.flow", "engine"], "runs here"),
     (["etl.flow", "moon"], "is not one of"), (["image:x", "here"], "in a sandbox or an engine")],
)  # fmt: skip
def test_what_cannot_be_checked_is_said(prefect, needy, arguments, says):
    """Wrong usage is no finding."""
    assert says in prefect("check", *arguments, status=2)[1]


@pytest.mark.services
def test_an_image_is_compared_with_the_container_engine(prefect, base_image, unique):
    """Whether it is there, its platform, its secrets and its key."""
    assert findings(prefect, f"image:{unique}", status=2)["container engine"]["fits"] is False
    prefect("build", "etl.py", "--image", base_image, "--tag", unique, "--secret", "TOKEN")
    found = findings(prefect, f"image:{unique}", status=2)
    assert found["platform"]["fits"]
    assert found["secret TOKEN"]["fits"] is False
    findings(prefect, f"image:{unique}", "engine", TOKEN="some token")
    refused = prefect(
        "check", f"image:{unique}", "engine", DOCKER_HOST="tcp://127.0.0.1:9", status=2
    )[0]
    assert "cannot run in the container engine" in refused


@pytest.mark.services
def test_an_image_that_would_be_pulled_can_run(prefect, base_image, registry, unique):
    """As a run pulls it; one that the registry has not either cannot."""
    name = f"{registry}/{unique}:1"
    prefect("build", "etl.py", "--image", base_image, "--push", name)
    assert "pulls it" in findings(prefect, name, "engine")["container engine"]["told"]
    found = findings(prefect, f"{registry}/{unique}:2", "engine", status=2)
    assert found["container engine"]["fits"] is False


@pytest.mark.services
def test_an_image_is_compared_with_what_sandboxes_need(prefect, base_image):
    """One on disk needs no container engine, which would have to load it first."""
    prefect("build", "etl.py", "--image", base_image, "--export", "image.tar")
    found = findings(prefect, "./image.tar")
    assert found["sandbox"]["fits"]
    assert found["platform"]["fits"]
    told = findings(prefect, "./image.tar", "engine", status=2)["container engine"]["told"]
    assert "docker load" in told


def test_a_sealed_flow_is_compared_with_an_environment(prefect):
    """Its Python, and what is locked; secrets are looked up here as for any place."""
    prefect("keygen", "flow.key")
    prefect("build", "etl.py", "-o", "etl.flow", "--key-file", "flow.key", "--secret", "TOKEN")
    found = findings(prefect, "etl.flow", "venv", "--key-file", "flow.key", TOKEN="some token")
    assert found["Python"]["fits"]
    assert "no packages" in found["requirements"]["told"]
    found = findings(prefect, "etl.flow", "venv", "--key-file", "flow.key", status=2)
    assert found["secret TOKEN"]["fits"] is False
