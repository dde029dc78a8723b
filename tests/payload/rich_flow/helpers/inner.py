from . import NAMES


def ten() -> int:
    return 10 if NAMES else len({"a", "b", __name__})
