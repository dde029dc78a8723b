"""Write the test vectors of docs/sealed-flow.md: files with at most one fault each, and an index.

    python tests/sealed/make_vectors.py [--check]

Running it again writes the same bytes; `--check` only tells whether it would. The keys in the
index are test keys, known to everybody. The payload of every file is a pickle that, if anybody
loads it, leaves a mark: `builtins.sealed_flow_canary`.
"""

import argparse
import base64
import hashlib
import json
import random
import struct
import sys
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from independent_reader import LABEL, MAGIC, MAGIC_2, SUITE
from independent_writer import (
    canonical,
    public_of,
    sign,
    wrap_for_key,
    wrap_for_recipient,
    write,
)

VECTORS = Path(__file__).parent / "vectors"
INDEX = VECTORS / "index.json"
CANARY = b"cbuiltins\nexec\n(S'import builtins; builtins.sealed_flow_canary = True'\ntR."
MANIFEST = canonical(
    {
        "cloudpickle": "3.1.0",
        "flow": {"name": "vector"},
        "format": 1,
        "implementation": "cpython",
        "prefect": "0.1.0",
        "python": "3.11.7",
        "requirements": {},
    }
)


def material(name: str, size: int) -> bytes:
    """Return the bytes of a test key: anybody can compute them."""
    return random.Random(f"TEST KEY, NOT SECRET: {name}").randbytes(size)


KEYS = {name: material(name, 32) for name in ("key-a", "key-b", "key-c")}
IDENTITIES = {name: material(name, 96) for name in ("identity-a", "identity-b")}
SIGNING_KEYS = {name: material(name, 32) for name in ("signer-a", "signer-b", "signer-e")}
SIGNERS = {
    name: Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    for name, seed in SIGNING_KEYS.items()
}
A, B, C = KEYS.values()
RECIPIENT = public_of(IDENTITIES["identity-a"])
SIGNING_A, SIGNING_B, SIGNING_E = SIGNING_KEYS.values()
DATA_KEY = material("data key of the files for recipients", 32)


def recipient_wrap() -> bytes:
    """Return the one wrap that is not computed from a seed: that of the last run, if there is."""
    try:
        wrapped = base64.b64decode(json.loads(INDEX.read_text())["recipient_wrap"])
        identity = IDENTITIES["identity-a"]
        private = hpke.MLKEM768X25519PrivateKey(
            MLKEM768PrivateKey.from_seed_bytes(identity[:64]),
            X25519PrivateKey.from_private_bytes(identity[64:]),
        )
        if SUITE.decrypt(wrapped, private, LABEL + b"recipient") == DATA_KEY:
            return wrapped
    except FileNotFoundError:
        pass
    return base64.b64decode(wrap_for_recipient(RECIPIENT, DATA_KEY)["key"])


WRAPPED = recipient_wrap()


class Vectors:
    """The files and what the index says of them."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.entries: list[dict] = []

    def add(
        self,
        name: str,
        description: str,
        data: bytes,
        expected: str,
        *,
        inspection: str | None = None,
        keys=("key-a",),
        identities=(),
        signers=(),
        payload: bytes | None = None,
        manifest: bytes = MANIFEST,
        payload_type="flow+cloudpickle",
        further=None,
    ) -> None:
        """Add a file; what it holds is told where it opens."""
        file = f"{name}.flow"
        assert file not in self.files, name
        self.files[file] = data
        entry = {
            "file": file,
            "description": description,
            "keys": list(keys),
            "identities": list(identities),
            "trusted_signers": list(signers),
            "expected": expected,
            "inspection": inspection or expected,
        }
        if "ok" in {expected, inspection} or expected == "NotAFlowError":
            entry["payload_type"] = payload_type
            entry["manifest_sha512"] = hashlib.sha512(manifest).hexdigest()
            found = CANARY if payload is None else payload
            entry["payload_sha512"] = hashlib.sha512(found).hexdigest()
            if further is not None:
                entry["further_sha512"] = {
                    name: hashlib.sha512(content).hexdigest() for name, content in further.items()
                }
        self.entries.append(entry)


def make(name: str, payload: bytes = CANARY, manifest: bytes = MANIFEST, **options) -> bytes:
    """Write one file for key-a, unless other holders are named."""
    if not options.keys() & {"keys", "recipients"}:
        options["keys"] = [A]
    if "recipients" in options:
        options |= {"data_key": DATA_KEY, "wrapped": WRAPPED}
    return write(manifest, payload, seed=name, **options)


def zlib_stream(content: bytes) -> bytes:
    """Return a zlib stream that does not depend on the release of zlib: nothing is packed in it."""
    size = len(content).to_bytes(2, "little")
    rest = (len(content) ^ 0xFFFF).to_bytes(2, "little")
    return b"x\x01\x01" + size + rest + content + zlib.adler32(content).to_bytes(4)


def regions(data: bytes) -> dict[str, tuple[int, int]]:
    """Return where each part of a well-formed file begins and ends."""
    found = {"magic": (0, len(MAGIC))}
    position = len(MAGIC)

    def take(name: str, size: int) -> None:
        nonlocal position
        found[name] = (position, position + size)
        position += size

    def block(name: str) -> None:
        (size,) = struct.unpack_from(">I", data, position)
        take(f"{name} length", 4)
        take(name, size)

    block("core")
    block("wraps")
    take("header MAC", 64)
    core = json.loads(data[slice(*found["core"])])
    for section, name in zip(core["sections"], ("manifest", "payload", None, None), strict=False):
        take(name or section["name"], int(section["length"], 16))
    block("signatures")
    return found


def flipped(data: bytes, position: int, mask: int = 1) -> bytes:
    """Change bits of one byte."""
    changed = bytearray(data)
    changed[position] ^= mask
    return bytes(changed)


def replaced(old: bytes, new: bytes):
    """Return a change of JSON that must find its place."""

    def change(text: bytes) -> bytes:
        assert old in text, (old, text)
        return text.replace(old, new, 1)

    return change


def constant(text: bytes):
    """Return a change that leaves nothing of what was there."""
    return lambda _: text


def payload_changed(change):
    """Return a change of the payload's ciphertext alone."""
    return lambda sections: [sections[0], change(sections[1])]


