"""What is rarer than what `job.py` has, in one task whose results can be compared."""

# fmt: off
import collections, dataclasses, enum, functools, pathlib, sys, typing, abc, types, weakref, operator, itertools, threading, logging, re, decimal, datetime, collections.abc, contextlib, asyncio, inspect
from dataclasses import dataclass, field, InitVar
from prefect import Flow, Task, task

if True:
	def tabbed(x):
		if x:
			return "tab"
		return lambda: "no"

try:
    def in_try(): return "try"
except Exception:
    def in_try(): return "except"

for i in range(2):
    def in_loop(n=i):
        return n

with contextlib.nullcontext():
    def in_with(a, /, *, b=2): return a, b

match 1:
    case 1:
        def in_match(): return "match"

class A: x = staticmethod(lambda s: s); y = lambda self: (self.__z, "é"); __z = 3
ü = "ünï"; after = lambda q: (q, ü)
def twice_defined(): return 1
def twice_defined(): return 2

def decorating(*args, **kwargs):
    return lambda f: functools.wraps(f)(lambda *a: (len(args), kwargs, f(*a)))

@decorating(lambda: 1, key=[
    x for x in range(3)
])
# a comment
@decorating()
def heavily(a=lambda: 5, *, b=(lambda z: z)): 
    # trailing
    return a(), b(3)
    # after

@functools.singledispatch
def dispatch(x): return "object"
@dispatch.register
def _(x: int): return "int"
@dispatch.register(list)
def _(x): return "list"

def outer():
    global made_global
    def made_global(n):
        return n if n < 1 else made_global(n - 1)
    class Local:
        attr = 5
        def __init__(self): self.v = shared
        def me(self): return Local, __class__
        class Nested:
            def get(self): return shared, Local.attr, __class__.__qualname__
        fn = [lambda self, k=k: (k, shared) for k in range(2)][1]
    shared = 9
    return Local
Local = outer()

class Conflict:
    class Local:
        def get(self): return Local is not None, type(self).__qualname__, self.__p
        __p = 1
    def use(self): return Conflict.Local().get()

@dataclass
class WithInit:
    a: "int"
    b: "InitVar[int]" = 3
    c: "typing.ClassVar[int]" = 4
    d: "list" = field(default_factory=lambda: [1])
    def __post_init__(self, b): self.got = b

class Described:
    def __set_name__(self, owner, name): self.name = name
    def __get__(self, obj, kind): return (self.name, obj is None)
    def __set__(self, obj, value): pass
@dataclass
class WithDescriptor:
    x: int = Described()

class Op(enum.Enum):
    ADD = "+"
    SUB = "-"
    def run(self, a, b): return {"+": operator.add, "-": operator.sub}[self.value](a, b)
    def __str__(self): return f"op{self.value}"

class Weekday(enum.IntEnum):
    MON = 1
    @staticmethod
    def of(x): return Weekday(x)
@enum.unique
class Uniq(str, enum.Enum):
    A = "a"
class Perm(enum.IntFlag, boundary=enum.KEEP):
    R = 4; W = 2
Func = enum.Enum("Func", "ONE TWO")

class Desc:
    def __get__(self, o, t=None): return "desc"
class Owner:
    d = Desc()
    pm = functools.partialmethod(lambda self, a, b: (a, b), 1)
    def __getattr__(self, name): return name
    def __call__(self): return "called"
    def __class_getitem__(cls, k): return k

P = typing.ParamSpec("P")
K = typing.TypeVar("K", bound="Owner")
class Gen(typing.Generic[K]):
    def get(self) -> typing.Optional[K]: return None
class TD(typing.TypedDict, total=False):
    a: int
    b: typing.Required[str]
Alias = typing.Union[int, typing.List[str], None]
Modern = int | list[str] | None
class MyErr(ValueError):
    def __init__(self, a, b=2): super().__init__(a); self.b = b
class Ctx:
    def __enter__(self): return self
    def __exit__(self, *e): return True
logger = logging.getLogger("odd")
rx = re.compile(r"\d+", re.I)
made = types.FunctionType(in_try.__code__, globals(), "renamed")
Dyn = type("Dyn", (Owner,), {"m": lambda self: "dyn"})
class ABase(abc.ABC):
    @property
    @abc.abstractmethod
    def p(self): ...
    @classmethod
    @abc.abstractmethod
    def c(cls): ...
class AImpl(ABase):
    @property
    def p(self): return super().p, "p"
    @classmethod
    def c(cls): return super().c(), "c"
class MM(type):
    def __prepare__(name, bases, **k): return collections.OrderedDict()
    def __init__(cls, *a, **k): super().__init__(*a)
    @property
    def prop(cls): return cls.__name__
class UsesMM(metaclass=MM): pass
async def agen():
    for i in range(2):
        yield i
