"""Classes that a library has entered in a registry travel with their module's source."""

import subprocess
import sys
from pathlib import Path

import pytest

MODELS = """
import enum
import lazily
from shared import SHOUT
from sqlalchemy import Column, Enum, ForeignKey, Integer, MetaData, String, Table
from sqlalchemy.orm import (
    DeclarativeBase, Mapped, declarative_base, mapped_column, registry, relationship, sessionmaker,
)

class Base(DeclarativeBase):
    pass

class Mood(enum.Enum):
    GOOD = 1

class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(30))
    mood: Mapped[Mood] = mapped_column(Enum(Mood), default=Mood.GOOD)
    addresses: Mapped[list["Address"]] = relationship(back_populates="user")

    def greet(self):
        return f"hello {self.name}" + SHOUT

class Address(Base):
    __tablename__ = "addresses"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    user: Mapped[User] = relationship(back_populates="addresses")

Old = declarative_base()

class Legacy(Old):
    __tablename__ = "legacy"
    id = Column(Integer, primary_key=True)

mapper = registry()

@mapper.mapped
class Plain:
    __tablename__ = "plain"
    id = Column(Integer, primary_key=True)

Sessions = sessionmaker()

def add(session, name):
    from lazily import EMAIL
    session.add(User(name=name, addresses=[Address(email=EMAIL)]))
"""
FLOW = """
import sys
from prefect import Flow, Parameter, task
from sqlalchemy import create_engine, select
import models
from models import Address, Base, Legacy, Plain, Sessions, User, add
from shared import SHOUT

@task
def work(name):
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    for kind in (Legacy, Plain):
        kind.__table__.metadata.create_all(engine)
    with Sessions(bind=engine) as session:
        add(session, name)
        session.commit()
        user = session.scalars(select(User).join(Address)).one()
        assert models.User is User
        print(user.greet(), user.mood.name, [each.email for each in user.addresses], SHOUT)

with Flow("models") as flow:
    work(Parameter("name", default="ann"))
print("the script runs")
"""
FILES = {
    "models.py": MODELS,
    "shared.py": "SHOUT = '!'\n",
    "lazily.py": "EMAIL = 'a@example.com'\n",
    "flow.py": FLOW,
}


