"""`prefect.images.deploying.compose`, against the published schema and by docker compose itself."""

import json
import os
import subprocess
import sys
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
import yaml
from deploying_jobs import IMAGE, full, job, texts, variants
from hypothesis import given, settings

from prefect.images.deploying.compose import compose
from prefect.images.deploying.quantities import User, Volume

SCHEMA = json.loads(
    (resources.files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json").read_text()
)
PROGRAM = Path(sys.executable).with_name("docker-compose")


def text_of(job_):
    (part,) = compose(job_)
    assert part.ending == ".yaml"
    return part.text


def service(job_):
    file = yaml.safe_load(text_of(job_))
    (one,) = file["services"].values()
    return one


def config(job_, directory, **environment):
    """Return what docker compose makes of the file."""
    path = directory / "compose.yaml"
    path.write_text(text_of(job_))
    done = subprocess.run(
        [PROGRAM, f"--file={path}", "config", "--format=json"],
        env={"PATH": os.environ["PATH"], "HOME": str(directory), **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "level=warning" not in done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("what", variants())
@pytest.mark.parametrize("place", [None, "/etc/secrets"])
def test_every_form_is_valid(what, place, tmp_path):
    """By the schema of the compose specification, and for docker compose."""
    made = variants(secret_name=place)[what]
    jsonschema.validate(yaml.safe_load(text_of(made)), SCHEMA)
    assert config(made, tmp_path)["services"]["flow"]["image"] == IMAGE


def test_the_schema_refuses_what_is_wrong():
    """So that the test above can fail."""
    file = yaml.safe_load(text_of(job()))
    file["services"]["flow"]["comand"] = ["run"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(file, SCHEMA)


def test_docker_compose_reads_every_text_as_it_is(tmp_path):
    """It puts no variable in, in arguments, values of variables, and paths."""
    odd = Volume("/data/$HOME/ä #", "/$x")
    made = full(volumes=(odd,), secret_name="/etc/$HOME")
    read = config(made, tmp_path)
    one = read["services"]["flow"]
    escaped = [word.replace("$", "$$") for word in made.arguments]  # for reading it again
    assert one["command"] == escaped
    assert one["environment"] == {k: v.replace("$", "$$") for k, v in made.variables.items()}
    assert one["volumes"][0]["source"] == odd.source.replace("$", "$$")
    assert read["secrets"]["DB_PASSWORD"]["file"] == "/etc/$$HOME/DB_PASSWORD"


@settings(deadline=None)
@given(texts, texts)
def test_no_text_is_changed_by_the_file(argument, value):
    """But for the dollar sign, which is doubled."""
    made = service(job(arguments=(argument,), variables={"V": value}))
    assert [word.replace("$$", "$") for word in made["command"]] == [argument]
    assert made["environment"]["V"].replace("$$", "$") == value


def test_secrets_come_from_variables_or_from_files():
    """Of a directory, where one is named; only then can compose mount them read-only."""
    made = job(secrets=("A",), user=User(1000, 50))
    file = yaml.safe_load(text_of(made))
    assert file["secrets"] == {"A": {"environment": "A"}}
    assert service(made)["secrets"] == ["A"]
    assert "read_only" not in service(made)
    made = job(secrets=("A",), secret_name="/etc/secrets/")
    assert yaml.safe_load(text_of(made))["secrets"] == {"A": {"file": "/etc/secrets/A"}}
    assert service(made)["read_only"]
    assert service(made)["tmpfs"] == ["/tmp"]


def test_it_has_no_privileges_and_its_resources():
    """As the options say."""
    made = service(full())
    assert made["cap_drop"] == ["ALL"]
    assert made["security_opt"] == ["no-new-privileges:true"]
    assert made["user"] == "1000:2000"
    assert made["restart"] == "on-failure:3"
    assert made["deploy"]["resources"]["limits"] == {"cpus": "2", "memory": "1536m"}
    assert service(job())["restart"] == "no"