def good(vectors: Vectors) -> None:
    """Add what must open."""
    ok = "ok"
    vectors.add("good-one-key", "one encryption key", make("one-key"), ok)
    vectors.add(
        "good-keyring",
        "the reader's second key fits",
        make("keyring"),
        ok,
        keys=["key-c", "key-a"],
    )
    several = make("several", keys=[A, B, C])
    vectors.add("good-several-wraps", "three keys; the last reads", several, ok, keys=["key-c"])
    many = [material(f"wrap {i}", 32) for i in range(15)]
    vectors.add("good-16-wraps", "as many wraps as there may be", make("16", keys=[*many, A]), ok)
    recipient = make("recipient", recipients=[RECIPIENT], signing_keys=[SIGNING_A])
    reader = {"keys": [], "identities": ["identity-a"], "signers": ["signer-a"]}
    vectors.add("good-recipient", "a recipient's file, signed", recipient, ok, **reader)
    both = make("both", keys=[A], recipients=[RECIPIENT], signing_keys=[SIGNING_A])
    vectors.add("good-key-and-recipient", "a key and a recipient; the key reads", both, ok)
    vectors.add(
        "good-recipient-and-key", "a key and a recipient; the identity reads", both, ok, **reader
    )
    vectors.add(
        "good-recipient-of-two",
        "the reader's second identity fits",
        recipient,
        ok,
        keys=["key-b"],
        identities=["identity-b", "identity-a"],
        signers=["signer-b", "signer-a"],
    )
    vectors.add(
        "good-signed-no-policy", "signed; no policy", make("np", signing_keys=[SIGNING_E]), ok
    )
    vectors.add(
        "good-two-signatures",
        "two signatures; the second is a trusted signer's",
        make("two", signing_keys=[SIGNING_E, SIGNING_A]),
        ok,
        signers=["signer-a"],
    )
    sixteen = make("s16", signing_keys=[*[material(f"s{i}", 32) for i in range(15)], SIGNING_A])
    vectors.add(
        "good-16-signatures", "as many signatures as may be", sixteen, ok, signers=["signer-a"]
    )
    signed = make("hint", signing_keys=[SIGNING_A])
    kid = sign(SIGNING_A, b"")["kid"].encode()
    vectors.add(
        "good-signature-wrong-hint",
        "the signature's kid is nobody's: it is but a hint",
        signed.replace(b'"kid":"' + kid, b'"kid":"' + b"0" * 16),
        ok,
        signers=["signer-a"],
    )
    start, _ = regions(signed)["signatures"]
    vectors.add(
        "good-invalid-signature-no-policy",
        "an invalid signature, and a reader that trusts nobody in particular",
        flipped(signed, signed.index(b'"sig":"', start) + 9),
        ok,
    )
    hint = replaced(wrap_for_key(A, DATA_KEY, b"")["kid"].encode(), b"0" * 16)
    vectors.add("good-wrap-wrong-hint", "the wrap's kid is nobody's", make("wh", wraps=hint), ok)
    decoy = canonical(wrap_for_key(A, material("decoy", 32), b""))
    vectors.add(
        "good-decoy-wrap",
        "before the right wrap stands one of the same key with another data key",
        make("decoy", wraps=replaced(b"[", b"[" + decoy + b",")),
        ok,
    )
    for size in (0, 1, 16383, 16384, 16385):
        data = material(f"payload {size}", size)
        made = make(f"size {size}", data)
        vectors.add(f"good-payload-{size}", f"{size} bytes of payload", made, ok, payload=data)
    vectors.add("good-manifest-0", "an empty manifest", make("m0", manifest=b""), ok, manifest=b"")
    vectors.add(
        "not-a-flow",
        "authentic, with a payload that is said to be no flow",
        make("not a flow", payload_type="canary+pickle"),
        "NotAFlowError",
        payload_type="canary+pickle",
    )
    longest = "a0+.-" * 12 + "flow"
    vectors.add(
        "not-a-flow-longest-type",
        "a payload's type of 64 characters",
        make("longest", payload_type=longest),
        "NotAFlowError",
        payload_type=longest,
    )


def foreign(vectors: Vectors) -> None:
    """Add what is no sealed flow of this version."""
    base = make("one-key")
    token = b"gAAAAABmAAAA" + base64.urlsafe_b64encode(material("token", 61))
    age = (
        b"age-encryption.org/v1\n-> X25519 "
        + base64.b64encode(material("share", 32)).rstrip(b"=")
        + b"\n"
        + base64.b64encode(material("body", 32)).rstrip(b"=")
        + b"\n--- "
        + base64.b64encode(material("mac", 32)).rstrip(b"=")
        + b"\n"
        + material("age payload", 64)
    )
    draft = replaced(b'"length":"', b'"length":')
    for name, description, data in (
        ("empty", "no bytes", b""),
        ("raw-pickle", "a pickle, not sealed at all", CANARY),
        ("fernet-token", "a Fernet token's shape", token),
        ("age-file", "an age file's shape", age),
        ("noise", "random bytes", material("noise", 500)),
        (
            "magic-version-2",
            "the first line of version 2",
            base.replace(b"flow 1\n", b"flow 2\n", 1),
        ),
        ("magic-version-3", "a later version", base.replace(b"flow 1\n", b"flow 3\n", 1)),
        ("magic-version-10", "a much later version", base.replace(b"flow 1\n", b"flow 10\n", 1)),
        ("magic-crlf", "the first line ends as on Windows", base.replace(b"\n", b"\r\n", 1)),
        ("magic-bom", "a byte order mark before it", b"\xef\xbb\xbf" + base),
        ("magic-capital", "another spelling of the first line", b"P" + base[1:]),
        ("magic-alone", "the first line and nothing else", MAGIC),
        ("no-newline", "the first line without its end", MAGIC[:-1]),
        ("draft", "lengths as the draft wrote them", make("draft", core=draft)),
    ):
        vectors.add(f"foreign-{name}", description, data, "FormatError")


