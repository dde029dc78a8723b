"""`prefect.places.sandbox`: flow images in real sandboxes, as overlays and as trees of hard links."""

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import textwrap
import time
import uuid
from pathlib import Path

import pytest
from image_making import image_of, layer_of, tar_of
from processes import await_end, left_behind

from prefect import Flow, Parameter, task
from prefect.environments import ContainerEnvironment
from prefect.errors import ImageContentError, ImageError, PlaceError
from prefect.oci.archives import archive
from prefect.oci.cache import directories
from prefect.oci.cache.store import Store
from prefect.places.protocol import Work
from prefect.places.sandbox import host, limits, place
from prefect.places.sandbox.host import Host
from prefect.places.sandbox.place import Sandbox
from prefect.places.surroundings import Surroundings, Volume

pytestmark = pytest.mark.services
CHECKOUT = Path(__file__).resolve().parents[3]


@task
def greet(name, wait):
    print(f"hello {name}, token {os.environ.get('TOKEN', 'unset')}", flush=True)
    time.sleep(wait)


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """A cache for this file's runs, whose base is unpacked once."""
    with Store(tmp_path_factory.mktemp("cache")) as store:
        yield store


@pytest.fixture(scope="session")
def image(base_image, tmp_path_factory):
    """A flow image that a registry's base was made into, in a file."""
    with Flow("sandboxed") as flow:
        greet(Parameter("name", default="world"), Parameter("wait", default=0))
    path = tmp_path_factory.mktemp("image") / "image.tar"
    ContainerEnvironment(base_image, secrets=["TOKEN"]).export(path, flow=flow)
    return archive.read(path)


def made_by(kind: str, monkeypatch) -> str:
    """Have sandboxes made in one of the ways."""
    found = host.find_host
    ways = {
        "overlay": found,
        "links": lambda store: Host(found(store).bwrap, overlay=False),
        "runc": lambda store: find_host_without("bwrap", store, monkeypatch),
    }
    monkeypatch.setattr(place, "find_host", ways[kind])
    return kind


def find_host_without(name: str, store, monkeypatch) -> Host:
    """Return what a machine without a program has."""
    with monkeypatch.context() as patch:
        there = host.program
        patch.setattr(host, "program", lambda each: None if each == name else there(each))
        return host.find_host(store)


@pytest.fixture(params=["overlay", "links"])
def either(request, monkeypatch):
    """Have sandboxes on an overlay, or on hard links where no overlay can be had."""
    return made_by(request.param, monkeypatch)


@pytest.fixture(params=["overlay", "links", "runc"])
def every(request, monkeypatch):
    """Have them made by runc as well."""
    return made_by(request.param, monkeypatch)


def run(image, store, *arguments, secrets=None, **surroundings) -> tuple[int, str]:
    """Run the worker to its end; return its status and its output."""
    work = Work(list(arguments), secrets or {}, surroundings=Surroundings(**surroundings))
    started = Sandbox(image, store=store).start(work)
    try:
        output = b"".join(data for _, data in started.logs()).decode()
        return started.wait(), output
    finally:
        started.remove()


def shell(image, store, command: str, **more) -> str:
    """Run a shell's command in a sandbox; return what it writes."""
    status, output = run(image, store, "exec", "--", "sh", "-c", command, **more)
    assert status == 0, output
    return output


def test_a_flow_runs_and_its_layers_are_unpacked_once(image, cache, every):
    """Its output comes as it is written; a second run unpacks nothing."""
    told = []
    started = Sandbox(image, store=cache, progress=told.append).start(
        Work(["run", "--parameters", '{"name": "you"}', "--secret=TOKEN"], {"TOKEN": "a-token"})
    )
    output = b"".join(data for _, data in started.logs()).decode()
    assert started.wait() == 0
    started.remove()
    assert "hello you, token" in output
    assert "a-token" not in output  # masked
    told.clear()
    assert run(image, cache, "run", secrets={"TOKEN": "a-token"})[0] == 0
    assert not told


