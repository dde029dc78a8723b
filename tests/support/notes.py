"""Notes that tasks make in this process, and which are no part of what their code consists of."""

import sys
from itertools import count

_numbers = count()


class Noted:
    """Like a list, which lies with a module of Python's own."""

    def __init__(self, items=()):
        self.number = next(_numbers)
        self[:] = items

    @property
    def items(self):
        return vars(sys).setdefault("_notes_of_test", {}).setdefault(self.number, [])

    def __setitem__(self, _, items):
        self.items[:] = items

    def append(self, item):
        self.items.append(item)

    def clear(self):
        self.items.clear()

    def count(self, item):
        return self.items.count(item)

    def __iter__(self):
        return iter(self.items)

    def __len__(self):
        return len(self.items)

    def __eq__(self, other):
        return self.items == other

    __hash__ = None