def cores(vectors: Vectors) -> None:
    """Add cores of another shape, in files that are authentic but for it."""
    base = make("one-key")
    text = base[slice(*regions(base)["core"])]
    length = b'"length":"' + f"{len(CANARY) + 72:016x}".encode()
    digest = text[text.index(b'"sha256":"') + 10 :][:64]
    flow = b'"payload":"flow+cloudpickle"'
    section = text[text.index(b"[{") + 1 : text.index(b"},{") + 1]
    deep = b"[" * 30_000 + b"]" * 30_000
    for name, description, change in (
        ("unknown-suite", "a suite of a later release", replaced(b"256-sha256", b"512-sha256")),
        ("suite-null", "no suite", replaced(b'"cobblestone256-sha256"', b"null")),
        ("unknown-key", "one key more", replaced(b',"suite"', b',"spare":"","suite"')),
        ("missing-key", "one key less", replaced(flow + b",", b"")),
        ("duplicate-key", "one key twice", replaced(b"{", b"{" + flow + b",")),
        ("duplicate-length", "a section's length twice", replaced(length, length + b'",' + length)),
        ("key-order", "keys in another order", lambda t: b"{" + t[t.index(b'"suite"') : -1] + b"," + t[1:t.index(b',"suite"')] + b"}"),
        ("white-space", "a space after a comma", replaced(b",", b", ")),
        ("newline-at-end", "a line's end after it", lambda t: t + b"\n"),
        ("escape", "a letter spelled as an escape", replaced(b'"suite"', b'"s\\u0075ite"')),
        ("escaped-value", "a letter of a value as an escape", replaced(b'"flow+', b'"\\u0066low+')),
        ("nan", "NaN for a value", replaced(b'"cobblestone256-sha256"', b"NaN")),
        ("infinity", "-Infinity for a length", replaced(length + b'"', b'"length":-Infinity')),
        ("number", "a length as a number", replaced(length + b'"', b'"length":146')),
        ("huge-number", "a number of 5000 digits", replaced(length + b'"', b'"length":' + b"9" * 5000)),
        ("exponent", "a length as 1e400", replaced(length + b'"', b'"length":1e400')),
        ("true", "a length that is true", replaced(length + b'"', b'"length":true')),
        ("length-short", "15 digits", replaced(b'"length":"0', b'"length":"')),
        ("length-long", "17 digits", replaced(b'"length":"', b'"length":"0')),
        ("length-upper", "upper-case digits in a length", lambda t: t.replace(f"{len(MANIFEST) + 72:016x}".encode(), f"{len(MANIFEST) + 72:016X}".encode())),
        ("length-prefix", "0x before the digits", replaced(b'"length":"00', b'"length":"0x')),
        ("length-sign", "a sign before the digits", replaced(b'"length":"0', b'"length":"+')),
        ("length-underscore", "an underscore among the digits", replaced(b'"length":"000', b'"length":"0_0')),
        ("length-space", "a space before the digits", replaced(b'"length":"0', b'"length":" ')),
        ("length-71", "a ciphertext of less than 72 bytes", replaced(length, b'"length":"%016x' % 71)),
        ("length-zero", "a ciphertext of no bytes", replaced(length, b'"length":"%016x' % 0)),
        ("length-less", "a payload of one byte less than is there", replaced(length, b'"length":"%016x' % (len(CANARY) + 71))),
        ("length-more", "a payload of one byte more than is there", replaced(length, b'"length":"%016x' % (len(CANARY) + 73))),
        ("length-manifest-limit", "a manifest beyond its limit", replaced(f"{len(MANIFEST) + 72:016x}".encode(), b"%016x" % (2**28 + 1))),
        ("length-limit", "a payload beyond its limit", replaced(length, b'"length":"%016x' % (2**40 + 1))),
        ("length-huge", "a length of 2^64 - 1", replaced(length, b'"length":"' + b"f" * 16)),
        ("length-2-63", "a length of 2^63", replaced(length, b'"length":"8' + b"0" * 15)),
        ("digest-upper", "an upper-case digest", lambda t: t.replace(digest, digest.upper(), 1)),
        ("digest-short", "a digest of 63 bytes", replaced(digest, digest[:-2])),
        ("digest-odd", "a digest of 127 digits", replaced(digest, digest[:-1])),
        ("digest-spaces", "a digest with a space in it", replaced(digest, digest[:62] + b" " + digest[63:])),
        ("one-section", "one section", replaced(b"," + text[text.index(b"},{") + 2 : text.index(b"]")], b"")),
        ("three-sections", "three sections", replaced(section, section + b"," + section)),
        ("no-section", "no section", lambda t: t[: t.index(b"[") + 1] + t[t.index(b"]") :]),
        ("section-text", "a section that is text", replaced(section, b'"manifest"')),
        ("section-key", "a section with one key more", replaced(b'"sha256"', b'"name":"x","sha256"')),
        ("type-empty", "an empty type", replaced(flow, b'"payload":""')),
        ("type-long", "a type of 65 characters", replaced(flow, b'"payload":"' + b"a" * 65 + b'"')),
        ("type-upper", "an upper-case type", replaced(flow, b'"payload":"Flow"')),
        ("type-newline", "a line's end in the type", replaced(flow, b'"payload":"flow\\n"')),
        ("type-del", "a control character in the type", replaced(flow, b'"payload":"flow\x7f"')),
        ("type-escape", "a letter that is not ASCII in the type", replaced(flow, b'"payload":"fl\\u00f6w"')),
        ("type-surrogate", "half of a character in the type", replaced(flow, b'"payload":"\\ud800"')),
        ("type-null", "a type that is null", replaced(flow, b'"payload":null')),
        ("type-utf8", "UTF-8 in clear", replaced(flow, '"payload":"flöw"'.encode())),
        ("bad-utf8", "bytes that are no UTF-8", replaced(flow, b'"payload":"fl\xff\xfew"')),
        ("nul", "a zero byte in it", replaced(flow, b'"payload":"flow\0"')),
        ("utf16", "UTF-16", lambda t: t.decode().encode("utf-16")),
        ("bom", "a byte order mark before it", lambda t: b"\xef\xbb\xbf" + t),
        ("null", "null", constant(b"null")),
        ("list", "a list", lambda t: b"[" + t + b"]"),
        ("not-json", "no JSON", constant(b"suite: cobblestone")),
        ("deep", "30,000 lists in each other", constant(deep)),
        ("deep-open", "60,000 lists that never end", constant(b"[" * 60_000)),
        ("deep-objects", "10,000 objects in each other", constant(b'{"a":' * 10_000 + b"1" + b"}" * 10_000)),
        ("empty", "of no bytes", constant(b"")),
        ("too-long", "of 65,537 bytes", lambda t: t + b" " * (65537 - len(t))),
    ):  # fmt: skip
        vectors.add(
            f"core-{name}", f"core: {description}", make("one-key", core=change), "FormatError"
        )
    huge = base[: len(MAGIC)] + b"\xff" * 4 + base[len(MAGIC) + 4 :]
    vectors.add("core-length-4-gib", "a core of 2^32 - 1 bytes", huge, "FormatError")


