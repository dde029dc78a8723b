"""`prefect.images.deploying.slurm`: bash and Slurm run it, with an Apptainer that tells what it was given."""

import os
import signal
import subprocess
import time

import pytest
from deploying_jobs import IMAGE, full, job, texts, variants
from hypothesis import HealthCheck, given, settings
from slurm_cluster import slurm as running_slurm

from prefect.images.deploying.quantities import Volume, parse_cpus
from prefect.images.deploying.slurm import slurm

# Writes its arguments, the variables for the container and the files that are bound, then ends as told.
APPTAINER = """\
#!/bin/bash
printf '%s\\0' "$@" >"$TOLD/arguments"
env -0 | grep -z '^APPTAINERENV_' >"$TOLD/variables"
echo call >>"$TOLD/calls"
if [ -n "${SLEEPS:-}" ]; then
  trap 'echo unwound >>"$TOLD/calls"; exit 143' TERM
  echo ready >"$TOLD/ready"
  while :; do sleep 0.02; done
fi
exit "$(echo ${STATUSES:-0} | cut -d' ' -f"$(wc -l <"$TOLD/calls")")"
"""


def text_of(job_):
    (part,) = slurm(job_)
    assert part.ending == ".sbatch"
    return part.text


class Batch:
    """Runs scripts as `sbatch` does: bash, with directories of its own."""

    def __init__(self, directory) -> None:
        self.directory = directory
        for name in ("bin", "told", "home", "tmp"):
            (directory / name).mkdir()
        (directory / "bin" / "apptainer").write_text(APPTAINER)
        (directory / "bin" / "apptainer").chmod(0o755)
        self.secrets = directory / "home/.config/prefect/secrets/etl"

    def start(self, job_, **environment):
        (self.directory / "told/calls").unlink(missing_ok=True)
        script = self.directory / "etl.sbatch"
        script.write_text(text_of(job_))
        return subprocess.Popen(
            ["bash", script],
            env={
                "PATH": f"{self.directory}/bin:/usr/bin:/bin", "HOME": f"{self.directory}/home",
                "TMPDIR": f"{self.directory}/tmp", "TOLD": f"{self.directory}/told",
                "RETRY_SECONDS": "0", **environment,
            },
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __call__(self, job_, **environment):
        process = self.start(job_, **environment)
        _, err = process.communicate(timeout=60)
        assert list((self.directory / "tmp").iterdir()) == []
        return process.returncode, err

    def told(self, what):
        return (self.directory / "told" / what).read_bytes().decode().split("\0")[:-1]

    def calls(self):
        return (self.directory / "told/calls").read_text().split()


@pytest.fixture
def batch(tmp_path):
    """Runs the script of a job; returns its exit status and what it writes to standard error."""
    return Batch(tmp_path)


@pytest.mark.parametrize("what", variants())
def test_every_form_is_bash(what):
    """`bash -n` has nothing to say, and Slurm's options stand before the first command."""
    text = text_of(variants()[what])
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    head, commands = text.split("set -euo pipefail\n")
    assert text.startswith("#!/bin/bash\n")
    assert all(line.startswith("#") for line in head.splitlines())
    assert "#SBATCH" not in commands


def test_slurm_is_asked_for_resources():
    """In its own units and words."""
    lines = text_of(full(time_limit=2 * 86400 + 90)).splitlines()
    assert {
        "#SBATCH --job-name=etl", "#SBATCH --cpus-per-task=2", "#SBATCH --mem=1536M",
        "#SBATCH --gres=gpu:2", "#SBATCH --time=2-00:01:30",
    } <= {*lines}  # fmt: skip
    assert "#SBATCH --time=00:01:30" in text_of(job(time_limit=90))
    with pytest.raises(ValueError, match="--cpus 2"):
        slurm(job(cpus=parse_cpus("1.5")))


def test_apptainer_runs_the_image_by_its_digest(batch):
    """With nothing of the machine's but what is named."""
    assert batch(job(gpus=1, volumes=(Volume("/data", "/mnt", read_only=True),))) == (0, "")
    first, *options, image, run = batch.told("arguments")
    assert (first, image, run) == ("run", f"docker://{IMAGE}", "run")
    assert {"--no-eval", "--containall", "--nv"} <= {*options}
    assert options[options.index("--bind") + 1] == "/data:/mnt:ro"
    assert batch(job(), PREFECT_IMAGE="etl.sif")[0] == 0
    assert "etl.sif" in batch.told("arguments")


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None
)
@given(texts, texts)
def test_a_program_gets_every_text_as_it_is(batch, argument, value):
    """No shell changes an argument or the value of a variable."""
    assert batch(job(arguments=("run", argument), variables={"V": value})) == (0, "")
    assert batch.told("arguments")[-2:] == ["run", argument]
    assert batch.told("variables") == [f"APPTAINERENV_V={value}"]