def test_a_failure_and_a_status_are_the_workers(image, cache, every):
    """The exit status of what runs, and 128 + N for a signal."""
    assert run(image, cache, "exec", "--", "sh", "-c", "exit 7")[0] == 7
    assert run(image, cache, "exec", "--", "sh", "-c", "kill -9 $$; sleep 9")[0] in {137, 0}
    assert run(image, cache, "run", "--parameters", '{"wait": "x"}')[0] != 0


def test_nothing_of_the_machine_is_there(image, cache, every, monkeypatch):
    """No file, process, variable, capability, descriptor or address of this machine."""
    monkeypatch.setenv("CANARY_OF_HOST", "is-here")
    output = shell(
        image, cache,
        f"ls {CHECKOUT} {Path.home()}/.cache {cache.root} 2>/dev/null; env; ls -l /proc/self/fd; "
        "ls /proc; cat /proc/self/status; cat /proc/net/dev; hostname; readlink /proc/self/ns/*",
    )  # fmt: skip
    assert "src" not in output.split()
    assert "is-here" not in output
    assert "LIBMOUNT" not in output
    assert str(cache.root) not in shell(image, cache, "cat /proc/self/mounts")
    assert "CapEff:\t0000000000000000" in output
    assert "CapBnd:\t0000000000000000" in output
    assert "NoNewPrivs:\t1" in output
    assert "lo:" in output
    assert "eth0" not in output
    for kind in ("pid", "ipc", "uts", "net", "mnt", *(["user"] if every != "runc" else [])):
        assert str(Path(f"/proc/self/ns/{kind}").readlink()) not in output


def test_the_kernels_settings_cannot_be_written(image, cache, every):
    """By root's number alone, without a capability, root's files in /proc could be."""
    writing = "for each in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/irq/default_smp_affinity; do "
    writing += "test ! -e $each || (exec 3>>$each) 2>/dev/null && test -e $each && echo $each; done; true; "
    if every != "runc":  # which masks some, and leaves those that ask for a capability
        writing += (
            "find /proc -maxdepth 3 -path '/proc/[0-9]*' -prune -o -type f -perm /222 -print 2>/dev/null | "
            "while read each; do case $each in /proc/self/*|/proc/thread-self/*) ;; "
            "*) test -c $each || (exec 3>>$each) 2>/dev/null && echo open $each;; esac; done; true"
        )
    assert shell(image, cache, writing) == ""


def test_a_network_is_there_if_it_is_asked_for(image, cache, every, registry):
    """None by default; with "host" this machine's, by names, too."""
    address, port = registry.rsplit(":", 1)
    connect = f"python3 -c 'import socket; socket.create_connection((\"{address}\", {port}), 5)'"
    assert run(image, cache, "exec", "--", "sh", "-c", connect)[0] == 1
    shell(image, cache, connect, network="host")
    hosts = shell(image, cache, "cat /etc/hosts", network="host")
    assert hosts == Path("/etc/hosts").read_text()


def test_secrets_are_in_memory_alone(image, cache, every):
    """Whatever bytes they have; no file of this machine and no process's arguments have them."""
    canary = f"canary-{uuid.uuid4().hex}"
    odd = canary + "\udcff\r\n"
    work = Work(
        ["exec", "--secret=TOKEN", "--", "sh", "-c", 'echo ready; printf %s "$TOKEN" | md5sum; sleep 30'],
        {"TOKEN": canary, "ODD": odd},
    )  # fmt: skip
    started = Sandbox(image, store=cache).start(work)
    try:
        assert next(started.logs())[1].startswith(b"ready")
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                assert canary.encode() not in entry.read_bytes()
            except (ProcessLookupError, FileNotFoundError):
                continue
        found = subprocess.run(
            ["grep", "-rlF", canary, cache.root], capture_output=True, check=False
        )
        assert found.stdout == b""
    finally:
        started.remove()
    output = shell(
        image, cache, "stat -f -c %T /run/secrets; od -An -c /run/secrets/ODD | tail -2", secrets={"ODD": odd}
    )  # fmt: skip
    assert output.startswith("tmpfs\n")
    assert output.split()[-5:] == ["377", "\\r", "\\n", "\\n"] or output.split()[-4:] == [
        "377", "\\r", "\\n", "\\n",
    ]  # fmt: skip