def wraps(vectors: Vectors) -> None:
    """Add wraps of another shape, in files that are authentic but for it."""
    base = make("one-key")
    text = base[slice(*regions(base)["wraps"])]
    (wrap,) = json.loads(text)
    key, kid = wrap["key"].encode(), wrap["kid"].encode()
    entry = text[1:-1]
    spare = key[:-3] + bytes([key[-3] + 1]) + key[-2:]
    assert base64.b64decode(spare) == base64.b64decode(key)
    other = [material(f"wrap {i}", 32) for i in range(16)]
    for name, description, change in (
        ("none", "no wrap", constant(b"[]")),
        ("object", "no list", constant(entry)),
        ("null", "null", constant(b"null")),
        ("empty", "of no bytes", constant(b"")),
        ("unknown-alg", "one way that is unknown", replaced(b"A256KW", b"A512KW")),
        ("alg-none", "not wrapped at all", replaced(b"A256KW", b"none")),
        ("alg-case", "the way in small letters", replaced(b"A256KW", b"a256kw")),
        ("second-unknown-alg", "a second wrap in an unknown way", replaced(entry, entry + b"," + entry.replace(b"A256KW", b"A512KW"))),
        ("unknown-key", "one key more", replaced(b'"kid"', b'"k":"","kid"')),
        ("missing-key", "no kid", replaced(b',"kid":"' + kid + b'"', b"")),
        ("duplicate-key", "one key twice", replaced(b"{", b'{"alg":"A256KW",')),
        ("white-space", "a space at the end", lambda t: t + b" "),
        ("key-order", "keys in another order", lambda t: b'[{"kid":"%b","alg":"A256KW","key":"%b"}]' % (kid, key)),
        ("nan", "NaN for a key", replaced(b'"' + key + b'"', b"NaN")),
        ("text", "text in the list", replaced(entry, entry + b',"wrap"')),
        ("base64-spare-bits", "base64 with spare bits set", replaced(key, spare)),
        ("base64-no-padding", "base64 without padding", replaced(key, key.rstrip(b"="))),
        ("base64-url-safe", "the other alphabet of base64", lambda t: t.replace(key, base64.urlsafe_b64encode(b"\xff" * 40))),
        ("base64-newline", "a line's end in the base64", replaced(key, key[:20] + b"\\n" + key[20:])),
        ("base64-padding-inside", "padding in the midst of the base64", replaced(key, key[:20] + b"====" + key[20:])),
        ("base64-empty", "no base64 at all", replaced(key, b"")),
        ("key-short", "32 bytes of wrapped key", replaced(key, base64.b64encode(bytes(32)))),
        ("key-long", "48 bytes of wrapped key", replaced(key, base64.b64encode(bytes(48)))),
        ("kid-short", "a kid of 15 digits", replaced(kid, kid[:-1])),
        ("kid-upper", "an upper-case kid", replaced(kid, b"ABCDEFABCDEFABCD")),
        ("kid-text", "a kid that is not hexadecimal", replaced(kid, b"the key of alice")),
        ("kid-number", "a kid that is a number", replaced(b'"' + kid + b'"', b"5")),
        ("deep", "30,000 lists in each other", constant(b"[" * 30_000 + b"]" * 30_000)),
        ("too-long", "of 65,537 bytes", lambda t: t + b" " * (65537 - len(t))),
    ):  # fmt: skip
        vectors.add(
            f"wraps-{name}", f"wraps: {description}", make("one-key", wraps=change), "FormatError"
        )
    vectors.add("wraps-17", "wraps: one too many", make("17", keys=[A, *other]), "FormatError")
    many = constant(b"[" + b",".join([entry] * 400) + b"]")
    vectors.add("wraps-400", "wraps: 400", make("one-key", wraps=many), "FormatError")
    short = replaced(base64.b64encode(WRAPPED), base64.b64encode(WRAPPED[:-1]))
    vectors.add(
        "wraps-hpke-short",
        "wraps: a recipient's wrap that lacks a byte",
        make("hs", keys=[A], recipients=[RECIPIENT], signing_keys=[SIGNING_A], wraps=short),
        "FormatError",
    )
    start, _ = regions(base)["wraps length"]
    huge = base[:start] + b"\xff" * 4 + base[start + 4 :]
    vectors.add("wraps-length-4-gib", "wraps of 2^32 - 1 bytes", huge, "FormatError")


def trailers(vectors: Vectors) -> None:
    """Add signatures of another shape."""
    base = make("signed", signing_keys=[SIGNING_A])
    text = base[slice(*regions(base)["signatures"])]
    (signature,) = json.loads(text)
    sig, kid = signature["sig"].encode(), signature["kid"].encode()
    spare = sig[:-3] + bytes([sig[-3] + 1]) + sig[-2:]
    assert base64.b64decode(spare) == base64.b64decode(sig)
    for name, description, change in (
        ("null", "null", constant(b"null")),
        ("object", "no list", constant(text[1:-1])),
        ("empty", "of no bytes", constant(b"")),
        ("unknown-alg", "an unknown algorithm", replaced(b"Ed25519", b"Ed448")),
        ("unknown-key", "one key more", replaced(b'"sig"', b'"s":"","sig"')),
        ("duplicate-key", "one key twice", replaced(b"{", b'{"alg":"Ed25519",')),
        ("white-space", "a space after a comma", replaced(b",", b", ")),
        ("base64-spare-bits", "base64 with spare bits set", replaced(sig, spare)),
        ("base64-no-padding", "base64 without padding", replaced(sig, sig.rstrip(b"="))),
        ("short", "a signature of 63 bytes", replaced(sig, base64.b64encode(bytes(63)))),
        ("kid-upper", "an upper-case kid", replaced(kid, b"ABCDEFABCDEFABCD")),
        ("17", "one too many", constant(b"[" + b",".join([text[1:-1]] * 17) + b"]")),
        ("deep", "30,000 lists in each other", constant(b"[" * 30_000 + b"]" * 30_000)),
        ("bad-utf8", "bytes that are no UTF-8", constant(b"\xff\xfe")),
        ("too-long", "of 65,537 bytes", lambda t: t + b" " * (65537 - len(t))),
    ):
        data = make("signed", signing_keys=[SIGNING_A], signatures=change)
        vectors.add(f"signatures-{name}", f"signatures: {description}", data, "FormatError")
    start, _ = regions(base)["signatures length"]
    huge = base[:start] + b"\xff" * 4 + base[start + 4 :]
    vectors.add("signatures-length-4-gib", "signatures of 2^32 - 1 bytes", huge, "FormatError")


