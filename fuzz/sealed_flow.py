"""Coverage-guided fuzzing of what reads a sealed flow: header, JSON, sections, trailer.

    python fuzz/sealed_flow.py [-max_total_time=60] [further options of libFuzzer] [CORPUS]

The first byte of an input chooses what the rest is: the JSON of the core, of the wraps or of the
signatures; a whole file; three blocks of JSON, or the sections, around which a file with right
lengths, digests and MAC is made, so that what stands behind them is reached. The next byte then
chooses which further sections, and so which version, that file has.

Three things must hold: only errors of this package come out; what is accepted marshals back to the
same bytes; and the independent reader of the tests says the same of every file. The first inputs
are the test vectors.
"""

# ruff: noqa: INP001, E402, T201

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import atheris

if TYPE_CHECKING:
    from collections.abc import Callable

TESTS = Path(__file__).parents[1] / "tests" / "sealed"
sys.path.insert(0, str(TESTS))

with atheris.instrument_imports(include=["prefect"]):
    from prefect.errors import FormatError, PrefectError
    from prefect.sealed import format as sealed_format
    from prefect.sealed import reading as sealing
    from prefect.sealed.keys.encryption import EncryptionKey
    from prefect.sealed.keys.recipients import Identity
    from prefect.sealed.keys.signers import Signer
    from prefect.sealed.source import opened

import independent_reader as reader
import independent_writer as writer

INDEX = json.loads((TESTS / "vectors" / "index.json").read_text())
KEY, IDENTITY = INDEX["encryption_keys"]["key-a"], INDEX["identities"]["identity-a"]
SIGNER, SIGNING_KEY = INDEX["signers"]["signer-a"], INDEX["signing_keys"]["signer-a"]
RAW_KEY = base64.urlsafe_b64decode(KEY)
RAW_IDENTITY, RAW_SIGNER, RAW_SIGNING_KEY = (
    base64.b64decode(text.rpartition(":")[2]) for text in (IDENTITY, SIGNER, SIGNING_KEY)
)
POLICIES = [
    (([EncryptionKey(KEY)], None), {"keys": [RAW_KEY]}),
    (
        ([EncryptionKey(KEY), Identity(IDENTITY)], [Signer(SIGNER)]),
        {"keys": [RAW_KEY], "identities": [RAW_IDENTITY], "trusted_signers": [RAW_SIGNER]},
    ),
]
DATA_KEY = bytes(range(32))
SIZES = struct.Struct(">BHHH")
FURTHER = ({}, {"files": b"f" * 9}, {"wheels": b"w" * 9}, {"files": b"", "wheels": b"w" * 9})
WORDS = (
    "prefect sealed flow 1\\x0a", '\\"alg\\":', '\\"key\\":', '\\"kid\\":', '\\"sig\\":', "A256KW", "Ed25519",
    "HPKE-MLKEM768-X25519", "cobblestone256-sha256", "flow+cloudpickle", '\\"length\\":', "==",
    '\\"payload\\":', '\\"sections\\":', '\\"sha256\\":', '\\"suite\\":', "},{", "[{", "}]", "null", "\\\\u00",
    "prefect sealed flow 2\\x0a", '\\"name\\":', '\\"manifest\\"', '\\"files\\"', '\\"wheels\\"',
)  # fmt: skip


def same(found: object, expected: object) -> None:
    """Fail where two things should be equal."""
    if found != expected:
        raise AssertionError(f"{found!r} is not {expected!r}")


def core(data: bytes) -> None:
    """Read a core."""
    same(sealed_format.Core.from_json(data).to_json(), data)


def wraps(data: bytes) -> None:
    """Read wraps."""
    same(sealed_format.wraps_to_json(sealed_format.wraps_from_json(data)), data)


def signatures(data: bytes) -> None:
    """Read signatures."""
    same(sealed_format.signatures_to_json(sealed_format.signatures_from_json(data)), data)


def whole(data: bytes) -> None:
    """Read a file in every way, and with the independent reader."""
    for (keys, trusted), theirs in POLICIES:
        try:
            expected: object = reader.read(data, **theirs)
        except reader.Malformed:
            expected = "FormatError"
        except reader.Refused:
            expected = "AuthenticationError"
        try:
            flow = sealing.open_sealed(data, keys, trusted_signers=trusted)
            result: object = (flow.payload_type, flow.manifest, bytes(flow.payload))
        except PrefectError as error:
            result = type(error).__name__
        same(result, expected[:3] if isinstance(expected, tuple) else expected)
        same(streamed(data, keys, trusted), expected)
        try:
            inspected = sealing.open_manifest(data, keys, trusted_signers=trusted)
        except PrefectError:
            same(isinstance(result, str), True)  # what opens can be inspected
        else:
            same(inspected.manifest, result[1] if isinstance(result, tuple) else inspected.manifest)
    marshalled(data)


def streamed(data: bytes, keys: list, trusted: list | None) -> object:
    """Return what all sections hold, read in pieces and the last first, or the error's name."""
    try:
        with sealing.opening(data, keys, trusted_signers=trusted) as flow:
            found = {name: b"".join(flow.pieces(name)) for name in reversed(flow.sections)}
            return flow.payload_type, found.pop("manifest"), found.pop("payload"), found
    except PrefectError as error:
        return type(error).__name__