def test_a_run_cannot_change_what_the_next_one_sees(image, cache, every):
    """It may write where it likes, or where it has places of its own; its changes are gone with it."""
    destroy = (
        "rm -rf /usr/lib/python3* /opt/prefect/flow 2>/dev/null; echo x >/etc/passwd 2>/dev/null; "
        "chmod 000 /etc 2>/dev/null; ln -sf /x /etc/hosts 2>/dev/null; "
        'for each in /tmp /run /var/tmp "$HOME"; do echo ok >$each/file || exit 1; done'
    )
    shell(image, cache, destroy)
    assert run(image, cache, "run", secrets={"TOKEN": "a-token"})[0] == 0
    output = shell(image, cache, "cat /etc/passwd; ls /tmp /run /var/tmp $HOME; stat -c %a /etc")
    assert "root:x:0:0" in output
    assert "file" not in output
    assert output.endswith("755\n")


def test_volumes_users_and_directories_are_as_asked(image, cache, either, tmp_path):
    """Directories and files of the machine, read-only or not; a user by number; a working directory."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in/file").write_text("given")
    (tmp_path / "out").mkdir()
    volumes = (
        Volume(str(tmp_path / "in"), "/data/in", writable=False),
        Volume(str(tmp_path / "out"), "/tmp/out"),
        Volume(str(tmp_path / "in/file"), "/etc/of-its-own", writable=False),
    )
    output = shell(
        image, cache,
        "id -u; id -g; pwd; cat /data/in/file /etc/of-its-own; echo made >/tmp/out/made; echo $GIVEN; "
        "touch /data/in/x 2>/dev/null || echo refused",
        volumes=volumes, user="1234:99", workdir="/data", env=(("GIVEN", "by hand"),),
    )  # fmt: skip
    assert output == "1234\n99\n/data\ngivengivenby hand\nrefused\n"
    assert (tmp_path / "out/made").read_text() == "made\n"
    assert (tmp_path / "out/made").stat().st_uid == os.geteuid()
    assert shell(image, cache, "id -un; echo $HOME", user="games") == "games\n/usr/games\n"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"gpus": "all"}, "--gpus cannot be had in a sandbox"),
        ({"network": "bridge"}, "container engine's network"),
        ({"volumes": (Volume("data", "/data"),)}, "container engine's volume"),
        ({"volumes": (Volume("/no/such/place", "/data"),)}, "There is no /no/such/place"),
        ({"volumes": (Volume("/etc", "/proc/sys"),)}, "no place for a volume"),
        ({"volumes": (Volume("/etc", "/"),)}, "no place for a volume"),
    ],
)
def test_what_a_sandbox_has_not_is_refused_before_anything_is_unpacked(
    image, tmp_path, asked, said
):
    """By its name, and with what could be done instead."""
    with Store(tmp_path / "cache") as store:
        with pytest.raises(PlaceError, match=said):
            run(image, store, "run", **asked)
        assert not list((store.root / "directories").iterdir())


def test_limits_are_the_kernels(image, cache, every):
    """More memory than allowed ends the run; both limits are those of a cgroup, which goes with it."""
    much = """python3 -c 'print(len(b"x" * (200 << 20)))'"""
    assert shell(image, cache, much) == f"{200 << 20}\n"
    assert run(image, cache, "exec", "--", "sh", "-c", f"exec {much}", memory=64 << 20)[0] == 137
    memory = (64 << 20) + 4096 * (uuid.uuid4().int % 4096)
    work = Work(
        ["exec", "--", "sh", "-c", "echo up; sleep 30"],
        surroundings=Surroundings(memory=memory, cpus=0.5),
    )
    started = Sandbox(image, store=cache).start(work)
    try:
        assert next(started.logs()) == (1, b"up\n")
        groups = list(Path("/sys/fs/cgroup").rglob("prefect-*"))
        own = {
            each.name
            for each in groups
            if text(each, "memory.limit_in_bytes", "memory.max") == str(memory)
        }
        assert len(own) == 1
        quotas = [text(each, "cpu.cfs_quota_us", "cpu.max") for each in groups if each.name in own]
        assert [quota.split()[0] for quota in quotas if quota] == ["50000"]
    finally:
        started.remove()
    assert not [each for name in own for each in Path("/sys/fs/cgroup").rglob(name)]


LIMITED = """
import sys
from pathlib import Path
from prefect.oci.archives import archive
from prefect.oci.cache.store import Store
from prefect.places.protocol import Work
from prefect.places.sandbox.place import Sandbox
from prefect.places.surroundings import Surroundings
with Store(Path(sys.argv[1])) as store:
    work = Work(["sh", "-c", "echo up; exec busybox sleep 600"], surroundings=Surroundings(memory=1 << 28))
    started = Sandbox(archive.read(sys.argv[2]), store=store).start(work)
    next(started.logs())
    print(started._process.pid, flush=True)
    started.wait()
