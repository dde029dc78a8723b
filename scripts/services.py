"""Bring up what the tests need: a Docker Engine, a registry, a Python base image, other programs.

    up      start what is not running and write .services/env, to be sourced by a shell
    status  say what runs; the exit status is 0 if all of it does
    down    stop everything and remove .services

An engine that the machine already runs is left alone; one that DOCKER_HOST names is used instead
of an own one. PREFECT_SERVICES_DIR names another directory than .services.

`up` also repairs what a crash or a reboot has left behind. No pid file is trusted: daemons are
found in /proc by the path of their configuration. The engine lives in a process and a mount
namespace of its own, so that its containers and mounts never outlive it.
"""

from __future__ import annotations

import argparse
import contextlib
import email.utils
import fcntl
import functools
import hashlib
import http.client
import ipaddress
import json
import os
import platform
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable  # noqa: TC003
from pathlib import Path
from typing import IO
from urllib.parse import urlencode, urlsplit

CHECKOUT = Path(__file__).resolve().parent.parent
STATE = Path(os.environ.get("PREFECT_SERVICES_DIR") or CHECKOUT / ".services").resolve()
NAME = "pf" + hashlib.sha256(os.fsencode(STATE)).hexdigest()[:8]  # of the bridge and the cgroup
# A socket's path has at most 107 bytes, of which the engine needs 40 below this directory.
RUN = STATE / "run" if re.fullmatch(r"[\w./-]{1,60}", str(STATE), re.ASCII) else Path("/run", NAME)
OWN_HOST = f"unix://{RUN}/docker.sock"
MARK = STATE / "made-by-services.py"  # `down` removes no other directory
ENGINE_CONFIG, REGISTRY_CONFIG = STATE / "dockerd.json", STATE / "registry.json"
BLOCK, ADDRESS = r'"fixed-cidr": "(.+?)"', r'"addr": "(.+?)"'  # what to remember of these
# Whatever runs in these namespaces ends with them, and so do its mounts. The shell is their init.
UNSHARE = ["unshare", "-mpf", "--propagation=slave", "--kill-child", "--mount-proc", "sh", "-c"]
# Without sight of the machine's containerd, dockerd starts one of its own. Beware of --bridge=none
# and of --default-address-pool: with either, dockerd deletes the docker0 of another engine.
ENGINE = f"""for dir in /run/containerd /run/docker; do
    mkdir -p $dir && mount -t tmpfs none $dir || exit
done
dockerd --config-file="$0" --data-root="$1" --host={OWN_HOST} --exec-root={RUN}/exec \\
    --bridge={NAME} --cgroup-parent=/{NAME} --exec-opt=native.cgroupdriver=cgroupfs \\
    --iptables=false --ip6tables=false --ip-masq=false --ip-forward=false --ip=127.0.0.1 \\
    --pidfile={RUN}/pid --log-level=warn
exit $?"""
# Proxies and the like are apt's business here, and not to be found in the image.
BUILD = r"""cd "$0" && apt-config dump >all && grep -E '^Acquire::(https?|Check|Force|Retries)' all >apt.conf
mmdebstrap --variant=minbase --include=python3,python3-venv,ca-certificates --aptopt="$0/apt.conf" \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --customize-hook='copy-in /usr/local/share/ca-certificates /usr/local/share' \
    --customize-hook='chroot "$1" update-ca-certificates' \
    --customize-hook='upload /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt' \
    --customize-hook='printf "[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n" >"$1/etc/pip.conf"' \
    --customize-hook='chroot "$1" python3 -c "import sys; print(sys.version)" >"$1/version"' \
    --customize-hook='download /version version' --customize-hook='rm "$1/version"' \
    --customize-hook='cd "$1/etc" && rm -f hostname resolv.conf apt/apt.conf.d/99mmdebstrap' "$@"
exit $?"""
# The packages' programs come first, and settings for other engines must not reach ours.
PATH = "/usr/sbin:/usr/bin:/sbin:/bin:" + os.environ.get("PATH", "")
FOREIGN = ("DOCKER_", "CONTAINERD_", "REGISTRY_", "NOTIFY_SOCKET", "LISTEN_")
ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
ENVIRON |= {"PATH": PATH, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
ADVICE = """Other ways: set DOCKER_HOST to an engine that runs, or unset it; with it, set PREFECT_TEST_REGISTRY
and PREFECT_TEST_IMAGE to a registry and a Python image in it, to have these used as they are;
or leave the tests that need an engine out: make test SERVICE_TESTS=0"""

say = functools.partial(print, file=sys.stderr, flush=True)


def run(*command: str, **environment: str) -> str:
    """Run a command to its end and return what it prints."""
    null, environ = subprocess.DEVNULL, ENVIRON | environment
    done = subprocess.run(command, check=False, stdin=null, capture_output=True, env=environ)
    if done.returncode:
        cause = done.stderr.decode(errors="replace").strip().splitlines()[-12:]
        raise RuntimeError("\n  ".join([f"{shlex.join(command)} failed:", *cause]))
    return done.stdout.decode()


def wait(ready: Callable[[], bool], seconds: float) -> bool:
    """Poll until ready; tell whether that was in time."""
    deadline = time.monotonic() + seconds
    while not (good := ready()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return good


def call(address: str, path: str, method: str = "GET", body: IO[bytes] | None = None) -> str:
    """Make one request to an engine or a registry; every answer but success is an error."""
    url, timeout = urlsplit(address), 30 if method == "GET" else 300
    if url.scheme not in {"unix", "tcp", "http"}:
        raise RuntimeError(f"{address}: only unix:// and tcp:// addresses are understood")
    link = http.client.HTTPConnection(
        url.hostname or "localhost", url.port or 2375, timeout=timeout
    )
    try:
        if url.scheme == "tcp" and os.environ.get("DOCKER_TLS_VERIFY"):
            keys = Path(os.environ.get("DOCKER_CERT_PATH") or Path.home() / ".docker")
            tls = ssl.create_default_context(cafile=keys / "ca.pem")
            tls.load_cert_chain(keys / "cert.pem", keys / "key.pem")
            link = http.client.HTTPSConnection(link.host, link.port, timeout=timeout, context=tls)
        elif url.scheme == "unix":
            link.sock = socket.socket(socket.AF_UNIX)
            link.sock.settimeout(timeout)
            link.sock.connect(url.path)
        link.request(method, path, body, {"X-Registry-Auth": "e30="})
        reply = link.getresponse()
        text = reply.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise RuntimeError(f"{address} does not answer: {error}") from error
    finally:
        link.close()
    if reply.status >= http.client.BAD_REQUEST or '"errorDetail"' in text:
        raise RuntimeError(f"{address}: {method} {path}: {reply.status} {text[-400:].strip()}")
    return text


def answers(address: str, path: str) -> bool:
    """Tell whether a request succeeds."""
    with contextlib.suppress(RuntimeError):
        return bool(call(address, path))
    return False


def processes(program: str, config: Path) -> list[int]:
    """Find the processes of a program that were given a configuration of ours."""
    found, given = [], {f"{config}", f"--config-file={config}"}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # ended meanwhile, or another user's
            name, *words = (entry / "cmdline").read_text(errors="surrogateescape").split("\0")
            # A container may run the same from the same path, and that is not ours.
            here = (entry / "ns/net").readlink() == Path("/proc/self/ns/net").readlink()
            if here and Path(name).name == program and given.intersection(words):
                found.append(int(entry.name))
    return found


def terminate(program: str, config: Path) -> None:
    """End a daemon, politely at first."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in processes(program, config):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if wait(lambda: not processes(program, config), 20):
            return
    raise RuntimeError(f"{program} does not end: process {processes(program, config)}")


def start(name: str, command: list[str], ready: Callable[[], bool]) -> None:
    """Start a daemon that outlives this process and holds nothing of its caller open."""
    log, nul = STATE / f"{name}.log", subprocess.DEVNULL
    with log.open("ab") as out:
        daemon = subprocess.Popen(
            command, stdin=nul, stdout=out, stderr=out, cwd="/", env=ENVIRON, start_new_session=True
        )
    if not wait(lambda: daemon.poll() is not None or ready(), 60) or daemon.poll() is not None:
        cause = f"{name} did not start (exit status {daemon.poll()}); the end of {log}:"
        daemon.kill()
        raise RuntimeError("\n  ".join([cause, *log.read_text().splitlines()[-12:]]))


def require(*programs: str) -> None:
    """Install the Debian packages of the programs that are missing."""
    names = {
        "dockerd": "docker.io",
        "ip": "iproute2",
        "bwrap": "bubblewrap",
        "busybox": "busybox-static",
        "dot": "graphviz",
        "update-ca-certificates": "ca-certificates",
        "systemd-analyze": "systemd",
        "munged": "munge",
        "sbatch": "slurm-client",
    }
    places = f"{PATH}:/usr/lib/podman"  # where podman's helpers are
    packages = [names.get(each, each) for each in programs if not shutil.which(each, path=places)]
    if not packages:
        return
    if not shutil.which("apt-get", path=PATH) or os.geteuid() != 0:
        raise RuntimeError(f"missing: {', '.join(packages)}. Run as root on Debian, or install it.")
    say(f"packages: installing {' '.join(packages)}...")
    install = ["apt-get", "install", "-y", "--no-install-recommends", "--no-remove", *packages]
    # No system service may be started, now or at the next boot: who starts one asks this policy.
    policy, ours = Path("/usr/sbin/policy-rc.d"), "#!/bin/sh\n# of scripts/services.py\nexit 101\n"
    saved, units = policy.with_suffix(".saved"), Path("/lib/systemd/system")
    services = ["containerd.service", "docker.service", "docker.socket", "docker-registry.service"]
    services += ["podman.service", "podman.socket", "podman-restart.service"]
    services += ["podman-auto-update.service", "podman-auto-update.timer"]
    machine = os.open("/var/lib/dpkg", os.O_RDONLY)
    fcntl.flock(machine, fcntl.LOCK_EX)  # another checkout may be installing
    absent = [units / name for name in services if not (units / name).exists()]
    if policy.exists() and policy.read_text() != ours:  # ours: of a run that was killed
        policy.rename(saved)
    try:
        policy.write_text(ours)
        policy.chmod(0o755)
        try:
            run(*install, NEEDRESTART_SUSPEND="1")
        except RuntimeError:  # the package lists are missing or old
            run("apt-get", "update")
            run(*install, NEEDRESTART_SUSPEND="1")
    finally:
        policy.unlink(missing_ok=True)
        if saved.exists():
            saved.rename(policy)
        added = [unit.name for unit in absent if unit.exists()]
        if added and shutil.which("systemctl", path=PATH):
            run("systemctl", "disable", *added)
        os.close(machine)


def earlier(config: Path, pattern: str) -> str:
    """Find something in a configuration that an earlier run has written, if there was one."""
    with contextlib.suppress(OSError):
        return "".join(re.findall(pattern, config.read_text()))
    return ""


def free_block() -> str:
    """Choose 4096 private addresses that no route of this machine leads to."""
    routes = json.loads(run("ip", "-json", "-4", "route", "show", "table", "all"))
    known = [ipaddress.IPv4Network(each["dst"].replace("default", "0.0.0.0/0")) for each in routes]
    taken = [route for route in known if route.prefixlen > 1]  # a VPN halves the default route
    spaces = map(ipaddress.IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
    blocks = [block for space in spaces for block in space.subnets(new_prefix=20)]
    first = int(NAME.removeprefix("pf"), base=16) % 4096
    for block in blocks[first:] + blocks[:first]:
        if not any(block.overlaps(route) for route in taken):
            return str(block)
    raise RuntimeError("the machine's routes cover every private network: none is left to use")


def start_engine() -> None:
    """Start dockerd with its own containerd and bridge, unless it runs, and let traffic pass."""
    require("dockerd", "containerd", "ip", "iptables")
    if os.geteuid() != 0:
        raise RuntimeError("a Docker Engine of its own needs root")
    block = earlier(ENGINE_CONFIG, BLOCK)
    bridged = NAME in dict(socket.if_nameindex()).values()
    if not (block and bridged and answers(OWN_HOST, "/_ping")):
        say("engine: starting...")
        stop_engine()
        block = free_block()
        run("ip", "link", "add", NAME, "type", "bridge")
        run("ip", "address", "add", block.replace("0/20", "1/20"), "dev", NAME)
        run("ip", "link", "set", NAME, "up")
        route = json.loads(run("ip", "-json", "-4", "route", "show", "default"))
        mtu = Path("/sys/class/net", route[0]["dev"], "mtu").read_text() if route else "1500"
        RUN.mkdir(parents=True, exist_ok=True)
        ENGINE_CONFIG.write_text(json.dumps({"fixed-cidr": block, "mtu": int(mtu)}))
        command = [*UNSHARE, ENGINE, str(ENGINE_CONFIG), f"{STATE}/docker"]
        start("dockerd", command, lambda: answers(OWN_HOST, "/_ping"))
    mark = f"-m comment --comment {NAME} -j"
    for rule in (
        f"filter FORWARD -s {block} {mark} ACCEPT",
        f"filter FORWARD -d {block} -m conntrack --ctstate RELATED,ESTABLISHED {mark} ACCEPT",
        f"nat POSTROUTING -s {block} ! -d {block} {mark} MASQUERADE",
    ):
        table, *rest = rule.split()
        try:
            run("iptables", "-w", "-t", table, "-C", *rest)
        except RuntimeError:
            run("iptables", "-w", "-t", table, "-I", *rest)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def stop_engine() -> None:
    """End the engine and everything of it, whatever state it is in."""
    groups = sorted(Path("/sys/fs/cgroup").glob(f"**/{NAME}/**/"), reverse=True)
    for group in groups:  # a paused container cannot die
        for name, thawed in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
            if (group / name).exists():
                (group / name).write_text(thawed)
    with contextlib.suppress(RuntimeError):  # dockerd by itself gives each container ten seconds
        for container in json.loads(call(OWN_HOST, "/containers/json")):
            call(OWN_HOST, f"/containers/{container['Id']}/kill", "POST")
    terminate("dockerd", ENGINE_CONFIG)
    terminate("unshare", ENGINE_CONFIG)  # and with it all that is in the namespaces
    for group in groups:
        with contextlib.suppress(OSError):
            group.rmdir()
    remove_network()
    shutil.rmtree(RUN, ignore_errors=True)


def remove_network() -> None:
    """Remove the rules, the bridge and the bridges of networks that tests have made."""
    for table, chain in (("filter", "FORWARD"), ("nat", "POSTROUTING")):
        for line in run("iptables", "-w", "-t", table, "-S", chain).splitlines():
            if NAME in (rule := shlex.split(line)):
                run("iptables", "-w", "-t", table, "-D", *rule[1:])
    store = STATE / "docker/network/files/local-kv.db"
    known = store.read_bytes() if store.exists() else b""
    for _, name in socket.if_nameindex():
        if name == NAME or (name.startswith("br-") and name[3:].encode() in known):
            run("ip", "link", "delete", name)


def start_registry() -> str:
    """Start the registry, where it was before if that port is free, and return its address."""
    require("docker-registry")
    address = earlier(REGISTRY_CONFIG, ADDRESS)
    if processes("docker-registry", REGISTRY_CONFIG) and answers(f"http://{address}", "/v2/"):
        return address
    say("registry: starting...")
    terminate("docker-registry", REGISTRY_CONFIG)
    for port in (int(address.rpartition(":")[2] or 0), 0):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)) as probe:
            address = f"127.0.0.1:{probe.getsockname()[1]}"
            break
    log = {"level": "error", "accesslog": {"disabled": True}}
    storage = {"filesystem": {"rootdirectory": f"{STATE}/registry"}, "delete": {"enabled": True}}
    config = {"version": "0.1", "log": log, "storage": storage, "http": {"addr": address}}
    REGISTRY_CONFIG.write_text(json.dumps(config))  # JSON is YAML
    command = ["docker-registry", "serve", str(REGISTRY_CONFIG)]
    start("docker-registry", command, lambda: answers(f"http://{address}", "/v2/"))
    return address


def provide_image(engine: str, registry: str) -> str:
    """Have the base image in the registry and in the engine, and return its name."""
    known, tags = f"http://{registry}", "/v2/python/tags/list"
    found = json.loads(call(known, tags))["tags"] if answers(known, tags) else None
    if tag := next((tag for tag in found or () if tag.endswith("-debian")), ""):
        if engine != OWN_HOST or not answers(engine, f"/images/{registry}/python:{tag}/json"):
            say("base image: pulling...")
            call(engine, f"/images/create?fromImage={registry}/python&tag={tag}", "POST")
    else:
        say("base image: building with mmdebstrap (about 20 s)...")
        tar, tag = build_image()
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        changes = [("changes", f"ENV {path}"), ("changes", 'CMD ["python3"]')]
        target = [("fromSrc", "-"), ("repo", f"{registry}/python"), ("tag", tag)]
        with tar.open("rb") as body:
            call(engine, f"/images/create?{urlencode(target + changes)}", "POST", body)
        call(engine, f"/images/{registry}/python/push?tag={tag}", "POST")
        shutil.rmtree(tar.parent)
    return f"{registry}/python:{tag}"


def build_image() -> tuple[Path, str]:
    """Make the base image's files; return them and a tag with their Python's version."""
    require("mmdebstrap", "update-ca-certificates")
    work = STATE / "build"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    sources = apt_sources()
    lists = "".join(file.read_text() for file in Path("/var/lib/apt/lists").glob("*Release"))
    dates = map(email.utils.parsedate_to_datetime, re.findall(r"(?m)^Date: (.+)", lists))
    environ = {"SOURCE_DATE_EPOCH": f"{max(dates).timestamp():.0f}"}  # younger than any package
    build, suite = ["sh", "-c"], platform.freedesktop_os_release()["VERSION_CODENAME"]
    if os.geteuid() == 0:
        build, environ["TMPDIR"] = UNSHARE, str(work)
    command = ["setpriv", "--pdeathsig=KILL", *build, BUILD, str(work), suite, f"{work}/base.tar"]
    run(*command, *sources, **environ)
    major, minor, *_ = (work / "version").read_text().split(".")
    return work / "base.tar", f"{major}.{minor}-debian"


def apt_sources() -> list[str]:
    """Return those of the host's apt sources that are its distribution's own."""
    host = platform.freedesktop_os_release()
    keyring = Path(f"/usr/share/keyrings/{host['ID']}-archive-keyring.gpg")
    signed = f"[signed-by={keyring}]" if keyring.exists() else ""
    # apt knows origin and code name from the signed lists, once it has them.
    fields = f"$(ORIGIN) $(CODENAME) deb {signed} $(REPO_URI) $(RELEASE) $(COMPONENT)"
    own = rf"(?mi)^{host['ID']} {host.get('VERSION_CODENAME')}\S* (deb .+)"
    query = ("apt-get", "indextargets", "--format", fields, "Created-By: Packages")
    if not (found := re.findall(own, run(*query))):
        run("apt-get", "update")
        found = re.findall(own, run(*query))
    return sorted(set(found))


def up() -> None:
    """Start what is not running and write the env file."""
    if STATE.exists() and any(STATE.iterdir()) and not MARK.exists():
        raise RuntimeError(f"{STATE} holds other things than this script's: choose another")
    STATE.mkdir(exist_ok=True)
    MARK.touch()
    # All but the first read and run images: they have to understand what we write. What runs containers
    # for podman is the engine's runc, since crun refuses machines with both kinds of cgroups.
    require(
        "dot",
        "skopeo",
        "podman",
        "netavark",
        "umoci",
        "bwrap",
        "busybox",
        "systemd-analyze",
        "chromium",
    )
    require(
        "munged", "slurmctld", "slurmd", "sbatch"
    )  # the tests start them, with settings of theirs
    names = ("DOCKER_HOST", "PREFECT_TEST_REGISTRY", "PREFECT_TEST_IMAGE")
    engine, registry, image = (os.environ.get(name, "") for name in names)
    if engine in {"", OWN_HOST}:  # the latter from the env file that the caller has sourced
        engine = OWN_HOST
        start_engine()
    else:
        say(f"engine: using DOCKER_HOST={engine}")
        call(engine, "/_ping")
    if engine == OWN_HOST or registry in {"", earlier(REGISTRY_CONFIG, ADDRESS)} or not image:
        registry = start_registry()
        image = provide_image(engine, registry)
    values = zip(names, map(shlex.quote, (engine, registry, image)), strict=True)
    fresh = STATE / "env.new"
    fresh.write_text("".join(f"export {name}={value}\n" for name, value in values))
    fresh.replace(STATE / "env")
    say(f"ready: . {shlex.quote(f'{STATE}/env')}")


def status() -> None:
    """Say what runs."""
    if not (STATE / "env").exists():
        sys.exit("not up")
    words = shlex.split((STATE / "env").read_text())
    engine, registry, image = (word.partition("=")[2] for word in words[1::2])
    parts = [(f"engine {engine}", engine, "/_ping")]
    if registry == earlier(REGISTRY_CONFIG, ADDRESS):  # else it is the caller's, as is the image
        parts.append((f"registry {registry}", f"http://{registry}", "/v2/"))
        parts.append((f"image {image}", engine, f"/images/{image}/json"))
    states = [answers(address, path) for _, address, path in parts]
    for (part, *_), good in zip(parts, states, strict=True):
        print(f"{part}: {'up' if good else 'DOWN'}")
    sys.exit(not all(states))


def down(*, keep_data: bool) -> None:
    """Stop everything and remove the state directory."""
    say("stopping...")
    terminate("docker-registry", REGISTRY_CONFIG)
    if os.geteuid() == 0 and shutil.which("iptables", path=PATH):
        stop_engine()
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        if (mount := line.split()[1].replace("\\040", " ")).startswith(f"{STATE}/"):
            run("umount", "--lazy", mount)
    data = {"docker", "registry", REGISTRY_CONFIG.name, MARK.name} if keep_data else set()
    for entry in STATE.iterdir() if MARK.exists() else ():
        if entry.name not in data:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    with contextlib.suppress(OSError):  # gone, kept, or a mount
        STATE.rmdir()


def main() -> None:
    """Run the command that the command line names."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("command", choices=("up", "status", "down"))
    parser.add_argument("--keep-data", action="store_true", help="down: keep images and registry")
    options = parser.parse_args()
    os.umask(0o022)
    try:
        if options.command == "status":
            status()
        STATE.parent.mkdir(parents=True, exist_ok=True)
        fcntl.flock(os.open(STATE.parent, os.O_RDONLY), fcntl.LOCK_EX)  # one run at a time
        up() if options.command == "up" else down(keep_data=options.keep_data)
    except (RuntimeError, OSError) as error:
        advice = f"\n{ADVICE}" if options.command == "up" else ""
        sys.exit(f"services: {error}{advice}")


if __name__ == "__main__":
    main()
