"""`prefect.images.plan` and `flow_files`: what goes into an image, decided before one is made."""

from importlib import metadata
from platform import python_version

import pytest
from base_making import HERE, base

from prefect import Flow, task
from prefect.dependencies.given_lock import GivenLock
from prefect.dependencies.lock import read_lock
from prefect.environments import ContainerEnvironment
from prefect.errors import CompatibilityError, NotAFlowError, RequirementsError
from prefect.frozen import replace
from prefect.images.base.image import look_into
from prefect.images.flow_files import package
from prefect.images.plan import make_plan, wanted
from prefect.oci.cache.store import Store
from prefect.opening import read_manifest
from prefect.payload.manifest import Manifest
from prefect.sealed.keys.keyring import Keyring

LOCK = f"cloudpickle=={metadata.version('cloudpickle')} \\\n    --hash=sha256:{'0' * 64}\n"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One store for all."""
    with Store(tmp_path_factory.mktemp("store")) as opened:
        yield opened


@pytest.fixture
def here(store):
    """A base with this Python."""
    return look_into(base(User="app"), "demo:1", store)


def plan(found, packaged=None, lock=LOCK, **options):
    given = {"base_name": "demo:1", "dependencies": None, "setup": (), "store": None} | options
    anew = "Lock anew with --relock (relock=True)"
    taken = None if lock is None else GivenLock(lock, "etl.lock", anew)
    return make_plan(found, packaged, lock=taken, **given)


def test_a_plan_takes_from_the_base_what_it_needs(here):
    """Its interpreter, platform, user and name."""
    made = plan(here, setup=("true",))
    assert (made.base, made.user, made.setup) == ("demo:1", "app", ("true",))
    assert (made.interpreter, made.python) == (f"/usr/bin/python{HERE}", HERE)
    assert made.platform == "x86_64-manylinux_2_36"
    assert made.site_packages == f"/opt/prefect/lib/python{HERE}/site-packages"
    assert (made.flow, made.labels.get("prefect.flow")) == ({}, None)


def test_a_flow_is_in_files_and_its_name_in_a_label(here, flow):
    """In the open, as manifest and payload; sealed, as one file and without its name."""
    opened = plan(here, package(flow, (), None))
    assert sorted(opened.flow) == ["manifest.json", "payload.pickle"]
    assert opened.labels["prefect.flow"] == flow.name
    lock = LOCK + f"cryptography==99 --hash=sha256:{'0' * 64}\n"
    sealed = plan(here, package(flow, (), Keyring.of()), lock)
    assert list(sealed.flow) == ["sealed.flow"]
    assert flow.name not in str(sealed.labels)
    assert sealed.labels["prefect.sealed"] == "/opt/prefect/flow/sealed.flow"


def test_the_manifest_tells_of_the_image(here):
    """Sealed or in the open: its base, its Python, its lock without what a marker leaves out."""

    @task
    def uses():
        import idna
        import iniconfig

        return idna, iniconfig

    with Flow("uses") as made:
        uses()
    one = f"idna==3.6 --hash=sha256:{'2' * 64} --hash=sha256:{'3' * 64}"
    more = f"cryptography==99 --hash=sha256:{'4' * 64}"
    lock = f"{LOCK}{one}\n{more}\ncolorama==1 ; sys_platform == 'win32' --hash=sha256:{'5' * 64}\n"
    lock += f"iniconfig==1.0 ; python_version >= '3.11' --hash=sha256:{'6' * 64}\n"
    base_of_it = replace(here, digest=f"sha256:{'7' * 64}", version=f"{HERE}.99")
    keyring = Keyring.of()
    opened = plan(base_of_it, package(made, (), None), lock, setup=("true",))
    sealed = plan(base_of_it, package(made, (), keyring), lock, setup=("true",))
    for manifest in (
        Manifest.from_json(opened.flow["manifest.json"]),
        read_manifest(sealed.flow["sealed.flow"], keyring),
    ):
        image = manifest.image
        assert (image.base, image.digest, image.platform) == (
            "",
            f"sha256:{'7' * 64}",
            "linux/amd64",
        )
        assert (image.python, image.setup) == (f"{HERE}.99", ("true",))
        names = [line.partition("==")[0] for line in image.lock.splitlines()]
        assert names == ["cloudpickle", "cryptography", "idna", "iniconfig"]
        assert one in image.lock.splitlines()
        assert manifest.requirements == {"idna": "idna==3.6", "iniconfig": "iniconfig==1.0"}
        assert manifest.installed == {"idna": "3.6", "iniconfig": "1.0"}
        assert manifest.python == python_version()


def test_what_the_flows_environment_calls_its_base_makes_no_other_image(here, flow):
    """So that by tag and by digest are one; another base than the environment's is told by name."""
    plain = plan(here, package(flow, (), None)).flow
    assert plan(here, package(flow, (), None), base_name="other:2").flow == plain
    with Flow("named", environment=ContainerEnvironment("demo:1")) as named:
        task(lambda: 1)()
    for name, told in (("demo:1", ""), ("other:2", "other:2")):
        made = plan(here, package(named, (), None), base_name=name)
        manifest = Manifest.from_json(made.flow["manifest.json"])
        assert (manifest.image.base, manifest.base) == (told, name)