"""


def test_what_a_killed_process_leaves_of_groups_goes_with_the_next_sandbox(small, tmp_path):
    """Those of processes that live stay, and so does what may be of another's namespace."""
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "cache"), str(small)]
    killed, lives = (subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in "12")
    try:
        workers = [int(one.stdout.readline()) for one in (killed, lives)]
        killed.kill()
        killed.wait()
        await_end(workers[0])
        assert groups_of(killed.pid)
        assert groups_of(lives.pid)
        foreign = groups_of(lives.pid)[0].with_name(f"prefect-1-{workers[0]}-1-0123456789ab")
        foreign.mkdir()
        try:
            deadline = time.monotonic() + 60
            while groups_of(killed.pid) and time.monotonic() < deadline:  # its last process ends
                with Store(tmp_path / "cache") as store:
                    assert run(archive.read(small), store, "true")[0] == 0
            assert not groups_of(killed.pid)
            assert groups_of(lives.pid)
            assert foreign.is_dir()
        finally:
            foreign.rmdir()
    finally:
        for one in (killed, lives):
            one.kill()
            one.communicate()
        for each in groups_of(lives.pid):
            limits.remove_group(each)


def groups_of(process: int) -> list[Path]:
    """Return the groups that a process has made."""
    found = Path("/sys/fs/cgroup").rglob("prefect-*")
    return [each for each in found if each.name.split("-")[2:3] == [str(process)]]


def text(group: Path, *names: str) -> str:
    """Return what the first of a group's files that is there has."""
    for name in names:
        with contextlib.suppress(OSError):
            return (group / name).read_text().strip()
    return ""


def test_limits_that_cannot_be_kept_are_refused(small, tmp_path, monkeypatch):
    """As without cgroups: before anything is unpacked."""
    monkeypatch.setattr(limits, "_mounts", dict)
    with Store(tmp_path / "cache") as store:
        for asked in ({"memory": 1 << 30}, {"cpus": 1.5}):
            with pytest.raises(PlaceError, match=f"--{next(iter(asked))} cannot be kept here"):
                run(archive.read(small), store, "true", **asked)
        assert not list((store.root / "directories").iterdir())


def test_an_unknown_user_is_refused(image, cache):
    """The image's own file of users says who is known."""
    with pytest.raises(PlaceError, match="knows no user 'nemo'"):
        run(image, cache, "run", user="nemo")
    with pytest.raises(PlaceError, match="knows no group 'crew'"):
        run(image, cache, "run", user="root:crew")


def test_a_machine_without_bubblewrap_is_told_before_anything_is_unpacked(
    image, tmp_path, monkeypatch
):
    """With how to get it."""
    monkeypatch.setattr(host, "program", lambda _: None)
    with Store(tmp_path / "cache") as store:
        with pytest.raises(PlaceError, match="apt-get install bubblewrap"):
            run(image, store, "run")
        assert not list((store.root / "directories").iterdir())


