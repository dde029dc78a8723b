"""Batch scripts of Slurm, which run the image by Apptainer."""

from __future__ import annotations

import shlex
from decimal import ROUND_CEILING, Decimal

from prefect.images.deploying.job import TMP, Job, Part
from prefect.images.deploying.retrying import RETRY_SECONDS
from prefect.images.deploying.telling import described
from prefect.running.stopping import BAD_INPUT, FLOW_FAILED
from prefect.secrets.secret import DEFAULT_DIRECTORY

_WARNED_SECONDS = 60  # before the time limit
_MEBI = 1 << 20

_SECRETS = f"""\
for name in {{names}}; do
  file=$secrets/$name
  if [ ! -f "$file" ]; then
    echo "Error: The secret $name has no value here: put it into the file $file, of mode 600" >&2
    exit {BAD_INPUT}
  fi
  case $(stat --dereference --format=%a "$file") in
    400 | 600) ;;
    *) echo "Error: Others may read the secret $name: chmod 600 $file" >&2; exit {BAD_INPUT} ;;
  esac
  options+=(--bind "$file:{DEFAULT_DIRECTORY}/$name:ro")
done
"""
_RUNNING = f"""\
# A signal goes on to the flow, which has time to unwind; nothing is tried again after it.
child= stopped=
trap 'stopped=1; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null || true' TERM INT
attempt() {{{{
  {{command}} &
  child=$!
  status=0
  wait "$child" || status=$?
  while kill -0 "$child" 2>/dev/null; do status=0; wait "$child" || status=$?; done
  child=
}}}}

retries={{retries}}
attempt
# Only a flow that failed is tried again: bad input stays bad.
while [ "$status" -eq {FLOW_FAILED} ] && [ "$retries" -gt 0 ] && [ -z "$stopped" ]; do
  retries=$((retries - 1))
  sleep "${{{{RETRY_SECONDS:-{RETRY_SECONDS}}}}}"
  [ -n "$stopped" ] || attempt
done
exit "$status"
"""


def slurm(job: Job) -> tuple[Part, ...]:
    """Return a script for `sbatch`.

    Raises:
        ValueError: it cannot be said to Slurm or to Apptainer.
    """
    lines = [
        "#!/bin/bash",
        *(f"# {line}" for line in _comments(job)),
        *(f"#SBATCH {option}" for option in _directives(job)),
        "set -euo pipefail",
        "",
        f"image=${{PREFECT_IMAGE:-docker://{job.image}}}",
        f'work=$(mktemp --directory "${{TMPDIR:-{TMP}}}/{job.name}.XXXXXX")',
        "trap 'rm -rf -- \"$work\"' EXIT",
        "",
        'options=(--no-eval --containall --workdir "$work")',
    ]
    if job.gpus:
        lines.append("options+=(--nv)")
    if job.writable:
        lines.append("options+=(--writable-tmpfs)")
    lines += [f"options+=(--bind {_bound(one.source, one)})" for one in job.volumes]
    # Its own option for variables splits them at commas.
    lines += [
        f"export APPTAINERENV_{name}={shlex.quote(value)}" for name, value in job.variables.items()
    ]
    if job.secrets:
        where = '"$HOME"/.config/prefect/secrets/' + job.name
        if job.secret_name is not None:
            where = shlex.quote(_path(job.secret_name.rstrip("/")))
        lines += ["", f"secrets={where}", _SECRETS.format(names=" ".join(job.secrets)).rstrip()]
    command = 'apptainer run "${options[@]}" "$image" ' + shlex.join(job.arguments)
    lines += ["", _RUNNING.format(command=command, retries=job.retries)]
    return (Part(".sbatch", "\n".join(lines)),)


def _comments(job: Job) -> list[str]:
    lines = described(job)
    lines.append("submit it: sbatch FILE; the exit status of the job is the flow's")
    lines.append(
        f"where nodes reach no registry: apptainer pull {job.name}.sif docker://{job.image}"
    )
    lines.append(f"  and PREFECT_IMAGE=$PWD/{job.name}.sif sbatch FILE")
    return lines


def _directives(job: Job) -> list[str]:
    options = [f"--job-name={job.name}", "--ntasks=1"]
    if job.cpus is not None:
        if job.cpus != job.cpus.to_integral():
            whole = job.cpus.to_integral(rounding=ROUND_CEILING)
            raise ValueError(
                f"Slurm gives whole processors, not {job.cpus}: write --cpus {whole}, for example"
            )
        options.append(f"--cpus-per-task={job.cpus}")
    if job.memory is not None:
        count = (Decimal(job.memory) / _MEBI).to_integral(rounding=ROUND_CEILING)
        options.append(f"--mem={count}M")
    if job.gpus:
        options.append(f"--gres=gpu:{job.gpus}")
    if job.time_limit is not None:
        options.append(f"--time={_time(job.time_limit)}")
    # The flow unwinds before it is killed.
    options.append(f"--signal=B:TERM@{_WARNED_SECONDS}")
    return options


def _time(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    clock = f"{hours:02}:{minutes:02}:{seconds:02}"
    return f"{days}-{clock}" if days else clock


def _bound(source: str, volume: object) -> str:
    if not source.startswith("/"):
        raise ValueError(
            f"Slurm has no volumes by name, such as {source!r}: give a path that its nodes share"
        )
    return shlex.quote(_path(str(volume)))


def _path(text: str) -> str:
    """Return a path that Apptainer takes for one path."""
    if "," in text:
        raise ValueError(f"Apptainer takes {text!r} for several paths, because of its comma")
    return text