def damage(vectors: Vectors) -> None:
    """Add files that were damaged or tampered with after they were sealed."""
    wrong = "AuthenticationError"
    base = make("one-key", keys=[A, B])
    at = regions(base)
    core, wraps_at = base[slice(*at["core"])], base[slice(*at["wraps"])]
    digest = at["core"][0] + core.index(b'"sha256":"') + 10
    in_wraps = at["wraps"][0]
    manifest, payload = at["manifest"][0], at["payload"][0]
    for name, position, mask, expected, inspection in (
        ("magic", 3, 1, "FormatError", None),
        ("core-length", at["core length"][0] + 3, 1, "FormatError", None),
        ("core-quote", at["core"][0] + 1, 1, "FormatError", None),
        ("core-digest", digest, 1 if chr(base[digest]) not in "9`ag" else 2, wrong, None),
        ("core-type", at["core"][0] + core.index(b"flow+"), 1, wrong, None),
        ("wraps-length", at["wraps length"][0] + 3, 1, "FormatError", None),
        ("wraps-key", in_wraps + wraps_at.index(b'"key":"') + 7, 0, wrong, None),
        ("wraps-kid", in_wraps + wraps_at.index(b'"kid":"') + 7, 0, wrong, None),
        ("mac-first", at["header MAC"][0], 1, wrong, None),
        ("mac-last", at["header MAC"][1] - 1, 128, wrong, None),
        ("manifest-salt", manifest, 1, wrong, None),
        ("manifest-commitment", manifest + 24, 1, wrong, None),
        ("manifest-chunk", manifest + 56, 1, wrong, None),
        ("manifest-tag", at["manifest"][1] - 1, 1, wrong, None),
        ("payload-salt", payload, 1, wrong, "ok"),
        ("payload-commitment", payload + 24, 1, wrong, "ok"),
        ("payload-chunk", payload + 56, 1, wrong, "ok"),
        ("payload-tag", at["payload"][1] - 1, 1, wrong, "ok"),
        ("signatures-length", at["signatures length"][0] + 3, 1, "FormatError", None),
        ("signatures", at["signatures"][0], 1, "FormatError", None),
    ):
        if mask:
            changed = flipped(base, position, mask)
        else:  # another character of the same alphabet
            other = b"1" if base[position : position + 1] != b"1" else b"2"
            changed = base[:position] + other + base[position + 1 :]
        description = f"a change in the {name.replace('-', ' ')}"
        vectors.add(f"flip-{name}", description, changed, expected, inspection=inspection)

    vectors.add("wrong-key", "a key that is none of its keys", base, wrong, keys=["key-c"])
    vectors.add("mac-zero", "a MAC of zeros", make("mz", mac=constant(bytes(64))), wrong)
    ends = {
        "in-magic": 10,
        "after-magic": at["magic"][1],
        "in-core-length": at["core length"][0] + 2,
        "in-core": at["core"][0] + 50,
        "after-core": at["core"][1],
        "in-wraps": at["wraps"][0] + 50,
        "after-wraps": at["wraps"][1],
        "in-mac": at["header MAC"][0] + 63,
        "after-mac": at["header MAC"][1],
        "in-manifest": manifest + 100,
        "after-manifest": at["manifest"][1],
        "in-payload": payload + 60,
        "last-byte-of-payload": at["payload"][1] - 1,
        "after-payload": at["payload"][1],
        "in-signatures-length": at["signatures length"][0] + 3,
        "before-signatures": at["signatures"][0],
        "last-byte": len(base) - 1,
    }
    for name, end in ends.items():
        vectors.add(f"cut-{name}", f"cut off at byte {end}", base[:end], "FormatError")
    for name, extra in (("newline", b"\n"), ("zero", b"\0"), ("another-file", base)):
        vectors.add(
            f"trailing-{name}", f"{len(extra)} bytes after the end", base + extra, "FormatError"
        )

    split = len(wraps_at) // 2
    first, second = wraps_at[1:split], wraps_at[split + 1 : -1]
    assert wraps_at == b"[" + first + b"," + second + b"]"
    other = make("other", keys=[A, B])
    other_wraps = other[slice(*regions(other)["wraps"])]
    for name, description, new in (
        ("reordered", "the wraps in another order", b"[" + second + b"," + first + b"]"),
        ("removed", "a wrap less", b"[" + first + b"]"),
        ("added", "a wrap more", b"[" + first + b"," + second + b"," + first + b"]"),
        ("spliced", "the wraps of another file with the same keys", other_wraps),
    ):
        size = struct.pack(">I", len(new))
        changed = base[: at["wraps length"][0]] + size + new + base[at["wraps"][1] :]
        vectors.add(f"wraps-{name}", description, changed, wrong)


def sections(vectors: Vectors) -> None:
    """Add sections that are not what they should be."""
    wrong = "AuthenticationError"
    chunk = 16400
    long = material("three chunks", 40_000)

    def swapped(pair):
        return pair[::-1]

    def move(section, order):
        body = section[56:]
        parts = [body[i : i + chunk] for i in range(0, len(body), chunk)]
        return section[:56] + b"".join(parts[i] for i in order)

    equal = CANARY.ljust(len(MANIFEST), b"\n")
    vectors.add(
        "sections-swapped", "sections of one length, swapped", make("sw", equal, stored=swapped),
        wrong, payload=equal,
    )  # fmt: skip
    vectors.add(
        "sections-swapped-described",
        "the payload's ciphertext as the manifest, and the other way round, rightly described",
        make("swd", sections=swapped),
        wrong,
    )
    vectors.add(
        "sections-subkeys-swapped",
        "sections that were encrypted with each other's subkeys and names",
        make("swk", section_keys=(b"payload", b"manifest")),
        wrong,
    )
    for name, description, order in (
        ("reordered", "two chunks in another order", (1, 0, 2)),
        ("repeated", "a chunk in another's place", (0, 0, 2)),
    ):
        stored = payload_changed(lambda section, order=order: move(section, order))
        vectors.add(
            f"chunks-{name}", description, make("three", long, stored=stored), wrong,
            inspection="ok", payload=long,
        )  # fmt: skip
    for name, description, data, change in (
        ("reordered-described", "chunks in another order, rightly described", long, lambda s: move(s, (1, 0, 2))),
        ("dropped-described", "without its last chunk, rightly described", long, lambda s: move(s, (0, 1))),
        ("first-dropped-described", "without its first chunk, rightly described", long, lambda s: move(s, (1, 2))),
        ("doubled-end-described", "with its last chunk twice, rightly described", long, lambda s: move(s, (0, 1, 2, 2))),
        ("empty-end-dropped-described", "of a whole chunk, without the empty one, rightly described", long[:16384], lambda s: s[:-16]),
        ("half-tag-described", "with half a tag after a whole chunk, rightly described", long[:16384], lambda s: s[:-8]),
        ("extra-byte-described", "with one byte more, rightly described", CANARY, lambda s: s + b"\0"),
        ("flipped-described", "with a flipped bit, rightly described", CANARY, lambda s: flipped(s, 60)),
        ("commitment-described", "with another commitment, rightly described", CANARY, lambda s: flipped(s, 24)),
        ("salt-described", "with another salt, rightly described", CANARY, lambda s: flipped(s, 0)),
    ):  # fmt: skip
        vectors.add(
            f"payload-{name}", f"a payload {description}",
            make(f"payload {name}", data, sections=payload_changed(change)), wrong,
            inspection="ok", payload=data,
        )  # fmt: skip
    one, two = (make(name, data_key=DATA_KEY) for name in ("one", "two"))
    start, end = regions(one)["payload"]
    vectors.add(
        "sections-spliced",
        "the payload of another file with the same data key",
        one[:start] + two[slice(*regions(two)["payload"])] + one[end:],
        wrong,
        inspection="ok",
    )