def script(text: str, *arguments: object) -> list[str]:
    """Return the command of a Python that runs a text, with what this file imports at hand."""
    return [sys.executable, "-c", textwrap.dedent(text), *map(str, arguments)]


RUN = """
    import sys
    from pathlib import Path
    from prefect.oci.cache.store import Store
    from prefect.oci.archives import archive
    from prefect.places.protocol import Work
    from prefect.places.sandbox.place import Sandbox
    with Store(Path(sys.argv[1])) as store:
        started = Sandbox(archive.read(sys.argv[2]), store=store).start(Work(sys.argv[3:]))
        for _, data in started.logs():
            sys.stdout.buffer.write(data)
            sys.stdout.flush()
        status = started.wait()
        started.remove()
    sys.exit(status)
"""
NOBODY = ["unshare", "--user", "--map-user=65534", "--map-group=65534"]


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Path:
    """An image of one program that needs no other file, in a file."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.fail("busybox is missing: run `make services`")
    members = [("bin/busybox", Path(busybox).read_bytes())]
    layer = layer_of(executable(*members))
    path = tmp_path_factory.mktemp("small") / "small.tar"
    made = image_of(layer, config={"Entrypoint": ["/bin/busybox"], "Env": ["PATH=/bin"]})
    archive.write(made, path, name="small:1")
    return path


def executable(*members) -> bytes:
    """Return an archive whose files may be executed."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_no_root_is_needed(small, tmp_path):
    """A user without any capability unpacks and runs, as an overlay, whose writes reach nobody."""
    command = script(RUN, tmp_path / "cache", small, "sh", "-c",
                     "busybox id -u; busybox touch /x && busybox mount | busybox head -1")  # fmt: skip
    for _ in range(2):
        done = subprocess.run([*NOBODY, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("0\noverlay on /")


def test_a_machine_that_allows_no_namespaces_is_told_with_the_fix(small, tmp_path):
    """As the kernel's setting turns them off: nothing is unpacked."""
    off = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "sh", "-c", off, "sh",
               *script(RUN, tmp_path / "cache", small, "true")]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "sysctl user.max_user_namespaces" in done.stderr
    assert not list((tmp_path / "cache/v1/directories").iterdir())


WAYS = {
    "overlay": "",
    "links": "from prefect.places.sandbox import place; found = place.find_host\n    "
    "place.find_host = lambda store: type(found(store))(found(store).bwrap, overlay=False)\n",
    "runc": "from prefect.places.sandbox import host; there = host.program\n    "
    "host.program = lambda name: None if name == 'bwrap' else there(name)\n",
}


@pytest.mark.parametrize("kind", WAYS)
def test_a_killed_run_leaves_nothing_at_any_moment(small, tmp_path, kind):
    """Neither before the sandbox stands, nor while it is made, nor afterwards."""
    command = script(f"\n    {WAYS[kind]}{RUN}", tmp_path / "cache", small)
    assert subprocess.run([*command, "true"], check=False).returncode == 0  # unpacked by now
    assert left_behind([*command, "sleep", "600"]) == []


@pytest.mark.parametrize("kind", ["overlay", "runc"])
def test_a_run_ends_with_who_started_it(small, tmp_path, kind):
    """However that ends: no process stays behind."""
    mark = f"{uuid.uuid4().int % 10**9}"
    text = f"\n    {WAYS[kind]}{RUN}"
    command = script(text, tmp_path / "cache", small, "sh", "-c", f"echo up; busybox sleep {mark}")
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"up\n"
    deadline = time.monotonic() + 20
    while not sleeping(mark):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 20
    while sleeping(mark):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def sleeping(mark: str) -> bool:
    """Tell whether a process sleeps for this many seconds."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if entry.read_bytes() == f"busybox\0sleep\0{mark}\0".encode():
                return True
        except (ProcessLookupError, FileNotFoundError):
            continue
    return False


def test_a_signal_reaches_the_worker(image, cache, every):
    """Which unwinds, and says so; what is removed is gone at once."""
    work = Work(["run", "--parameters", '{"wait": 60}'], {"TOKEN": "a-token"})
    started = Sandbox(image, store=cache).start(work)
    output = b""
    for _, data in started.logs():
        output += data
        if b"hello" in data:
            started.stop(signal.SIGTERM)
    assert started.wait() == 143
    started.remove()


@pytest.mark.parametrize("name", ["tmp", "run", "proc", "dev"])
def test_a_link_where_something_is_mounted_is_refused(tmp_path, name):
    """It could lead the mount out of the image."""
    made = image_of(
        layer_of(tar_of((name, tarfile.SYMTYPE, "/oldroot/tmp"), ("bin/x", b""))),
        config={"Entrypoint": ["/bin/x"]},
    )
    with Store(tmp_path / "cache") as store, pytest.raises(PlaceError, match=f"/{name} is a link"):
        run(made, store, "run")


def test_links_of_an_image_lead_no_mount_and_no_directory_out_of_it(small, tmp_path, either):
    """Where a volume goes is found within the image; nothing is made on this machine."""
    (outside := tmp_path / "outside").mkdir()
    (given := tmp_path / "given").mkdir()
    (given / "file").write_text("given")
    base = archive.read(small)
    links = layer_of(tar_of(("data", tarfile.SYMTYPE, f"/oldroot{outside}"), ("etc/resolv.conf", tarfile.SYMTYPE, f"/oldroot{outside}/r"),
                            ("work", tarfile.SYMTYPE, f"/../../newroot/../oldroot{outside}/w")))  # fmt: skip
    made = image_of(
        *base.layers, links, config={"Entrypoint": ["/bin/busybox"], "WorkingDir": "/work"}
    )
    with Store(tmp_path / "cache") as store:
        status, output = run(
            made, store, "cat", f"/oldroot{outside}/sub/file", network="host",
            volumes=(Volume(str(given), "/data/sub"),),
        )  # fmt: skip
    assert (status, output) == (0, "given")
    assert not list(outside.iterdir())


def test_two_volumes_on_one_target_by_an_images_links_are_refused(small, tmp_path):
    """Which of them would be seen would be the image's business; both are named."""
    made = image_of(
        *archive.read(small).layers,
        layer_of(tar_of(("data", tarfile.SYMTYPE, "/srv"))),
        config={"Entrypoint": ["/bin/busybox"]},
    )
    volumes = (Volume(str(tmp_path), "/srv"), Volume("/etc", "/data"))
    with (
        Store(tmp_path / "cache") as store,
        pytest.raises(PlaceError, match=f"one target.*{tmp_path}:/srv and /etc:/data"),
    ):
        run(made, store, "true", volumes=volumes)


def test_an_image_cannot_speak_to_bubblewrap(small, tmp_path):
    """A NUL in its config would end one option and begin another."""
    base = archive.read(small)
    for config in (
        {"Env": ["A=x\0--ro-bind\0/\0/host"]},
        {"WorkingDir": "/\0--share-net"},
        {"Entrypoint": ["/bin/busybox\0"]},
    ):
        made = image_of(*base.layers, config={"Entrypoint": ["/bin/busybox"]} | config)
        with Store(tmp_path / "cache") as store, pytest.raises(ImageContentError, match="NUL"):
            run(made, store, "true")


def test_an_image_that_has_nothing_to_run_here_is_refused(tmp_path):
    """Without an entry point, or for another processor."""
    layer = layer_of(tar_of(("x", b"x")))
    with Store(tmp_path / "cache") as store:
        with pytest.raises(ImageError, match="no entry point"):
            run(image_of(layer), store, "run")
        with pytest.raises(ImageError, match="linux/s390x"):
            run(image_of(layer, platform="linux/s390x"), store, "run")


def test_what_cannot_be_entered_is_told(small, tmp_path, either):
    """An entry point that is not there is no exit status of a run."""
    base = archive.read(small)
    made = image_of(*base.layers, config={"Entrypoint": ["/no/such/program"]})
    with (
        Store(tmp_path / "cache") as store,
        pytest.raises(PlaceError, match="could not be entered"),
    ):
        run(made, store, "run")


@pytest.mark.parametrize("left", ["ln -s /etc/passwd", "mkfifo", "mkdir", "true"])
def test_a_result_is_a_file_that_the_run_wrote_or_none(small, tmp_path, left):
    """A link, which would lead to a file of this machine, a pipe or a directory is none."""
    (tmp_path / "shared").mkdir()
    volumes = (Volume(str(tmp_path / "shared"), "/run/prefect"),)
    with Store(tmp_path / "cache") as store:
        started = Sandbox(archive.read(small), store=store).start(
            Work(
                ["sh", "-c", f"busybox {left} /run/prefect/result"],
                surroundings=Surroundings(volumes=volumes),
            )
        )
        b"".join(data for _, data in started.logs())
        started.wait()
        started._result = tmp_path / "shared/result"
        assert started.report() is None
        (tmp_path / "shared/file").write_bytes(b"written")
        started._result = tmp_path / "shared/file"
        assert started.report() == b"written"
        started.remove()


def test_what_a_run_uses_is_not_removed_from_the_cache(small, tmp_path):
    """Before its end; afterwards it may be."""
    with Store(tmp_path / "cache") as store:
        started = Sandbox(archive.read(small), store=store).start(
            Work(["sh", "-c", "echo up; busybox sleep 30"])
        )
        assert next(started.logs()) == (1, b"up\n")
        store.clear()
        assert list((store.root / "directories").iterdir())
        started.remove()
        assert store.clear() > 0
        assert not list((store.root / "directories").iterdir())


def test_layers_are_unpacked_anew_once_the_machine_has_started_anew(small, tmp_path, monkeypatch):
    """A crash may have torn them; nobody waited until they were on the disk."""
    told = []
    with Store(tmp_path / "cache") as store:
        for boot in ("first", "first", "second"):
            monkeypatch.setattr(directories, "boot", lambda boot=boot: boot)
            started = Sandbox(archive.read(small), store=store, progress=told.append).start(
                Work(["true"])
            )
            assert started.wait() == 0
            started.remove()
    assert len(told) == 2


KEYRING = """
import ctypes, os, sys
call = ctypes.CDLL(None).syscall
add_key, keyctl = {"x86_64": (248, 250), "aarch64": (217, 219)}[os.uname().machine]
session, search = -3, 10
"""
PUTS = """
call(keyctl, 1, None)
assert call(add_key, b"user", b"of-the-caller", b"canary", 6, session) > 0
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1], *sys.argv[2:]])
"""
FINDS = 'print("found", call(keyctl, search, session, b"user", b"of-the-caller", 0))\n'
STARTS = """
from pathlib import Path
import sys
from prefect.oci.archives import archive
from prefect.oci.cache.store import Store
from prefect.places.protocol import Work
from prefect.places.sandbox.place import Sandbox
with Store(Path(sys.argv[1])) as store:
    started = Sandbox(archive.read(sys.argv[2]), store=store).start(Work(sys.argv[3:]))
    print(b"".join(data for _, data in started.logs()).decode())
    started.remove()
"""


def test_keys_of_the_callers_session_stay_outside(base_image, tmp_path):
    """The kernel gives a session's keyring to every child, and no namespace hides it."""
    with Flow("keyring") as flow:
        greet(Parameter("name"), 0)
    ContainerEnvironment(base_image, secrets=["TOKEN"]).export(tmp_path / "image.tar", flow=flow)
    inside = ["exec", "--", "python3", "-c", KEYRING + FINDS]

    def output(*arguments):
        command = [sys.executable, "-c", KEYRING + PUTS, *map(str, arguments)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "found -1" not in output(KEYRING + FINDS)
    assert "found -1" in output(STARTS, tmp_path / "cache", tmp_path / "image.tar", *inside)
