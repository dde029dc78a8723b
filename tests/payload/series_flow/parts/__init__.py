"""A package beside the script."""

from . import plain
from .deep.inner import up

VERSION = "1.2"
TABLE = [lambda: "a", (lambda: "b"), *[(lambda n=n: n) for n in range(2)]]


def total():
    return plain.one() + len(up())