def prefect(directory, *arguments, status=0):
    """Run the command."""
    done = subprocess.run(
        [sys.executable, "-m", "prefect", *arguments],
        cwd=directory, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == status, (done.stdout, done.stderr)
    return done.stdout + done.stderr


@pytest.fixture
def home(tmp_path):
    """A directory with a flow and its models, and a key."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    prefect(tmp_path, "keygen", "flow.key")
    return tmp_path


def run_elsewhere(home, *more):
    """Package the flow, and run it where its files are not."""
    prefect(home, "build", "flow.py", "-o", "models.flow", "--key-file", "flow.key", *more)
    elsewhere = home / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    return prefect(elsewhere, "run", "../models.flow", "--key-file", "../flow.key")


def test_models_of_sqlalchemy_travel(home):
    """Declarative models of both styles and mapped classes work where their files are not, with all that they import."""
    out = run_elsewhere(home)
    assert "hello ann! GOOD ['a@example.com'] !" in out
    assert "the script runs" not in out
    told = prefect(home, "info", "models.flow", "--key-file", "flow.key")
    assert "SQLAlchemy==" in told
    assert "models.py" in told


def test_a_package_of_models_travels(home):
    """Modules of a package import each other as ever, by relative imports as well."""
    package = home / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("from .models import User\n")
    (package / "models.py").write_text(
        (home / "models.py")
        .read_text()
        .replace("from shared", "from .shared")
        .replace("from lazily", "from .lazily")
        .replace("import lazily", "from . import lazily")
    )
    for name in ("shared.py", "lazily.py"):
        (home / name).rename(package / name)
    (home / "models.py").unlink()
    flow = FLOW.replace("import models", "from shop import models").replace(
        "from models", "from shop.models"
    )
    (home / "flow.py").write_text(flow.replace("from shared", "from shop.shared"))
    assert "hello ann! GOOD" in run_elsewhere(home)


@pytest.mark.services
@pytest.mark.parametrize("place", ["engine", "sandbox"])
def test_models_travel_in_an_image(home, base_image, unique, place):
    """They work in a container and in a sandbox, also in worker processes there, where the flow is sealed as well."""
    (home / "flow.py").write_text(SENT)
    key = ("--key-file", "flow.key") if place == "engine" else ()
    prefect(home, "build", "flow.py", "--image", base_image, "--tag", unique, *key)
    run = ("run", f"image:{unique}", *key, "--in", place, "--executor", "processes:2")
    assert "['hello u1!', 'hello u2!'] ['1@x', '2@x']" in prefect(home, *run)


def test_a_module_that_is_imported_late_is_refused_with_the_fix(home):
    """What nothing has loaded here would be missing elsewhere, as with any local module."""
    (home / "models.py").write_text(MODELS.replace("import lazily\n", ""))
    out = prefect(home, "build", "flow.py", "-o", "x.flow", "--key-file", "flow.key", status=2)
    assert "imports lazily within a function" in " ".join(out.split())


def test_the_same_sources_give_the_same_bytes(home):
    """A packaged flow with models is as reproducible as any other."""
    script = (
        "import flow\nfrom prefect.payload.packing import pickle_flow\nimport hashlib\n"
        "print(hashlib.sha256(pickle_flow(flow.flow).payload).hexdigest())\n"
    )
    (home / "digest.py").write_text(script)
    runs = [
        subprocess.run(
            [sys.executable, "digest.py"], cwd=home, capture_output=True, text=True, check=True, timeout=120,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert runs[0] == runs[1]


LOADED_HERE = """
import sys
from prefect.environments import PickleEnvironment

if __name__ == "__main__":
    import flow, models
    environment = PickleEnvironment()
    sealed = environment.build(flow.flow)
    CHANGE
    for executor in (None, *sys.argv[1:]):
        for _ in range(2):
            state = environment.run(sealed, executor=executor)
            assert state.is_successful(), [each.result for each in state.result.values()]
        assert flow.flow.run(executor=executor).is_successful()
    assert sys.modules["models"] is models
"""


@pytest.mark.parametrize("executor", ["processes:2", "dask"])
def test_a_flow_is_loaded_where_it_was_packaged(home, executor):
    """With the classes that are there, which a registry may hold once, and workers find them by name."""
    (home / "models.py").write_text(
        MODELS + "import builtins\nassert not hasattr(builtins, 'registered')\n"
    )
    (home / "flow.py").write_text(SENT)
    script = LOADED_HERE.replace("CHANGE", "import builtins; builtins.registered = True")
    (home / "both.py").write_text(script)
    subprocess.run([sys.executable, "both.py", executor], cwd=home, check=True, timeout=240)


def test_a_flow_is_loaded_where_other_modules_have_the_names_of_its_own(home):
    """Those of this process and those that are loaded are apart, and both work."""
    change = "open('models.py', 'a').write('# since then')"
    (home / "both.py").write_text(LOADED_HERE.replace("CHANGE", change))
    subprocess.run([sys.executable, "both.py"], cwd=home, check=True, timeout=120)


def test_models_in_the_script_are_refused_with_the_fix(home):
    """The script is not executed anew: the error names the class, the way to it, and where to put it."""
    imports = (
        "import models\n",
        "from models import Address, Base, Legacy, Plain, Sessions, User, add\n",
    )
    text = MODELS + FLOW.replace(imports[0], "").replace(imports[1], "").replace(
        "models.User", "User"
    )
    (home / "script.py").write_text(text)
    out = prefect(home, "build", "script.py", "-o", "x.flow", "--key-file", "flow.key", status=2)
    assert "Task 'work' of the flow 'models' cannot be pickled" in out
    assert "run > script." in out
    assert "in a module of its own beside the script" in " ".join(out.split())


def test_what_cannot_be_pickled_is_named(tmp_path):
    """The error has the task, the module, the object and the way to it."""
    (tmp_path / "helper.py").write_text(
        "import socket\n"
        "class Client:\n    def __init__(self):\n        self.pool = {'x': [socket.socket()]}\n"
        "CLIENT = Client()\n"
        "def fetch(client=None):\n    return CLIENT\n"
    )
    (tmp_path / "flow.py").write_text(
        "import helper, socket\nfrom prefect import Flow, task\n"
        "def around(thing):\n    @task(name='closure')\n    def inner():\n        return thing\n    return inner\n"
        "@task(name='global')\ndef uses():\n    return helper.fetch()\n"
        "@task(name='default')\ndef takes(x=socket.socket()):\n    return x\n"
        "@task(name='constant')\ndef constant(x):\n    return x\n"
        "with Flow('a') as a:\n    uses()\n"
        "with Flow('b') as b:\n    around([socket.socket()])()\n"
        "with Flow('c') as c:\n    takes()\n"
    )
    prefect(tmp_path, "keygen", "flow.key")
    of_a = "'global' of the flow 'a' cannot be pickled: cannot pickle 'socket' object, at run > "
    for name, way in {
        "a": of_a + "flow.helper > helper.CLIENT.pool['x'][0] (a socket.socket)",
        "b": "at run > thing of around.<locals>.inner[0] (a socket.socket)",
        "c": "at run > a default of takes (a socket.socket)",
    }.items():
        arguments = ("build", f"flow.py:{name}", "-o", "x.flow", "--key-file", "flow.key")
        assert way in " ".join(prefect(tmp_path, *arguments, status=2).split())
    assert not Path(tmp_path / "x.flow").exists()


SENT = """
from prefect import Flow, task
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session
from models import Address, Base, User

@task
def make(n):
    return User(name=f"u{n}", addresses=[Address(email=f"{n}@x")])

@task
def greet(user):
    assert type(user) is User
    return user.greet()

@task(log_stdout=True)
def store(users, greetings):
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all(users)
        session.commit()
        found = session.scalars(select(User).join(Address).order_by(User.name))
        print(greetings, [each.addresses[0].email for each in found])

with Flow("sent") as flow:
    users = make.map([1, 2])
    store(users, greet.map(users))
"""


@pytest.mark.parametrize("executor", ["processes:2", "dask"])
def test_models_go_from_process_to_process(home, executor):
    """What a task makes of them is the same class in the next one, in workers that have no file of it."""
    (home / "flow.py").write_text(SENT)
    prefect(home, "build", "flow.py", "-o", "sent.flow", "--key-file", "flow.key")
    elsewhere = home / "elsewhere"
    elsewhere.mkdir()
    run = ("run", "../sent.flow", "--key-file", "../flow.key", "--executor", executor)
    assert "['hello u1!', 'hello u2!'] ['1@x', '2@x']" in prefect(elsewhere, *run)


def test_a_cluster_that_stays_has_the_models_of_the_flow_that_runs(home, tmp_path_factory):
    """Of a flow that was packaged anew, workers that knew the one before have what is new."""
    from distributed import LocalCluster

    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster:
        for greeting in ("hello", "good day", "good day"):
            (home / "models.py").write_text(MODELS.replace("hello", greeting))
            (home / "flow.py").write_text(SENT)
            prefect(home, "build", "flow.py", "-o", "sent.flow", "--key-file", "flow.key")
            where = f"dask:{cluster.scheduler_address}"
            run = ("run", home / "sent.flow", "--key-file", home / "flow.key", "--executor", where)
            assert f"['{greeting} u1!', '{greeting} u2!']" in prefect(elsewhere, *run)


BESIDE = """
import sys
from pathlib import Path
from concurrent.futures import ThreadPoolExecutor
from prefect.environments import PickleEnvironment

key = Path("flow.key").read_bytes()
executor = sys.argv[1]

def run(name):
    env = PickleEnvironment(encryption_key=key)
    state = env.run(Path(f"{name}.flow").read_bytes(), executor=executor)
    assert state.is_successful(), [each.message for each in state.result.values()]
    return name

with ThreadPoolExecutor(2) as pool:
    print(*pool.map(run, ["hello", "goodbye"]))
print(run("hello"))  # after the other
"""
MEETS = """
import time
from pathlib import Path
from prefect import Flow, task
from models import User, say

@task
def make(n):
    Path("HOME/HERE").touch()
    for _ in range(3000):  # until both flows run
        if Path("HOME/OTHER").exists():
            break
        time.sleep(0.01)
    return User(name=f"u{n}")

@task
def greet(user):
    assert type(user) is User
    assert user.greet() == f"HERE {user.name}!" == say(user)
    return user

@task
def again(users):
    assert [each.greet() for each in users] == ["HERE u1!", "HERE u2!"]
    assert all(type(each) is User for each in users)
    return users

with Flow("HERE") as flow:
    again(greet.map(make.map([1, 2])))
"""


@pytest.mark.parametrize("executor", ["local", "processes:2", "dask"])
def test_flows_in_one_process_have_their_own_modules(home, executor, tmp_path_factory):
    """Two that run at once, and on one cluster, whose modules have one name, do not get the other's."""
    from distributed import LocalCluster

    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "flow.key").write_bytes((home / "flow.key").read_bytes())
    for here, there in (("hello", "goodbye"), ("goodbye", "hello")):
        text = MODELS.replace("hello", here) + (
            "\ndef say(user):\n    from lazily import WORD\n    return f'{WORD} {user.name}!'\n"
        )
        (home / "models.py").write_text(text)
        (home / "lazily.py").write_text(f"EMAIL = ''\nWORD = {here!r}\n")
        (home / "flow.py").write_text(
            MEETS.replace("HOME", str(elsewhere)).replace("HERE", here).replace("OTHER", there)
        )
        prefect(
            home, "build", "flow.py", "-o", elsewhere / f"{here}.flow", "--key-file", "flow.key"
        )
    with LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=":0") as cluster:
        where = f"dask:{cluster.scheduler_address}" if executor == "dask" else executor
        program = [sys.executable, "-c", BESIDE, where]
        done = subprocess.run(
            program, cwd=elsewhere, capture_output=True, text=True, check=False, timeout=240
        )
    assert done.stdout.split() == ["hello", "goodbye", "hello"], done.stderr