def signatures(vectors: Vectors) -> None:
    """Add what a reader's policy refuses."""
    wrong, policy = "AuthenticationError", {"signers": ["signer-a", "signer-b"]}
    signed = make("policy", signing_keys=[SIGNING_A])
    start, _ = regions(signed)["signatures"]
    value = signed.index(b'"sig":"', start) + 7
    e_as_a = sign(SIGNING_A, b"")["kid"].encode()
    e = sign(SIGNING_E, b"")["kid"].encode()

    def altered(data, position):
        other = b"1" if data[position : position + 1] != b"1" else b"2"
        return data[:position] + other + data[position + 1 :]

    def elsewhere(_):
        other = make("another file", signing_keys=[SIGNING_A])
        return other[slice(*regions(other)["signatures"])]

    def bare(_):
        core = signed[slice(*regions(signed)["core"])]
        plain = Ed25519PrivateKey.from_private_bytes(SIGNING_A).sign(core)
        return canonical([sign(SIGNING_A, b"") | {"sig": base64.b64encode(plain).decode()}])

    for name, description, data in (
        ("stripped", "no signature", make("policy")),
        ("foreign", "another's signature", make("policy", signing_keys=[SIGNING_E])),
        ("foreign-with-hint", "another's signature under a trusted kid",
         make("policy", signing_keys=[SIGNING_E], signatures=replaced(e, e_as_a))),
        ("invalid-r", "a change in the first half of the signature", altered(signed, value + 4)),
        ("invalid-s", "a change in the second half of the signature", altered(signed, value + 60)),
        ("zero", "a signature of zeros",
         make("policy", signatures=constant(canonical(
             [sign(SIGNING_A, b"") | {"sig": base64.b64encode(bytes(64)).decode()}])))),
        ("of-another-file", "the signature of another file", make("policy", signatures=elsewhere)),
        ("without-dsse", "a signature over the core alone", make("policy", signatures=bare)),
    ):  # fmt: skip
        vectors.add(f"policy-{name}", f"under a policy: {description}", data, wrong, **policy)
    reader = {"keys": [], "identities": ["identity-a"]}
    unsigned = make("recipient", recipients=[RECIPIENT])
    recipient = make("recipient", recipients=[RECIPIENT], signing_keys=[SIGNING_A])
    vectors.add(
        "recipient-unsigned", "a recipient's file without a signature", unsigned, wrong,
        signers=["signer-a"], **reader,
    )  # fmt: skip
    vectors.add(
        "recipient-foreign", "a recipient's file, signed by another",
        make("recipient", recipients=[RECIPIENT], signing_keys=[SIGNING_E]), wrong,
        signers=["signer-a"], **reader,
    )  # fmt: skip
    vectors.add(
        "recipient-other", "a recipient's file, and the identity of another", recipient, wrong,
        keys=[], identities=["identity-b"], signers=["signer-a"],
    )  # fmt: skip
    vectors.add(
        "recipient-no-policy", "an identity, and nobody who is trusted", recipient, "SignaturePolicyError",
        **reader,
    )  # fmt: skip
    vectors.add(
        "recipient-for-key", "no wrap for a recipient, and an identity",
        make("for key", signing_keys=[SIGNING_A]), wrong, signers=["signer-a"], **reader,
    )  # fmt: skip
    for name, description, new in (
        ("flip-ciphertext", "a flipped bit in its ciphertext", flipped(WRAPPED, 1150)),
        ("flip-mlkem", "a flipped bit in its ML-KEM ciphertext", flipped(WRAPPED, 5)),
        ("flip-x25519", "a flipped bit in its X25519 key", flipped(WRAPPED, 1100)),
        ("low-order", "an X25519 key of low order", WRAPPED[:1088] + bytes(32) + WRAPPED[1120:]),
        ("zero", "nothing but zeros", bytes(len(WRAPPED))),
    ):
        vectors.add(
            f"recipient-{name}", f"a recipient's wrap with {description}",
            make("recipient", recipients=[RECIPIENT], signing_keys=[SIGNING_A],
                 wraps=replaced(base64.b64encode(WRAPPED), base64.b64encode(new))),
            wrong, signers=["signer-a"], **reader,
        )  # fmt: skip


FILES = {"files": zlib_stream(b"a,b\n1,2\n" + b"SELECT 1;\n" * 20)}
WHEELS = {"wheels": material("wheel", 200)}
EMPTY = {"files": b"", "wheels": b""}


def further(vectors: Vectors) -> None:
    """Add files of version 2: what must open, and faults of each kind."""
    ok, both = "ok", FILES | WHEELS

    def add(name, description, content, expected=ok, *, options=None, **reader):
        data = make(f"further {name}", further=content, **options or {})
        vectors.add(f"further-{name}", f"version 2: {description}", data, expected,
                    further=content, **reader)  # fmt: skip

    add("files", "data files", FILES)
    add("wheels", "wheels", WHEELS)
    add("files-and-wheels", "data files and wheels", both)
    add("empty", "both sections, and nothing in them", EMPTY)
    nothing = {"payload": b"", "manifest": b""}
    add("all-empty", "nothing in any section", EMPTY, options=nothing, **nothing)
    add("empty-files", "nothing in the files, something in the wheels", {"files": b""} | WHEELS)
    for size in (16383, 16384, 16385):
        sized = {"files": material("files", size), "wheels": material("wheels", 32768 - size)}
        add(f"files-{size}", f"{size} bytes of files", sized)
    signing = {"signing_keys": [SIGNING_A]}
    add("signed", "signed; the signer is trusted", both, signers=["signer-a"],
        options={"signing_keys": [SIGNING_E, SIGNING_A]})  # fmt: skip
    recipients = {"keys": [B], "recipients": [RECIPIENT]} | signing
    reader = {"keys": [], "identities": ["identity-a"], "signers": ["signer-a"]}
    add(
        "recipient",
        "for a key and a recipient; the identity reads",
        both,
        options=recipients,
        **reader,
    )
    add(
        "several-wraps",
        "two keys; the second reads",
        both,
        options={"keys": [A, B]},
        keys=["key-b"],
    )
    add("not-a-flow", "with a payload that is said to be no flow", both, "NotAFlowError",
        payload_type="canary+pickle", options={"payload_type": "canary+pickle"})  # fmt: skip
    further_cores(vectors)
    further_damage(vectors)
    further_exchanges(vectors)
    further_downgrades(vectors)