def test_what_is_sealed_for_one_image_twice_is_the_same_file(here, flow):
    """So that a push after a build pushes what was built."""
    packaged = package(flow, (), Keyring.of())
    lock = LOCK + f"cryptography==99 --hash=sha256:{'0' * 64}\n"
    first, again = plan(here, packaged, lock), plan(here, packaged, lock)
    assert first.flow == again.flow
    other = plan(replace(here, version=f"{HERE}.99"), packaged, lock)
    assert other.flow != first.flow


def test_comments_of_a_lock_do_not_travel(here):
    """They may hold anything, such as the password in the command that made them."""
    text = f"#    uv pip compile --index-url https://me:PW@host/simple\n{LOCK}    # via x\n"
    assert plan(here, lock=text).lock == LOCK


def test_another_python_is_refused_for_code_without_a_source_alone(store, flow):
    """What has one is compiled there; what was made by exec is named."""
    other = look_into(base(python="3.31"), "demo:1", store)
    assert plan(other, package(flow, (), None)).python == "3.31"
    assert plan(other).python == "3.31"
    space = {}
    exec("def made():\n    return 1\n", space)
    with Flow("made") as odd:
        task(space["made"])()
    packaged = package(odd, (), None)
    with pytest.raises(CompatibilityError, match=rf"has Python 3\.31.*by Python {HERE}.*made of <"):
        plan(other, packaged)
    assert plan(look_into(base(), "demo:1", store), packaged).python == HERE


def test_without_a_list_the_flow_says_what_it_needs(monkeypatch):
    """In the versions installed here, without their local parts, and beside what is asked for."""

    @task
    def uses():
        import iniconfig

        return iniconfig

    with Flow("uses") as made:
        uses()
    packaged = package(made, (), None)
    pickler = f"cloudpickle=={metadata.version('cloudpickle')}"
    assert wanted(packaged, None) == [f"iniconfig=={metadata.version('iniconfig')}", pickler]
    imported = f"iniconfig=={metadata.version('iniconfig')}"
    assert wanted(packaged, ["idna>=3"]) == ["idna>=3", imported, pickler]
    assert wanted(packaged, ["IniConfig>=1"]) == ["IniConfig>=1", pickler]
    assert wanted(packaged, ["idna>=3"], infer=False) == ["idna>=3", pickler]
    assert wanted(None, None) == [pickler]
    packaged.manifest.requirements["torch"] = "torch==2.1+cpu"
    assert "torch==2.1" in wanted(packaged, None)
    sealed = package(made, (), Keyring.of())
    assert f"cryptography=={metadata.version('cryptography')}" in wanted(sealed, [])


@pytest.fixture
def importing():
    """A flow that imports iniconfig and idna, packaged."""

    @task
    def uses():
        import idna
        import iniconfig

        return idna, iniconfig

    with Flow("uses") as made:
        uses()
    return package(made, (), None)


def test_an_image_that_lacks_what_its_flow_imports_is_refused(here, importing, store):
    """By its lock; without inference, where the base may have it, it is told."""
    lock = LOCK + line_of("idna", metadata.version("idna"))
    for asked in (None, ["idna"]):
        with pytest.raises(RequirementsError, match=r"it lacks iniconfig.*--relock"):
            plan(here, importing, lock, dependencies=asked)
    asked = ["iniconfig; sys_platform == 'win32'"]
    with pytest.raises(RequirementsError, match=r"imports iniconfig \(iniconfig==.*--no-infer"):
        plan(here, importing, None, dependencies=asked, store=store)
    made = plan(here, importing, lock, infer=False)
    assert len(made.notes) == 1
    assert made.notes[0].startswith("The flow imports iniconfig")


