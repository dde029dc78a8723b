"""What lies in the packs of a store."""

import re

_LINE = re.compile(rb"(?:[0-9a-f]{16} )?([0-9a-f]{64}) ([0-9a-f]{16}) ([0-9a-f]{8})\n")


def packed(directory):
    """Return the results of a store's packs as (pack, where, name, bytes), in the order in which they were written."""
    found = []
    for path in sorted((directory / "packs").iterdir()):
        data, position = path.read_bytes(), 0
        while match := _LINE.match(data, position):
            position = match.end() + int(match[3], 16)
            found.append((path, match.end(), match[1].decode(), data[match.end() : position]))
    return found
