"""`prefect.images.deploying.systemd`, verified and taken apart by systemd itself."""

import ctypes
import re
import subprocess
from pathlib import Path

import pytest
from deploying_jobs import IMAGE, full, job, texts, variants
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect.images.deploying.quantities import User
from prefect.images.deploying.schedule import parse_schedule
from prefect.images.deploying.systemd import command_line, systemd

pytestmark = pytest.mark.services  # which install systemd

_UNQUOTE, _CUNESCAPE = 1 << 5, 1 << 1  # systemd's ExtractFlags


@pytest.fixture(scope="module")
def words_of():
    """Takes a line apart by the very function that systemd's own parser of units calls."""
    found = sorted(Path("/usr/lib").glob("**/systemd/libsystemd-shared-*.so"))
    if not found:
        pytest.fail("systemd's library is needed: install the package systemd")
    library = ctypes.CDLL(str(found[-1]))

    def words(line):
        rest, word = ctypes.c_char_p(line.encode()), ctypes.c_char_p()
        taken = []
        while True:
            status = library.extract_first_word(
                ctypes.byref(rest), ctypes.byref(word), None, _UNQUOTE | _CUNESCAPE
            )
            assert status >= 0, line
            if status == 0:
                return taken
            taken.append(word.value.decode())

    return words


def run_time(word):
    """Do with a word what systemd does when it starts a service: specifiers, then variables."""
    word = re.sub(r"%(.)", lambda found: "%" if found[1] == "%" else f"<{found[1]}>", word)
    return re.sub(r"\$(\$|\{\w+\})", lambda found: "$" if found[1] == "$" else "<v>", word)


def joined(unit):
    """Return the settings of a unit, as lists by name."""
    settings = {}
    for line in unit.replace("\\\n", " ").splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            settings.setdefault(name, []).append(value)
    return settings


def service(job_):
    return joined(systemd(job_)[0].text)


@pytest.mark.parametrize("engine", ["podman", "docker"])
@pytest.mark.parametrize("what", variants())
def test_every_form_is_verified_by_systemd(what, engine, tmp_path):
    """`systemd-analyze verify` has nothing to say, but of programs that are not installed."""
    made = variants(engine=engine)[what]
    parts = systemd(made)
    for part in parts:
        text = part.text.replace(f"/usr/bin/{engine} ", "/bin/true ").replace(
            "/usr/bin/install", "/bin/true"
        )
        text = re.sub(r"^(Requires|After)=docker.service\n", "", text, flags=re.MULTILINE)
        (tmp_path / f"etl{part.ending}").write_text(text)
    paths = [str(tmp_path / f"etl{part.ending}") for part in parts]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *paths],
        env={"PATH": "/usr/bin:/bin", "SYSTEMD_LOG_LEVEL": "warning"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    told = [line for line in done.stderr.splitlines() if "etl." in line]
    assert told == []
    assert len(parts) == (2 if made.schedule else 1)


@settings(deadline=None)
@given(st.lists(texts, max_size=5))
def test_a_program_gets_every_text_as_it_is(words_of, arguments):
    """Quotes, escapes, specifiers and variables of systemd change no argument."""
    line = command_line(["/bin/x", *arguments]).replace("\\\n", " ")
    assert [run_time(word) for word in words_of(line)] == ["/bin/x", *arguments]
    assert line.isprintable()


def test_the_service_runs_the_container_of_the_image(words_of):
    """By its digest, without privileges, and with what was asked for."""
    made = full(retries=0)
    (line,) = service(made)["ExecStart"]
    words = [run_time(word) for word in words_of(line)]
    assert words[:3] == ["/usr/bin/podman", "run", "--rm"]
    end = words.index(IMAGE)
    assert tuple(words[end + 1 :]) == made.arguments
    options = words[3:end]
    assert {"--read-only", "--tmpfs=/tmp", "--cap-drop=all", "--security-opt=no-new-privileges",
            "--user=1000:2000", "--memory=1536m", "--cpus=2", "--volume=/data:/data:ro",
            "--device=nvidia.com/gpu=1"} <= {*options}  # fmt: skip
    assert [one for one in options if one.startswith("--env=")] == [
        f"--env={name}={value}" for name, value in made.variables.items()
    ]
    (line,) = service(full(engine="docker", retries=0))["ExecStart"]
    assert {"/usr/bin/docker", "--gpus=2"} <= {*words_of(line)}


def test_secrets_are_credentials_that_the_user_alone_reads():
    """Encrypted on disk; for another user than root, copies of them in memory."""
    made = service(job(secrets=("A",)))
    assert made["LoadCredentialEncrypted"] == ["A:/etc/credstore.encrypted/etl.A"]
    assert "--volume=%d:/run/secrets:ro" in made["ExecStart"][0]
    made = service(job(secrets=("A",), user=User(1000, 50), secret_name="/srv/s/"))
    assert made["LoadCredentialEncrypted"] == ["A:/srv/s/etl.A"]
    assert made["RuntimeDirectory"] == ["etl"]
    assert "--volume=%t/etl/secrets:/run/secrets:ro" in made["ExecStart"][0]
    assert "--owner=1000 --group=50 --mode=0400" in made["ExecStartPre"][1]
    for wrong in ("relative", "/a b", "/a\n[Service]"):
        with pytest.raises(ValueError, match="no absolute path"):
            systemd(job(secrets=("A",), secret_name=wrong))


@pytest.mark.parametrize(
    ("statuses", "calls", "status"),
    [([0], 1, 0), ([1, 0], 2, 0), ([2], 1, 2), ([1, 1, 1, 1], 3, 1), ([1, 137], 2, 137)],
)
def test_a_failed_flow_is_tried_again_and_bad_input_is_not(
    words_of, tmp_path, statuses, calls, status
):
    """The exit status of the service is the container's."""
    (line,) = service(job(retries=2))["ExecStart"]
    words = [run_time(word) for word in words_of(line)]
    fake = tmp_path / "podman"
    fake.write_text(
        f"#!/bin/sh\necho call >>{tmp_path}/calls\nn=$(wc -l <{tmp_path}/calls)\n"
        f'exit "$(echo {" ".join(map(str, statuses))} | cut -d" " -f"$n")"\n'
    )
    fake.chmod(0o755)
    words[words.index("/usr/bin/podman")] = str(fake)
    done = subprocess.run(words, env={"PATH": "/usr/bin:/bin", "RETRY_SECONDS": "0"}, check=False)
    assert done.returncode == status
    assert (tmp_path / "calls").read_text().count("call") == calls


def test_a_timer_comes_by_the_schedule():
    """What was missed while the machine was off is made up for."""
    _, timer = systemd(job(schedule=parse_schedule("0 6 1 * 1")))
    made = joined(timer.text)
    assert made["OnCalendar"] == [
        "*-*-01 06:00:00 Etc/UTC", "Mon *-*-* 06:00:00 Etc/UTC",
    ]  # fmt: skip
    assert made["Persistent"] == ["yes"]


def test_the_flows_name_forges_no_setting():
    """It is in one line of a comment and of the description, and continues neither."""
    for name in ("x\n[Service]\nExecStart=/bin/id", "x\\", "%n", "x" * 500):
        made = job(flow=name, schedule=parse_schedule("@daily"))
        for part in systemd(made):
            assert set(joined(part.text)) == set(
                joined(
                    dict(zip("st", systemd(job(schedule=made.schedule)), strict=True))[
                        part.ending[1]
                    ].text
                )
            )
            assert all(
                not line.endswith("\\") for line in part.text.splitlines() if line[:1] in "#D"
            )