async def acomp(): return [x async for x in agen() if x], {x: y async for x in agen() for y in [1]}
def star(*a, **k): return [*a, *k], {**k, "z": 1}
def longline(): return ("a" * 3, 1_000, 0x1F, 1e-3, 2j, -0.0, ..., None, True, b"", frozenset({1, 2}), {1, 2} & {2}, 5 in {5, 6})
def deep(n): return (lambda: (lambda: (lambda: n)()))()()
def walrus(xs): return [y := 1, y**2], (z for x in xs if (z := x))
def delete():
    x = 1
    del x
    try: x
    except UnboundLocalError as e: return type(e).__name__
def chained(a): return 1 < a < 3 if a else not a
def assertion(x):
    assert x, "message"
    return x
def annotated_locals():
    x: int = 3
    y: "whatever"
    return x
def default_mutable(x=[], y={}): x.append(1); return len(x)
def long_if(n):
    if n == 0: return 0
    elif n == 1: return 1
    else:
        while n > 2:
            n -= 1
            if n == 5: continue
        else: return "else"
def yields():
    x = yield 1
    try: yield x
    finally: pass
def docs():
    """doc
        indented
    """
    return docs.__doc__.split()
def unpack(): (a, *b), c = (1, 2, 3), 4; return a, b, c
class Frozen:
    __slots__ = ("a",)
    __match_args__ = ("a",)
    def __init__(self, a): object.__setattr__(self, "a", a)
    def __setattr__(self, n, v): raise AttributeError(n)
    def __eq__(self, o): return self.a == o.a
    def __hash__(self): return hash(self.a)
@dataclass(frozen=True)
class FD:
    a: int
    cache: dict = field(default_factory=dict, hash=False, compare=False, repr=False)
    def __hash__(self): return 5
DATA = {FD(1): [FD(2)], "n": FD}
partial = functools.partial(star, 1, b=2)
bound = Owner().__call__
getter = operator.itemgetter(1)
path = pathlib.Path("x/y")
now = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
sig = inspect.signature(star)

class Planet(enum.Enum):
    EARTH = (1, 2)
    MARS = (3, 4)
    TERRA = (1, 2)
    def __init__(self, mass, radius): self.mass = mass
    @property
    def twice(self): return self.mass * 2
class Access(enum.Flag):
    NONE = 0
    R = 1
    W = 2
    RW = 3

@task
def enumerations():
    return (Planet.EARTH.twice, Planet["TERRA"], Planet.TERRA is Planet.EARTH, list(Planet.__members__), list(Planet),
        Access["RW"], list(Access.__members__), Access.RW is Access(3), Access.NONE, ~Access.R, list(Access))

@task
def odd():
    r = []
    def t(f, *a, **k):
        try: r.append(repr(f(*a, **k)))
        except Exception as e: r.append(f"{type(e).__name__}: {e}")
    t(tabbed, 1); t(tabbed(0)); t(in_try); t(in_loop); t(in_with, 1); t(in_match); t(A.x, 1); t(A().y); t(after, 1); t(twice_defined)
    t(heavily); t(dispatch, 1); t(dispatch, [1]); t(dispatch, "s"); t(made_global, 3)
    t(lambda: Local().me() == (Local, Local)); t(Local.Nested().get); t(Local().fn); t(lambda: Local().v); t(Conflict().use)
    t(lambda: WithInit(1, 2).got); t(lambda: WithInit(1)); t(lambda: [f.name for f in dataclasses.fields(WithInit)])
    t(lambda: WithDescriptor().x); t(lambda: Op.ADD.run(1, 2)); t(str, Op.SUB); t(Weekday.of, 1); t(lambda: Uniq("a").value)
    t(lambda: Perm(8) | Perm.R); t(lambda: Func.TWO.value); t(lambda: Owner().d); t(lambda: Owner().pm(2)); t(lambda: Owner().foo)
    t(Owner()); t(lambda: Owner[3]); t(Gen().get); t(lambda: TD(a=1)); t(lambda: TD.__required_keys__); t(lambda: (Alias, Modern))
    t(lambda: MyErr(1).b); t(lambda: K.__bound__); t(made); t(lambda: made.__name__); t(Dyn().m); t(AImpl().c); t(lambda: AImpl().p); t(lambda: sorted(ABase.__abstractmethods__))
    t(lambda: UsesMM.prop); t(lambda: asyncio.run(acomp())); t(star, 1, b=2); t(longline); t(deep, 3); t(lambda: list(walrus([1, 0])[1])); t(delete)
    t(chained, 2); t(assertion, 0); t(annotated_locals); t(default_mutable); t(default_mutable); t(long_if, 9); t(lambda: list(yields())); t(docs); t(unpack)
    t(setattr, Frozen(1), "a", 2); t(lambda: DATA[FD(1)]); t(setattr, FD(1), "a", 1); t(partial); t(bound); t(getter, "ab")
    t(lambda: path); t(lambda: now); t(lambda: sig); t(lambda: rx.findall("1a2")); t(lambda: logger.name)
    return r
with Flow("odd") as flow:
    odd()
    enumerations()
if __name__ == "__main__":
    from prefect.payload.packing import pickle_flow
    pickled = pickle_flow(flow)
    to = pathlib.Path(sys.argv[1])
    (to / "m").write_bytes(pickled.manifest.to_json())
    (to / "p").write_bytes(pickled.payload)
