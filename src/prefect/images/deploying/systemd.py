"""Units of systemd: a service that runs a container, and a timer for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.images.deploying.job import GRACE_SECONDS, TMP, Job, Part
from prefect.images.deploying.quantities import memory_text
from prefect.images.deploying.retrying import RETRYING
from prefect.images.deploying.telling import described, shown
from prefect.patterns import pattern
from prefect.secrets.secret import DEFAULT_DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Iterable

CREDENTIALS = "/etc/credstore.encrypted"
_WORD = pattern(r"[A-Za-z0-9_./:=,@+-]+")
_PATH = pattern(r"/[A-Za-z0-9_./-]*")
_BYTES, _BASIC = 0x80, 0x10000
# What the programs of both engines can do without.
_HARDENING = """\
ProtectSystem=full
ProtectClock=yes
ProtectKernelLogs=yes
LockPersonality=yes
RestrictRealtime=yes
UMask=0077"""
# Docker's is a client of a daemon; podman starts the container itself, to which more would apply.
_OF_CLIENT = """\
NoNewPrivileges=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectHome=read-only
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictNamespaces=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native"""


def systemd(job: Job) -> tuple[Part, ...]:
    """Return a service, and a timer if there is a schedule.

    Raises:
        ValueError: the directory of secrets cannot be named in a unit.
    """
    service = Part(".service", "\n".join(_service(job)) + "\n")
    if job.schedule is None:
        return (service,)
    return service, Part(".timer", "\n".join(_timer(job)) + "\n")


def _service(job: Job) -> list[str]:
    engine = f"/usr/bin/{job.engine}"
    daemon = [f"Requires={job.engine}.service", f"After={job.engine}.service"]
    lines = [
        *(f"# {line}" for line in _comments(job)),
        "[Unit]",
        f"Description=Flow {_specified(shown(job.flow)).rstrip(chr(92))}",
        "Wants=network-online.target",
        "After=network-online.target",
        *(daemon if job.engine == "docker" else ()),
        "",
        "[Service]",
        "Type=oneshot",
        _HARDENING,
        *([_OF_CLIENT] if job.engine == "docker" else ()),
    ]
    lines += [f"LoadCredentialEncrypted={name}:{_file(job, name)}" for name in job.secrets]
    lines += _owned_secrets(job)
    lines.append(f"ExecStartPre=-{engine} rm --force {job.name}")
    lines.append(f"ExecStart={command_line(_command(job, engine))}")
    lines.append(f"ExecStopPost=-{engine} rm --force {job.name}")
    lines.append(f"TimeoutStartSec={job.time_limit or 'infinity'}")
    lines.append(f"TimeoutStopSec={GRACE_SECONDS + 15}")
    return lines


def _comments(job: Job) -> list[str]:
    units = f"{job.name}.service" + (f" {job.name}.timer" if job.schedule else "")
    start = f"enable --now {job.name}.timer" if job.schedule else f"start {job.name}.service"
    lines = [f"{job.name}.service. {described(job)[0]}"]
    if job.secrets:
        lines.append("values of secrets, from files of their names, before the first run:")
        lines += [
            f"  systemd-creds encrypt --name={name} {name} {_file(job, name)}"
            for name in job.secrets
        ]
    lines.append(f"install it: cp {units} /etc/systemd/system && systemctl daemon-reload")
    lines.append(f"run it: systemctl {start}; its exit status: systemctl status {job.name}")
    return lines


def _file(job: Job, name: str) -> str:
    """Return where the encrypted value of a secret is."""
    store = job.secret_name or CREDENTIALS
    if not _PATH.fullmatch(store):
        raise ValueError(
            f"The secrets of a service are in files of a directory, and {store!r} is no absolute path "
            f"of plain characters: write one such as {CREDENTIALS}"
        )
    return f"{store.rstrip('/')}/{job.name}.{name}"


def _owned_secrets(job: Job) -> list[str]:
    """Give copies of credentials, which are root's, to whom the container runs as."""
    if not (job.secrets and job.user.uid):
        return []
    group = job.user.group
    install = f"ExecStartPre=+/usr/bin/install --owner={job.user.uid} --group={group}"
    files = " ".join(f"%d/{name}" for name in job.secrets)
    return [
        f"RuntimeDirectory={job.name}",
        "RuntimeDirectoryMode=0700",
        f"{install} --mode=0500 --directory %t/{job.name}/secrets",
        f"{install} --mode=0400 --target-directory=%t/{job.name}/secrets {files}",
    ]


def _command(job: Job, engine: str) -> list[str]:
    """Return what starts the container."""
    words = [
        engine, "run", "--rm", f"--name={job.name}", "--log-driver=none", "--cap-drop=all",
        "--security-opt=no-new-privileges", f"--stop-timeout={GRACE_SECONDS}",
    ]  # fmt: skip
    if job.user.uid:
        words.append(f"--user={job.user}")
    if not job.writable:
        words.append("--read-only")
    if job.needs_tmp:
        words.append(f"--tmpfs={TMP}")
    if job.secrets:
        where = f"%t/{job.name}/secrets" if job.user.uid else "%d"
        words.append(_Specifier(f"--volume={where}:{DEFAULT_DIRECTORY}:ro"))
    if job.memory is not None:
        words.append(f"--memory={memory_text(job.memory, 'kmg')}")
    if job.cpus is not None:
        words.append(f"--cpus={job.cpus}")
    if job.gpus and job.engine == "docker":
        words.append(f"--gpus={job.gpus}")
    elif job.gpus:
        words += [f"--device=nvidia.com/gpu={number}" for number in range(job.gpus)]
    words += [f"--volume={one}" for one in job.volumes]
    words += [f"--env={name}={value}" for name, value in job.variables.items()]
    words += [job.image, *job.arguments]
    if job.retries:
        words[:0] = ["/bin/sh", "-c", f"retries={job.retries}; {RETRYING}", job.name]
    return words


class _Specifier(str):
    """A word in which systemd is to put something."""

    __slots__ = ()


def _timer(job: Job) -> list[str]:
    assert job.schedule is not None  # noqa: S101 - then there is no timer
    return [
        f"# {job.name}.timer, for {job.name}.service.",
        "[Unit]",
        f"Description=When the flow {_specified(shown(job.flow)).rstrip(chr(92))} runs",
        "",
        "[Timer]",
        *(f"OnCalendar={event}" for event in job.schedule.calendar()),
        "Persistent=yes",
        "",
        "[Install]",
        "WantedBy=timers.target",
    ]


def command_line(words: Iterable[str]) -> str:
    """Return a command as `ExecStart=` takes it, in which nothing but `_Specifier` is replaced."""
    return " \\\n  ".join(
        word if isinstance(word, _Specifier) else quoted(word.replace("$", "$$")) for word in words
    )


def quoted(text: str) -> str:
    """Return a text as one word of a unit file's line."""
    if _WORD.fullmatch(text):
        return text
    return '"' + "".join(map(_character, _specified(text))) + '"'


def _character(char: str) -> str:
    number = ord(char)
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    if number < _BYTES:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < _BASIC else f"\\U{number:08x}"


def _specified(text: str) -> str:
    """Return a text in which systemd finds nothing to put in."""
    return text.replace("%", "%%")
