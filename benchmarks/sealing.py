"""Sealing and opening bytes: ours, AES-256-GCM in one call, Fernet, and age (pyrage).

    python benchmarks/sealing.py [--rounds 5] [--json]

Every measurement is a process of its own, which gets its input, notes its memory, and then does
the thing: large inputs once, small ones for a tenth of a second, of which the median counts. In
each round all of them take their turn; medians of the rounds are compared. Memory is what the
peak rose by above the interpreter with its modules and the input. `info` reads the manifest of a
file, whose payload it leaves alone.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = {"1 KB": 2**10, "1 MB": 2**20, "256 MB": 2**28}
WAYS = ("ours", "ours, signed", "AES-256-GCM", "Fernet", "age")
TARGETS = (
    ("256 MB seal, of AES-256-GCM's speed", ("seal", "256 MB", "AES-256-GCM"), ">= 1.5"),
    ("256 MB open, of AES-256-GCM's speed", ("open", "256 MB", "AES-256-GCM"), ">= 1.5"),
    ("256 MB seal, of Fernet's speed", ("seal", "256 MB", "Fernet"), ">= 10"),
    ("256 MB open, of Fernet's speed", ("open", "256 MB", "Fernet"), ">= 10"),
)
MANIFEST = b'{"flow": "measured"}'
KEY, NONCE = bytes(range(32)), bytes(12)


def plaintext(size: int) -> bytes:
    """Return so many bytes that do not compress."""
    return (os.urandom(min(size, 2**20)) * (size // min(size, 2**20)))[:size]


def ways(way: str, place: Path) -> tuple[Callable[[bytes], Any], Callable[[bytes], Any]]:
    """Return how to seal and how to open."""
    if way == "AES-256-GCM":
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        cipher = AESGCM(KEY)
        return lambda p: cipher.encrypt(NONCE, p, None), lambda c: cipher.decrypt(NONCE, c, None)
    if way == "Fernet":
        import base64  # noqa: PLC0415

        from cryptography.fernet import Fernet  # noqa: PLC0415

        fernet = Fernet(base64.urlsafe_b64encode(KEY))
        return fernet.encrypt, fernet.decrypt
    if way == "age":
        import pyrage  # noqa: PLC0415

        written = place / "age.key"
        if not written.exists():
            written.write_text(str(pyrage.x25519.Identity.generate()))
        identity = pyrage.x25519.Identity.from_str(written.read_text())
        recipients, identities = [identity.to_public()], [identity]
        return lambda p: pyrage.encrypt(p, recipients), lambda c: pyrage.decrypt(c, identities)

    from prefect.sealed.keys.encryption import EncryptionKey  # noqa: PLC0415
    from prefect.sealed.keys.signers import SigningKey  # noqa: PLC0415
    from prefect.sealed.reading import open_sealed  # noqa: PLC0415
    from prefect.sealed.writing import seal  # noqa: PLC0415

    key, signing_key, trusted = EncryptionKey(KEY), None, None
    if way == "ours, signed":
        written = place / "signing.key"
        if not written.exists():
            written.write_text(SigningKey.generate().encode())
        signing_key = SigningKey(written.read_text())
        trusted = [signing_key.signer]
    return (
        lambda p: seal(MANIFEST, p, key, signing_key=signing_key),
        lambda c: open_sealed(c, key, trusted_signers=trusted),
    )


def streaming(action: str, path: Path, size: int) -> Callable[[], Any]:
    """Return how to do something with a file that is never held whole."""
    from prefect.sealed.keys.encryption import EncryptionKey  # noqa: PLC0415
    from prefect.sealed.reading import open_manifest, open_sealed  # noqa: PLC0415
    from prefect.sealed.writing import SealedWriter  # noqa: PLC0415

    key = EncryptionKey(KEY)
    if action == "info":
        return partial(open_manifest, path, key)
    if action == "open file":
        return partial(open_sealed, path, key)
    piece = plaintext(min(size, 2**20))

    def write() -> None:
        with tempfile.TemporaryFile(dir=path.parent) as file:
            writer = SealedWriter(file, MANIFEST, key)
            for _ in range(size // len(piece)):
                writer.write(piece)
            writer.finish()

    return write


def peak() -> int:
    """Return the most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def child(way: str, action: str, size: int, place: Path) -> None:
    """Measure one thing in this process, and print it; `prepare` writes what is opened later."""
    path = place / f"{way}-{size}"
    if action == "prepare":
        path.write_bytes(ways(way, place)[0](plaintext(size)))
        return
    if action in {"seal", "open"}:
        seal, open_ = ways(way, place)
        do = (
            partial(seal, plaintext(size))
            if action == "seal"
            else partial(open_, path.read_bytes())
        )
    else:
        do = streaming(action, path, size)
    if size < 2**28 or action == "info":
        do()  # imports and caches; the memory of a large one is measured the first time
    before = peak()
    seconds, until = [], time.perf_counter() + 0.1
    while not seconds or time.perf_counter() < until:
        begin = time.perf_counter()
        result = do()
        seconds.append(time.perf_counter() - begin)
        memory = peak() - before
        length = len(result) if action == "seal" else 0
        del result
    print(json.dumps({"s": statistics.median(seconds), "memory": memory, "bytes": length}))