def further_cores(vectors: Vectors) -> None:
    """Add files of version 2 whose core or first line is another, authentic but for it."""
    both = FILES | WHEELS
    base = make("further", further=both)
    core = json.loads(base[slice(*regions(base)["core"])])
    manifest, payload, files, wheels = map(canonical, core["sections"])
    lengths = [section["length"].encode() for section in core["sections"]]

    def listing(*sections):
        return lambda text: (
            text[: text.index(b"[") + 1] + b",".join(sections) + text[text.index(b"]") :]
        )

    def named(section, name):
        start = section.index(b'"name":') + 7
        return section[:start] + name + section[section.index(b',"sha256"') :]

    def bare(section):
        return section.replace(section[section.index(b'"name"') : section.index(b'"sha256"')], b"")

    def sized(section, length):
        return section[:11] + b"%016x" % length + section[27:]

    least, most = 71, 2**40 + 1
    for name, description, change in (
        ("names-swapped", "the names of files and wheels exchanged", listing(manifest, payload, named(files, b'"wheels"'), named(wheels, b'"files"'))),
        ("order", "the wheels before the files", listing(manifest, payload, wheels, files)),
        ("order-first", "the payload before the manifest", listing(payload, manifest, files, wheels)),
        ("order-payload", "the files before the payload", listing(manifest, files, payload, wheels)),
        ("unknown-name", "a section of another name", listing(manifest, payload, files, named(wheels, b'"data"'))),
        ("only-unknown", "one further section, of another name", listing(manifest, payload, named(files, b'"data"'))),
        ("unknown-first", "a section of another name before the files", listing(manifest, payload, named(wheels, b'"data"'), files)),
        ("name-upper", "a name in capitals", listing(manifest, payload, named(files, b'"Files"'), wheels)),
        ("name-empty", "an empty name", listing(manifest, payload, named(files, b'""'), wheels)),
        ("name-null", "a name that is null", listing(manifest, payload, named(files, b"null"), wheels)),
        ("name-list", "a name that is a list", listing(manifest, payload, named(files, b'["files"]'), wheels)),
        ("name-number", "a name that is a number", listing(manifest, payload, named(files, b"2"), wheels)),
        ("name-escape", "a letter of a name as an escape", listing(manifest, payload, named(files, b'"\\u0066iles"'), wheels)),
        ("name-newline", "a name with a line's end", listing(manifest, payload, named(files, b'"files\\n"'), wheels)),
        ("name-of-manifest", "another name for the manifest", listing(named(manifest, b'"files"'), payload, wheels)),
        ("files-twice", "two sections of files", listing(manifest, payload, files, named(wheels, b'"files"'))),
        ("wheels-twice", "two sections of wheels", listing(manifest, payload, named(files, b'"wheels"'), wheels)),
        ("payload-twice", "two payloads", listing(manifest, payload, named(files, b'"payload"'), wheels)),
        ("manifest-twice", "two manifests", listing(manifest, named(payload, b'"manifest"'), files, wheels)),
        ("no-further", "named sections, and none further", listing(manifest, payload)),
        ("no-manifest", "no manifest", listing(payload, files, wheels)),
        ("no-payload", "no payload", listing(manifest, files, wheels)),
        ("one-section", "the manifest alone", listing(manifest)),
        ("five-sections", "one section more", listing(manifest, payload, files, wheels, named(wheels, b'"more"'))),
        ("five-twice", "the last section listed twice", listing(manifest, payload, files, wheels, wheels)),
        ("no-section", "no section", listing()),
        ("nameless", "no names, as in version 1", listing(*map(bare, (manifest, payload, files, wheels)))),
        ("nameless-two", "two sections without names", listing(bare(manifest), bare(payload))),
        ("nameless-manifest", "a manifest without its name", listing(bare(manifest), payload, files, wheels)),
        ("nameless-wheels", "wheels without their name", listing(manifest, payload, files, bare(wheels))),
        ("section-key", "a section with one key more", listing(manifest, payload, files.replace(b'"name"', b'"mode":"","name"'), wheels)),
        ("section-text", "a section that is its name", listing(manifest, payload, b'"files"', wheels)),
        ("duplicate-name", "a name twice", listing(manifest, payload, files.replace(b'"name":"files"', b'"name":"files","name":"files"'), wheels)),
        ("key-order", "a section's keys in another order", listing(manifest, payload, b'{"name":"files",' + bare(files)[1:], wheels)),
        ("white-space", "a space in a section", listing(manifest, payload, files.replace(b'"name":', b'"name": '), wheels)),
        ("files-71", "files of less than 72 bytes", listing(manifest, payload, sized(files, least), wheels)),
        ("wheels-71", "wheels of less than 72 bytes", listing(manifest, payload, files, sized(wheels, least))),
        ("files-limit", "files beyond their limit", listing(manifest, payload, sized(files, most), wheels)),
        ("wheels-limit", "wheels beyond their limit", listing(manifest, payload, files, sized(wheels, most))),
        ("payload-limit", "a payload beyond its limit", listing(manifest, sized(payload, most), files, wheels)),
        ("manifest-limit", "a manifest beyond its limit", listing(sized(manifest, 2**28 + 1), payload, files, wheels)),
        ("wheels-most", "wheels of the length that is the limit, which are not there", listing(manifest, payload, files, sized(wheels, 2**40))),
        ("files-less", "files of one byte less than is there", listing(manifest, payload, sized(files, int(lengths[2], 16) - 1), wheels)),
        ("wheels-more", "wheels of one byte more than is there", listing(manifest, payload, files, sized(wheels, int(lengths[3], 16) + 1))),
        ("files-sign", "a sign before the digits", listing(manifest, payload, files.replace(b'"length":"0', b'"length":"+'), wheels)),
        ("digest-upper", "an upper-case digest", listing(manifest, payload, files, wheels[:-68] + wheels[-68:].upper())),
    ):  # fmt: skip
        data = make("further", further=both, core=change)
        vectors.add(f"further-core-{name}", f"version 2, core: {description}", data, "FormatError")
    for name, description, data in (
        ("line-1", "the first line of version 1 before a core of version 2", make("further", further=both, magic=constant(MAGIC))),
        ("line-2", "the first line of version 2 before a core of version 1", make("one-key", magic=constant(MAGIC_2))),
        ("line-3", "the first line of a later version", make("further", further=both, magic=constant(b"prefect sealed flow 3\n"))),
        ("line-crlf", "a first line that ends as on Windows", base.replace(b"\n", b"\r\n", 1)),
        ("line-alone", "the first line and nothing else", MAGIC_2),
        ("line-cut", "the first line without its end", MAGIC_2[:-1]),
        ("line-changed", "the first line of version 1 instead, under the MAC of version 2", base.replace(MAGIC_2, MAGIC, 1)),
    ):  # fmt: skip
        vectors.add(f"further-{name}", f"version 2: {description}", data, "FormatError")


def further_damage(vectors: Vectors) -> None:
    """Add files of version 2 that were damaged, cut or put together of others."""
    wrong, both = "AuthenticationError", FILES | WHEELS
    base = make("further", further=both)
    at = regions(base)

    def add(name, description, data, expected=wrong, **told):
        vectors.add(f"further-{name}", f"version 2: {description}", data, expected, **told)

    for name in ("files", "wheels"):
        start, end = at[name]
        for part, place in (
            ("salt", 0),
            ("commitment", 24),
            ("chunk", 56),
            ("tag", end - start - 1),
        ):
            add(
                f"flip-{name}-{part}",
                f"a change in the {part} of the {name}",
                flipped(base, start + place),
                inspection="ok",
                further=both,
            )
    add(
        "flip-core-name",
        "a change in a section's name",
        flipped(base, base.index(b'"files"') + 1),
        "FormatError",
    )
    digest = base.index(b'"sha256":"', base.index(b'"wheels"')) + 10
    other = b"1" if base[digest : digest + 1] != b"1" else b"2"
    add("flip-core-digest", "a change in the digest of the wheels",
        base[:digest] + other + base[digest + 1 :])  # fmt: skip
    for name, end in (
        ("in-files", at["files"][0] + 100),
        ("after-payload", at["payload"][1]),
        ("after-files", at["files"][1]),
        ("in-wheels", at["wheels"][0] + 100),
        ("last-byte-of-wheels", at["wheels"][1] - 1),
        ("after-wheels", at["wheels"][1]),
        ("last-byte", len(base) - 1),
    ):
        add(f"cut-{name}", f"cut off at byte {end}", base[:end], "FormatError")
    start, end = at["files"]
    add(
        "without-files",
        "no files where the core says that there are",
        base[:start] + base[end:],
        "FormatError",
    )
    add("trailing", "a byte after the end", base + b"\0", "FormatError")
    add("wrong-key", "a key that is none of its keys", base, keys=["key-c"])
    add("stripped", "under a policy: no signature", base, signers=["signer-a"])


