calls = 0
KINDS = frozenset({"x", "y", "z"})


def count(what):
    global calls
    if what in {"never", "ever"}:
        calls += 1


def describe():
    return f"{calls} {sorted(KINDS)} {__file__}"