def test_what_is_in_other_versions_than_here_is_told(here, importing, store):
    """A line for each, of what the flow imports and of what that needs."""
    assert plan(here, importing, None, store=store).notes == ()
    made = plan(here, importing, None, dependencies=["idna<3.5"], store=store)
    (note,) = made.notes
    assert note.startswith("Not as here: idna 3.4 in the image")
    assert note.endswith(f"{metadata.version('idna')} here")


def test_what_is_inferred_and_contradicts_is_said(here, importing, store):
    """The error tells what was asked for by nobody, and how to go without."""
    with pytest.raises(
        RequirementsError, match=r"iniconfig==.* is what the flow imports.*--no-infer"
    ):
        plan(here, importing, None, dependencies=["no-such-distribution-1"], store=store)


def line_of(name, version, digit="0"):
    return f"{name}=={version} \\\n    --hash=sha256:{digit * 64}\n"


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ("idna>=99", "it has idna 3.6, not >=99"),
        ("IDNA==3.7", "it has idna 3.6, not ==3.7"),
        ("iniconfig", "it lacks iniconfig"),
        ("requests[socks]>=2", r"it does not tell of requests\[socks\]"),
        (f"idna==3.6 --hash=sha256:{'1' * 64}", "it has other hashes of idna 3.6"),
        ("colorama; sys_platform == 'linux'", "it lacks colorama"),
        ("tomli", "it lacks tomli"),
        ("cloudpickle<2", "it has cloudpickle .*, not <2"),
    ],
)
def test_a_lock_that_does_not_fit_is_refused(here, asked, problem):
    """By name, version, extra, hash and marker; the error says how to lock anew."""
    lock = LOCK + line_of("idna", "3.6") + line_of("requests[security]", "2.30")
    lock += line_of("tomli", "2.0").replace(" \\", " ; python_version < '3.0' \\")
    with pytest.raises(RequirementsError, match=f"{problem}.*--relock.*relock=True"):
        plan(here, dependencies=[asked], lock=lock)


def test_a_lock_that_fits_is_taken_as_it_is(here):
    """Whoever made it; what a marker leaves out of the image need not be in it."""
    lock = LOCK + line_of("idna", "3.6") + line_of("requests[security,socks]", "2.30rc1")
    asked = ["idna>=3", "Requests[SOCKS]>=2", "colorama; sys_platform == 'win32'"]
    asked += ["Cloud_Pickle2; python_version < '3'", f"idna==3.6 --hash=sha256:{'0' * 64}"]
    made = plan(here, dependencies=asked, lock=f"# by hand\n{lock}")
    assert read_lock(made.lock) == read_lock(lock)
    assert "requests[security,socks]==" in made.lock
    with pytest.raises(RequirementsError, match="not a version with hashes"):
        plan(here, lock="--index-url https://user:token@example.org\n" + LOCK)


def test_what_the_runtime_needs_is_added_to_a_lock(here, flow, store):
    """cloudpickle, and cryptography where a flow is sealed, beside what the lock has."""
    lock = line_of("idna", "3.6") + line_of("cffi", "2.0.0")
    made = read_lock(plan(here, dependencies=["idna"], lock=lock, store=store).lock)
    assert {one.name for one in made} == {"idna", "cffi", "cloudpickle"}
    sealed = read_lock(plan(here, package(flow, (), Keyring.of()), lock, store=store).lock)
    assert {"cryptography", "cloudpickle"} <= {one.name for one in sealed}
    assert [one.text for one in sealed if one.name in {"idna", "cffi"}] == [
        one.text for one in read_lock(lock)
    ]
    old = line_of("cffi", "1.0.0")
    with pytest.raises(RequirementsError, match=r"beside what the lock has(.|\n)*cffi"):
        plan(here, package(flow, (), Keyring.of()), old, store=store)


def test_a_lock_may_have_another_release_of_what_the_runtime_needs(here):
    """One of the series that pickled, or a later one: not an older one."""
    major, minor, *_ = metadata.version("cloudpickle").split(".")
    for version in (f"{major}.{minor}.0", f"{major}.99"):
        lock = line_of("cloudpickle", version)
        assert plan(here, lock=lock).lock == lock
    with pytest.raises(RequirementsError, match=r"it has cloudpickle 1\.0, not >="):
        plan(here, lock=line_of("cloudpickle", "1.0"))


def test_only_flows_are_packaged():
    """Sealed or not, anything else is a TypeError."""
    for sealing in (None, Keyring.of()):
        with pytest.raises(NotAFlowError):
            package("flow", (), sealing)