def further_exchanges(vectors: Vectors) -> None:
    """Add files of version 2 whose sections are elsewhere than they should be, or another file's."""
    both = FILES | WHEELS

    def add(name, description, data, **told):
        vectors.add(
            f"further-{name}", f"version 2: {description}", data, "AuthenticationError", **told
        )

    def seen(name, description, data, content=both):
        add(name, description, data, inspection="ok", further=content)

    equal = {name: material(name, 500) for name in ("files", "wheels")}

    def exchanged(sections):
        return [*sections[:2], *sections[:1:-1]]

    seen("swapped", "files and wheels of one length, swapped",
         make("equal", further=equal, stored=exchanged), equal)  # fmt: skip
    seen("swapped-described", "the files' ciphertext as the wheels', and the other way round, rightly described",
         make("further", further=both, sections=exchanged))  # fmt: skip
    seen("subkeys-swapped", "files and wheels that were encrypted with each other's subkeys and names",
         make("further", further=both, section_keys=(b"manifest", b"payload", b"wheels", b"files")))  # fmt: skip
    seen("payload-as-files", "files that were encrypted with the payload's subkey and name",
         make("further", further=both, section_keys=(b"manifest", b"payload", b"payload", b"wheels")))  # fmt: skip
    seen("files-as-payload", "the files' ciphertext as the payload's, rightly described",
         make("further", further=both, sections=lambda all_: [all_[0], all_[2], all_[1], all_[3]]))  # fmt: skip
    add("manifest-as-files", "the manifest and the files exchanged, rightly described",
        make("further", further=both, sections=lambda all_: [all_[2], all_[1], all_[0], all_[3]]))  # fmt: skip
    one, two = (make(name, further=both, data_key=DATA_KEY) for name in ("two-1", "two-2"))
    for name in ("files", "wheels"):
        start, end = regions(one)[name]
        spliced = one[:start] + two[slice(*regions(two)[name])] + one[end:]
        seen(f"spliced-{name}", f"the {name} of another file with the same data key", spliced)

    long = {"files": material("three chunks", 40_000)}
    chunk = 16400

    def move(order):
        def change(sections):
            head, body = sections[2][:56], sections[2][56:]
            parts = [body[i : i + chunk] for i in range(0, len(body), chunk)]
            return [*sections[:2], head + b"".join(parts[i] for i in order)]

        return change

    for name, description, order in (
        ("reordered", "chunks in another order", (1, 0, 2)),
        ("repeated", "a chunk in another's place", (0, 0, 2)),
        ("dropped", "without its last chunk", (0, 1)),
        ("first-dropped", "without its first chunk", (1, 2)),
        ("doubled-end", "with its last chunk twice", (0, 1, 2, 2)),
    ):
        seen(f"files-{name}", f"files with {description}, rightly described",
             make("long", further=long, sections=move(order)), long)  # fmt: skip
    for name, description, change in (
        ("extra-byte", "one byte more", lambda section: section + b"\0"),
        ("half-tag", "half of its tag", lambda section: section[:-8]),
    ):
        seen(f"wheels-{name}", f"wheels with {description}, rightly described",
             make("further", further=both,
                  sections=lambda all_, change=change: [*all_[:3], change(all_[3])]))  # fmt: skip


def further_downgrades(vectors: Vectors) -> None:
    """Add files to which a section was added, or from which one was taken, after they were sealed."""
    both = FILES | WHEELS

    def add(name, description, data, **told):
        vectors.add(
            f"further-{name}", f"version 2: {description}", data, "AuthenticationError", **told
        )

    for name, content in (("added", both), ("removed", FILES)):
        former = make("section", further=FILES if name == "added" else both, data_key=DATA_KEY)
        other = make("section", further=content, data_key=DATA_KEY)
        parts, new = regions(former), regions(other)
        # The new core and sections, and all that the former header proves them with.
        changed = (
            other[: new["core"][1]]
            + former[parts["core"][1] : parts["header MAC"][1]]
            + other[new["header MAC"][1] :]
        )
        add(f"section-{name}", f"a section that was {name} after the file was sealed", changed)
    flow = make("flow", signing_keys=[SIGNING_A], data_key=DATA_KEY)
    packaged = make("flow", further=FILES, signing_keys=[SIGNING_A], data_key=DATA_KEY)
    for name, description, of, content in (
        ("signature-of-flow", "the signature of the flow without its files", flow, FILES),
        ("signature-for-flow", "the signature of a flow with files, and no files", packaged, None),
    ):
        signed = of[slice(*regions(of)["signatures"])]
        add(name, f"under a policy: {description}", signers=["signer-a"],
            data=make("flow", further=content or {}, data_key=DATA_KEY, signatures=constant(signed)))  # fmt: skip


def collect() -> dict[str, bytes]:
    """Return every file of the directory."""
    vectors = Vectors()
    for part in (good, foreign, cores, wraps, trailers, damage, sections, signatures, further):
        part(vectors)

    def text(prefix: str, raw: bytes) -> str:
        return f"{prefix}{base64.b64encode(raw).decode()}"

    index = {
        "note": "TEST KEYS, known to everybody: never seal anything with them. "
        "Written by tests/sealed/make_vectors.py",
        "encryption_keys": {
            name: base64.urlsafe_b64encode(key).decode() for name, key in KEYS.items()
        },
        "identities": {name: text("prefect-identity-1:", raw) for name, raw in IDENTITIES.items()},
        "recipients": {
            name: text("prefect-recipient-1:", public_of(raw)) for name, raw in IDENTITIES.items()
        },
        "signing_keys": {
            name: text("prefect-signing-key-1:", raw) for name, raw in SIGNING_KEYS.items()
        },
        "signers": {name: text("prefect-signer-1:", raw) for name, raw in SIGNERS.items()},
        "recipient_wrap": base64.b64encode(WRAPPED).decode(),
        "vectors": vectors.entries,
    }
    return vectors.files | {"index.json": (json.dumps(index, indent=1) + "\n").encode()}


def main() -> None:
    """Write the directory, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if it differs")
    options = parser.parse_args()
    files = collect()
    present = {path.name: path.read_bytes() for path in VECTORS.glob("*")}
    if options.check:
        odd = sorted(name for name, _ in files.items() ^ present.items())
        if odd:
            sys.exit(f"these differ from what is made: {', '.join(odd)}")
        return
    VECTORS.mkdir(exist_ok=True)
    for name in present.keys() - files.keys():
        (VECTORS / name).unlink()
    for name, data in files.items():
        (VECTORS / name).write_bytes(data)
    print(f"{len(files) - 1} vectors, {sum(map(len, files.values())):,} bytes")


if __name__ == "__main__":
    main()