def start(way: str, action: str, size: int, place: Path) -> dict[str, Any]:
    """Measure one thing in a new process."""
    command = [sys.executable, __file__, "--child", way, action, str(size), str(place)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout) if done.stdout else {}


def measure(rounds: int) -> list[dict[str, Any]]:
    """Return a row for each thing that is done, with medians."""
    cases = [
        (way, action, name)
        for name, action, way in itertools.product(SIZES, ("seal", "open"), WAYS)
    ]
    cases += [
        ("ours", action, name)
        for action, name in itertools.product(("info", "seal to file", "open file"), SIZES)
    ]
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {case: [] for case in cases}
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        for way, size in itertools.product(WAYS, SIZES.values()):
            start(way, "prepare", size, place)
        for _ in range(rounds):
            for way, action, name in cases:
                found[way, action, name].append(start(way, action, SIZES[name], place))
    rows = []
    for (way, action, name), results in found.items():
        seconds = statistics.median(result["s"] for result in results)
        rows.append(
            {
                "size": name,
                "action": action,
                "way": way,
                "ms": seconds * 1000,
                "MB/s": SIZES[name] / 2**20 / seconds,
                "memory": statistics.median(result["memory"] for result in results),
                "bytes": results[0]["bytes"] or None,
            }
        )
    reference = {(row["size"], row["action"]): row["ms"] for row in rows if row["way"] == WAYS[2]}
    for row in rows:
        than = reference.get((row["size"], row["action"]))
        row["of AES-256-GCM"] = than / row["ms"] if than else None
    return rows


def targets(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what is asked for beside what was measured."""
    ms = {(row["way"], row["action"], row["size"]): row["ms"] for row in rows}
    size = {(row["way"], row["size"]): row["bytes"] for row in rows if row["bytes"]}
    results = [
        {
            "what": what,
            "target": target,
            "measured": ms[way, action, name] / ms["ours", action, name],
        }
        for what, (action, name, way), target in TARGETS
    ]
    info = ms["ours", "info", "256 MB"] / ms["ours", "info", "1 KB"]
    results += [
        {"what": "1 MB grows by, in percent", "target": "< 0.1",
         "measured": (size["ours", "1 MB"] / SIZES["1 MB"] - 1) * 100},
        {"what": "info of 256 MB, of the time for 1 KB", "target": "<= 1.2", "measured": info},
    ]  # fmt: skip
    return results


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        way, action, size, place = options.child
        child(way, action, int(size), Path(place))
        return
    rows = measure(options.rounds)
    asked = targets(rows)
    if options.json:
        print(json.dumps({"rounds": options.rounds, "rows": rows, "targets": asked}, indent=2))
        return
    print(f"medians of {options.rounds} rounds\n")
    print(f"{'':8} {'':13} {'':13} {'ms':>10} {'MB/s':>7} {'of GCM':>7} {'memory':>9} {'size':>13}")
    for row in rows:
        ratio = "" if row["of AES-256-GCM"] is None else f"{row['of AES-256-GCM']:.2f}"
        size = "" if row["bytes"] is None else f"{row['bytes']:,}"
        speed = "" if row["action"] == "info" else f"{row['MB/s']:,.0f}"
        print(
            f"{row['size']:8} {row['action']:13} {row['way']:13} {row['ms']:>10,.3f} {speed:>7} "
            f"{ratio:>7} {row['memory'] / 2**20:>6,.0f} MB {size:>13}"
        )
    print()
    for line in asked:
        print(f"{line['what']:40} {line['measured']:>8.2f}   target {line['target']}")


if __name__ == "__main__":
    main()