def marshalled(data: bytes) -> None:
    """Read what stands around the sections, and write it again."""
    with opened(data) as file:
        layout = sealed_format.read_layout(file)
    block = sealed_format.block
    parts = (
        layout.core.magic,
        block(layout.core.to_json()),
        block(sealed_format.wraps_to_json(layout.wraps)),
        layout.mac,
        data[layout.sections_at : layout.signatures_at],
        block(sealed_format.signatures_to_json(layout.signatures)),
    )
    same(b"".join(parts), data)


def authentic(data: bytes) -> None:
    """Read a file of three blocks, authenticated whatever they are."""
    if found := divided(data):
        further, (one, two, three, four) = found
        parts = {"core": one, "wraps": two, "signatures": three + four}
        whole(file_of(further, **{name: lambda _, part=part: part for name, part in parts.items()}))


def sections(data: bytes) -> None:
    """Read a file of two to four sections, rightly described whatever they are."""
    if found := divided(data):
        further, parts = found
        count = 2 + len(further)
        made = [*parts[: count - 1], b"".join(parts[count - 1 :])]
        whole(file_of(further, sections=lambda _: made))


def divided(data: bytes) -> tuple[dict[str, bytes], list[bytes]] | None:
    """Return which further sections an input chooses, and its four parts."""
    if len(data) < SIZES.size:
        return None
    choice, *sizes = SIZES.unpack_from(data)
    position, parts = SIZES.size, []
    for size in sizes:
        parts.append(data[position : position + size])
        position += size
    return FURTHER[choice % len(FURTHER)], [*parts, data[position:]]


def file_of(further: dict[str, bytes], **changes: Callable) -> bytes:
    """Write a file with changes that its MAC and signature cover."""
    return writer.write(
        b"m", b"p" * 9, further, seed="fuzz", data_key=DATA_KEY, keys=[RAW_KEY],
        signing_keys=[RAW_SIGNING_KEY], **changes,
    )  # fmt: skip


MODES = (core, wraps, signatures, whole, authentic, sections)


def one_input(data: bytes) -> None:
    """Do what an input says."""
    if data:
        with contextlib.suppress(FormatError):
            MODES[data[0] % len(MODES)](data[1:])


def seeds(directory: Path) -> int:
    """Write the vectors, whole and in parts, as the first inputs; return how many."""
    inputs = set()

    def add(mode: Callable, data: bytes) -> None:
        inputs.add(bytes([MODES.index(mode)]) + data)

    for path in (TESTS / "vectors").glob("*.flow"):
        data = path.read_bytes()
        add(whole, data)
        blocks, position = [], len(reader.MAGIC)
        for mode in (core, wraps):
            size = int.from_bytes(data[position : position + 4])
            blocks.append(data[position + 4 : position + 4 + size])
            position += 4 + size
            add(mode, blocks[-1])
        position = data.rfind(b"[")
        add(signatures, data[position:])
        version = 3 if data.startswith(reader.MAGIC_2) else 0
        sizes = (len(block) % 2**16 for block in (*blocks, data[position:]))
        add(authentic, SIZES.pack(version, *sizes) + b"".join(blocks) + data[position:])
    for number, further in enumerate(FURTHER):
        made: list[bytes] = []
        kept: dict[str, bytes] = {}
        file_of(further, sections=lambda all_, made=made: made.extend(all_) or all_)
        for name in ("core", "wraps", "signatures"):
            file_of(
                further, **{name: lambda text, name=name, kept=kept: kept.setdefault(name, text)}
            )
        add(authentic, SIZES.pack(number, *map(len, kept.values())) + b"".join(kept.values()))
        add(sections, sections_of(number, made))
        last = ["payload", *further][-1].encode()
        for size in (0, 16383, 16384, 16385, 40000):
            long = writer.encrypt(reader.derive(DATA_KEY, last), last, bytes(size), bytes(24))
            add(sections, sections_of(number, [*made[:-1], long]))
    for data in inputs:
        (directory / hashlib.sha256(data).hexdigest()).write_bytes(data)
    return len(inputs)


def sections_of(number: int, made: list[bytes]) -> bytes:
    """Return the input that stands for these sections."""
    sizes = [len(one) for one in made[:-1]] + [0] * (4 - len(made))
    return SIZES.pack(number, *sizes) + b"".join(made)


def main() -> None:
    """Run until the time is over or something is found, which is then written to this directory."""
    if any(not argument.startswith("-") for argument in sys.argv[1:]):
        options = ["-max_len=70000", "-print_final_stats=1", "-timeout=20", "-rss_limit_mb=4096"]
        atheris.Setup([sys.argv[0], *options, *sys.argv[1:]], one_input)
        atheris.Fuzz()  # never returns
    with tempfile.TemporaryDirectory() as temporary:
        corpus, words = Path(temporary, "corpus"), Path(temporary, "words")
        corpus.mkdir()
        words.write_text("".join(f'"{word}"\n' for word in WORDS))
        print(f"{seeds(corpus)} first inputs from {TESTS / 'vectors'}", flush=True)
        command = [sys.executable, __file__, f"-dict={words}", *sys.argv[1:], str(corpus)]
        sys.exit(subprocess.run(command, check=False).returncode)  # noqa: S603


if __name__ == "__main__":
    main()
