"""Small results in packs."""

import errno
import fcntl
import os
import subprocess
import sys
import threading
import tracemalloc

import pytest
from packs import packed

from prefect.errors import StoreError
from prefect.store.packs import Packs
from prefect.store.pruning import is_locked
from prefect.store.store import open_store

KEYS = [digit * 64 for digit in "abcd"]


def _other(where, program):
    """Run something in another process, on a store of that place."""
    source = f"import sys\nfrom prefect.store.store import open_store\nstore = open_store(sys.argv[1])\n{program}"
    done = subprocess.run(
        [sys.executable, "-c", source, str(where)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


def test_each_process_writes_a_pack_and_finds_what_others_write(tmp_path):
    """Also after it has looked, and of one key what was written last."""
    store = open_store(tmp_path)
    store.put(KEYS[0], 1, {})
    assert _other(tmp_path, f"print(store.value({KEYS[0]!r})); store.put({KEYS[0]!r}, 2, {{}}); store.put({KEYS[1]!r}, 3, {{}})") == "(1,)"  # fmt: skip
    assert store.value(KEYS[1]) == (3,)
    assert _other(tmp_path, f"print(store.value({KEYS[0]!r}))") == "(2,)"
    assert len(list((tmp_path / "packs").iterdir())) == 2


def test_what_a_kill_has_cut_off_is_not_there_and_the_rest_is(tmp_path):
    """Wherever the end of a pack is."""
    _other(tmp_path, f"[store.put(key, key[0], {{}}) for key in {KEYS!r}]")
    (path,) = (tmp_path / "packs").iterdir()
    whole = path.read_bytes()
    ends = [start + len(data) for _, start, _, data in packed(tmp_path)]
    for cut in range(0, len(whole), 13):
        where = tmp_path / str(cut)
        (where / "packs").mkdir(parents=True)
        (where / "packs" / "one").write_bytes(whole[:cut])
        store = open_store(where)
        there = sum(end <= cut for end in ends)
        assert [store.value(key) for key in KEYS] == [(key[0],) for key in KEYS[:there]] + [None] * (4 - there)  # fmt: skip
        store.put(KEYS[3], "new", {})
        assert store.value(KEYS[3]) == ("new",)


def test_what_is_removed_is_gone_from_the_disk(tmp_path):
    """A secret that was stored rests nowhere; what comes after it in its pack stays, and it can be stored anew."""
    store = open_store(tmp_path)
    reader = open_store(f"file://{tmp_path}")
    for key in KEYS:
        store.put(key, f"value-{key[0]}", {"run": key[0]})
    assert reader.value(KEYS[1]) == ("value-b",)
    _other(tmp_path, f"store.remove({KEYS[1]!r})")
    assert b"value-b" not in b"".join(path.read_bytes() for path in (tmp_path / "packs").iterdir())
    for each in (store, reader):
        assert [each.value(key) for key in KEYS] == [("value-a",), None, ("value-c",), ("value-d",)]
    _other(tmp_path, f"store.put({KEYS[1]!r}, 'again', {{}})")
    assert [each.value(KEYS[1]) for each in (store, reader)] == [("again",), ("again",)]


def test_a_fork_waits_for_no_thread_that_it_does_not_have(tmp_path):
    """One that was in the middle of storing something when the process forked."""
    program = (
        "import os, threading\nlocked, go_on = threading.Event(), threading.Event()\n"
        "write = os.write\n"
        "def slow(*given):\n    locked.set()\n    go_on.wait()\n    return write(*given)\n"
        "os.write = slow\n"
        "thread = threading.Thread(target=store.put, args=('a' * 64, 1, {}))\nthread.start()\n"
        "locked.wait()\nos.write = write\nchild = os.fork()\n"
        "if not child:\n    store.put('b' * 64, 2, {})\n    os._exit(0)\n"
        "os.waitpid(child, 0)\ngo_on.set()\nthread.join()\n"
        "print(store.value('a' * 64), store.value('b' * 64))"
    )
    assert _other(tmp_path, program) == "(1,) (2,)"


def test_what_had_a_key_before_is_removed_with_it(tmp_path):
    """In this pack and in others': else whoever looks next would find that, and a secret would rest there."""
    store = open_store(tmp_path)
    _other(tmp_path, f"store.put({KEYS[0]!r}, 'value-1', {{}})")
    store.put(KEYS[0], "value-2", {})
    store.put(KEYS[0], "value-3", {})
    store.put(KEYS[1], "rest", {})
    store.remove(KEYS[0])
    assert b"value-" not in b"".join(path.read_bytes() for path in (tmp_path / "packs").iterdir())
    assert _other(tmp_path, f"print(store.value({KEYS[0]!r}), store.value({KEYS[1]!r}))") == "None ('rest',)"  # fmt: skip


def test_a_pack_is_locked_also_if_somebody_looks_whether_it_is(tmp_path):
    """Else it would be unlocked for as long as its process lives, and be pruned."""
    lookers = []

    def new(path):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        looker = os.open(path, os.O_RDWR)
        fcntl.flock(looker, fcntl.LOCK_EX)
        lookers.append(threading.Timer(0.1, os.close, [looker]))
        lookers[0].start()
        return handle

    packs = Packs(str(tmp_path), lambda: None, new)
    packs.write(KEYS[0], [b"one"])
    lookers[0].join()
    (path,) = tmp_path.iterdir()
    assert is_locked(path)


def test_a_pack_that_is_given_up_is_closed(tmp_path):
    """Or a process that loses its store again and again would run out of files, and the disk would stay full."""
    program = (
        "import os\n"
        "def lose():\n    store.put('a' * 64, 1, {})\n"
        "    [os.unlink(f'{sys.argv[1]}/packs/{each}') for each in os.listdir(f'{sys.argv[1]}/packs')]\n"
        "lose()\nbefore = len(os.listdir('/proc/self/fd'))\n"
        "for _ in range(5): lose()\n"
        "print(len(os.listdir('/proc/self/fd')) - before)"
    )
    assert _other(tmp_path, program) == "0"


def test_a_store_that_was_removed_is_made_again(tmp_path):
    """By the process that wrote to it before."""
    store = open_store(tmp_path / "store")
    store.put(KEYS[0], 1, {})
    for path in (tmp_path / "store" / "packs").iterdir():
        path.unlink()
    (tmp_path / "store" / "packs").rmdir()
    assert store.value(KEYS[0]) is None
    store.put(KEYS[0], 2, {})
    assert store.value(KEYS[0]) == (2,)
    assert _other(tmp_path / "store", f"print(store.value({KEYS[0]!r}))") == "(2,)"


def test_a_full_disk_costs_what_could_not_be_written_alone(tmp_path):
    """Half a result lies at the end of a pack, and what is stored later is found, here and elsewhere."""
    program = (
        "import resource\nstore.put('a' * 64, 1, {})\n"
        "_, most = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (400, most))\n"
        "try: store.put('b' * 64, 'x' * 1000, {})\n"
        "except Exception as error: print(type(error).__name__)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))\n"
        "store.put('c' * 64, 3, {})\nprint(store.value('b' * 64), store.value('c' * 64))"
    )
    assert _other(tmp_path, program) == "StoreError\nNone (3,)"
    store = open_store(tmp_path)
    assert [store.value(key) for key in KEYS] == [(1,), None, (3,), None]


def test_a_fork_has_a_pack_of_its_own(tmp_path):
    """Two processes never append to one."""
    program = (
        "import os\nstore.put('a' * 64, 1, {})\nchild = os.fork()\n"
        "store.put(('b' if child else 'c') * 64, 2, {})\n"
        "if child: os.waitpid(child, 0)\nelse: os._exit(0)"
    )
    _other(tmp_path, program)
    store = open_store(tmp_path)
    assert [store.value(key) for key in KEYS] == [(1,), (2,), (2,), None]
    assert sorted(name[0] for _, _, name, _ in packed(tmp_path)) == ["a", "b", "c"]
    assert len({path for path, _, _, _ in packed(tmp_path)}) == 2


@pytest.mark.parametrize("damage", [b"\0", b"x", b"9"])
def test_damage_hides_what_it_meets_alone(tmp_path, damage):
    """Wherever it is in a pack, also in what says how long something is; and no value passes for another."""
    _other(tmp_path, f"[store.put(key, key[0] * 50, {{}}) for key in {KEYS!r}]")
    (path,) = (tmp_path / "packs").iterdir()
    whole = path.read_bytes()
    met = 0
    for position in range(0, len(whole), 3):
        path.write_bytes(whole[:position] + damage * 4 + whole[position + 4 :])
        packs = Packs(str(tmp_path / "packs"), lambda: None, lambda _: -1)
        store = open_store(tmp_path)
        store.files._packs = packs
        values = [store.value(key) for key in KEYS]
        lost = sum(value is None for value in values)
        assert lost <= 2, position  # both, where it lies in one's end and another's beginning
        assert all(value in (None, (key[0] * 50,)) for key, value in zip(KEYS, values, strict=True))
        met += lost
    assert met
    path.write_bytes(whole)


def test_what_is_stored_passes_for_no_entry(tmp_path):
    """Bytes that look like a pack's, of an attacker for example, are found by nobody, also after damage."""
    fake = b"%s %016x %08x\n{}" % (b"f" * 64, 1, 2)
    _other(tmp_path, f"store.put({KEYS[0]!r}, {fake!r}, {{}}); store.put({KEYS[1]!r}, 2, {{}})")
    (path,) = (tmp_path / "packs").iterdir()
    path.write_bytes(b"#" + path.read_bytes()[1:])
    packs = Packs(str(tmp_path / "packs"), lambda: None, lambda _: -1)
    assert packs.read("f" * 64) is None
    assert packs.read(KEYS[1]) is not None


def test_a_pack_is_looked_through_in_pieces(tmp_path):
    """However large it is; what is longer than a piece and what lies over its border is found as well."""
    packs = Packs(str(tmp_path), lambda: None, lambda path: os.open(path, os.O_WRONLY | os.O_CREAT))
    lengths = [0, 1, 300_000, (1 << 20) - 200, 5, 3 << 20, 100, 700_000, 700_000]
    for number, length in enumerate(lengths):
        packs.write(f"{number:064x}", [bytes([number]) * length + b"."])
    reader = Packs(str(tmp_path), lambda: None, lambda _: -1)
    tracemalloc.start()
    assert reader.read("f" * 64) is None
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 3 << 20
    for number, length in enumerate(lengths):
        assert reader.read(f"{number:064x}") == bytes([number]) * length + b"."


def test_readers_have_one_pack_open_and_see_that_it_is_gone(tmp_path):
    """However many there are: handles are few, and what was pruned is not there any more."""
    for number in range(1, 5):
        _other(tmp_path, f"store.put({f'{number:064x}'!r}, {number}, {{}})")
    program = (
        "import os\nbefore = len(os.listdir('/proc/self/fd'))\n"
        "print([store.value(f'{number:064x}') for number in (1, 2, 3, 4, 1)])\n"
        "print(len(os.listdir('/proc/self/fd')) - before)\n"
        "[os.unlink(f'{sys.argv[1]}/packs/{each}') for each in os.listdir(f'{sys.argv[1]}/packs')]\n"
        "print(store.value(f'{1:064x}'))"
    )
    assert _other(tmp_path, program).splitlines() == ["[(1,), (2,), (3,), (4,), (1,)]", "1", "None"]


def test_many_small_packs_become_one(tmp_path):
    """Of processes that are gone; what was removed is not taken along, and readers who knew the old ones find all."""
    store = open_store(tmp_path)
    _other(
        tmp_path,
        f"import os\nfor number in range(1, 13):\n"
        f"    if not (child := os.fork()):\n"
        f"        store.put(f'{{number:064x}}', number, {{}})\n"
        f"        store.put({KEYS[0]!r}, number, {{}})\n        os._exit(0)\n"
        f"    os.waitpid(child, 0)",
    )
    store.put(KEYS[1], "mine", {})
    keys = [f"{number:064x}" for number in range(1, 13)]
    values = [(number,) for number in range(1, 13)]
    assert [store.value(key) for key in keys] == values
    store.remove(keys[5])
    values[5] = None
    assert store.files.merge_packs() == 0  # they were just used
    assert store.files.merge_packs(idle=0, many=50) == 0
    assert store.files.merge_packs(idle=0) == 11
    assert len(list((tmp_path / "packs").iterdir())) == 2  # and that of this process
    assert [store.value(key) for key in keys] == values
    assert store.value(KEYS[0]) == (12,)
    assert _other(tmp_path, f"print([store.value(key) for key in {keys!r}] == {values!r}, store.value({KEYS[0]!r}), store.value({KEYS[1]!r}))") == "True (12,) ('mine',)"  # fmt: skip
    store.remove(KEYS[0])
    assert _other(tmp_path, f"print(store.value({KEYS[0]!r}), store.value({keys[0]!r}))") == "None (1,)"  # fmt: skip


def _eight(tmp_path):
    """Return a store that has as many packs, of processes that are gone."""
    _other(
        tmp_path,
        "import os\nfor number in range(8):\n    if not (child := os.fork()):\n"
        "        store.put(f'{number:064x}', f'value-{number}', {})\n        os._exit(0)\n    os.waitpid(child, 0)",
    )
    return open_store(tmp_path)


def test_what_is_removed_while_packs_are_merged_is_gone(tmp_path, monkeypatch):
    """By another process, just when it has been copied."""
    store = _eight(tmp_path)
    copied = Packs._copied

    def slowly(*given):
        made = copied(*given)
        _other(tmp_path, f"store.remove({f'{3:064x}'!r})")
        return made

    monkeypatch.setattr(Packs, "_copied", staticmethod(slowly))
    assert store.files.merge_packs(idle=0) == 7
    (path,) = (tmp_path / "packs").iterdir()
    assert b"value-3" not in path.read_bytes()
    assert [store.value(f"{number:064x}") for number in (2, 3, 4)] == [("value-2",), None, ("value-4",)]  # fmt: skip


def test_a_merge_that_fails_leaves_no_pack(tmp_path, monkeypatch):
    """Where a disk is full, each attempt would take of it what is left."""
    store = _eight(tmp_path)
    before = sorted((tmp_path / "packs").iterdir())

    def full(handle, data):
        os.write(handle, data[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("prefect.store.packs._write", full)
        with pytest.raises(StoreError, match=r"cannot be changed.*No space left"):
            store.files.merge_packs(idle=0)
    assert sorted((tmp_path / "packs").iterdir()) == before
    assert store.value(f"{3:064x}") == ("value-3",)


def test_what_was_found_in_a_pack_that_is_gone_is_found_where_it_lay_before(tmp_path, monkeypatch):
    """By a reader that met what a merge had written so far, before that failed."""
    store = _eight(tmp_path)
    assert store.value(f"{3:064x}") == ("value-3",)
    copied = Packs._copied

    def failing(*given):
        copied(*given)
        assert reader.read("f" * 64) is None  # which looks into all
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    reader = Packs(str(tmp_path / "packs"), lambda: None, lambda _: -1)
    whole = reader.read(f"{3:064x}")
    assert whole is not None
    monkeypatch.setattr(Packs, "_copied", staticmethod(failing))
    with pytest.raises(StoreError):
        store.files.merge_packs(idle=0)
    assert reader.read(f"{3:064x}") == whole


def test_packs_that_are_removed_before_they_are_locked_are_not_merged(tmp_path, monkeypatch):
    """By who prunes, or merges them at the same time: what was in them is not made to be there again."""
    store = _eight(tmp_path)
    flock = fcntl.flock

    def late(handle, operation):
        for path in (tmp_path / "packs").iterdir():
            if path.stat().st_ino == os.fstat(handle).st_ino:
                path.unlink()
        flock(handle, operation)

    with monkeypatch.context() as patched:
        patched.setattr("prefect.store.packs.fcntl.flock", late)
        assert store.files.merge_packs(idle=0) == 0
    assert not list((tmp_path / "packs").iterdir())