@pytest.mark.parametrize(
    ("statuses", "calls", "status"),
    [("0", 1, 0), ("1 0", 2, 0), ("2", 1, 2), ("1 1 1 1", 3, 1), ("1 137", 2, 137)],
)
def test_the_jobs_status_is_the_flows(batch, statuses, calls, status):
    """A failed flow is tried again, and bad input is not."""
    assert batch(job(retries=2), STATUSES=statuses) == (status, "")
    assert len(batch.calls()) == calls


def test_a_signal_reaches_the_flow_which_unwinds(batch):
    """And nothing is tried again, or left behind."""
    process = batch.start(job(retries=2), SLEEPS="1")
    deadline = time.monotonic() + 60
    while not (batch.directory / "told/ready").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
    assert batch.calls() == ["call", "unwound"]
    assert list((batch.directory / "tmp").iterdir()) == []


def test_a_job_that_is_stopped_between_two_tries_ends(batch):
    """With the status of the try that failed."""
    waits = batch.directory / "bin" / "sleep"
    waits.write_text(
        '#!/bin/sh\n>"$TOLD/ready"\nwhile [ ! -e "$TOLD/go" ]; do /bin/sleep 0.02; done\n'
    )
    waits.chmod(0o755)
    process = batch.start(job(retries=2), STATUSES="1 0")
    deadline = time.monotonic() + 60
    while not (batch.directory / "told/ready").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    (batch.directory / "told/go").touch()
    process.communicate(timeout=60)
    assert process.returncode == 1
    assert batch.calls() == ["call"]


def test_secrets_are_bound_from_files_that_nobody_else_reads(batch):
    """One that is missing, or that others may read, is an error before anything starts."""
    made = job(secrets=("DB_PASSWORD", "OTHER"))
    status, err = batch(made)
    assert status == 2
    assert f"The secret DB_PASSWORD has no value here: put it into the file {batch.secrets}" in err
    batch.secrets.mkdir(parents=True)
    for name, mode in (("DB_PASSWORD", 0o600), ("OTHER", 0o644)):
        (batch.secrets / name).write_text("value")
        (batch.secrets / name).chmod(mode)
    status, err = batch(made)
    assert status == 2
    assert "Others may read the secret OTHER" in err
    (batch.secrets / "OTHER").chmod(0o400)
    assert batch(made) == (0, "")
    assert f"{batch.secrets}/OTHER:/run/secrets/OTHER:ro" in batch.told("arguments")


def test_a_directory_of_secrets_may_be_named(batch):
    """Whatever it is called, but for a comma, which Apptainer would split."""
    place = batch.directory / "a 'place' $HOME"
    place.mkdir()
    (place / "A").write_text("value")
    (place / "A").chmod(0o600)
    assert batch(job(secrets=("A",), secret_name=os.fspath(place))) == (0, "")
    assert f"{place}/A:/run/secrets/A:ro" in batch.told("arguments")
    with pytest.raises(ValueError, match="comma"):
        slurm(job(secrets=("A",), secret_name="/a,b"))
    with pytest.raises(ValueError, match="no volumes by name"):
        slurm(job(volumes=(Volume("cache", "/cache"),)))


@pytest.fixture(scope="module")
def cluster():
    """A Slurm of one node."""
    with running_slurm() as cluster:
        yield cluster


class Submitted(Batch):
    """Submits them to Slurm, and waits for their end."""

    def start(self, job_, **environment):
        script = self.directory / "etl.sbatch"
        script.write_text(text_of(job_))
        return subprocess.Popen(
            ["sbatch", "--wait", "--parsable", f"--output={self.directory}/out", script],
            env=os.environ | {
                "PATH": f"{self.directory}/bin:{os.environ['PATH']}", "HOME": f"{self.directory}/home",
                "TMPDIR": f"{self.directory}/tmp", "TOLD": f"{self.directory}/told",
                "RETRY_SECONDS": "0", **environment,
            },
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip


@pytest.mark.services
def test_slurm_takes_the_script_and_tells_the_flows_status(cluster, tmp_path):
    """With the resources that it asks for, and the retries of a flow that failed."""
    submitted = Submitted(tmp_path)
    made = job(cpus=parse_cpus("2"), memory=1536 << 20, time_limit=600, retries=2)
    assert submitted(made, STATUSES="1 0") == (0, "")
    assert len(submitted.calls()) == 2
    (tmp_path / "told/calls").unlink()
    assert submitted(made, STATUSES="2")[0] == 2
    assert submitted.calls() == ["call"]


@pytest.mark.services
def test_a_job_that_slurm_cancels_unwinds(cluster, tmp_path):
    """The flow gets a signal, the script cleans up after it."""
    submitted = Submitted(tmp_path)
    process = submitted.start(job(retries=2), SLEEPS="1")
    number = process.stdout.readline().strip()
    deadline = time.monotonic() + 60
    while not (tmp_path / "told/ready").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    cluster.run("scancel", number)
    process.communicate(timeout=60)
    assert process.returncode == 143
    # Slurm's signal comes to the flow itself, and the script's to it again.
    assert submitted.calls() in (["call", "unwound"], ["call", "unwound", "unwound"])
    assert list((tmp_path / "tmp").iterdir()) == []
