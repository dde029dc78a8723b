"""Single edits of JSON: everything that one careless or hostile hand can change."""

import copy
import json

VALUES = (
    None,
    True,
    0,
    -1,
    1.5,
    1e300,
    10**30,
    "",
    "\x1b[31m\nforged",
    "\ud800",
    [],
    [None],
    {},
    {"a": [{}]},
)


def edits(document):
    """Yield (where, text) for each place of a document: gone, doubled, renamed, or something else."""
    for path in _paths(document):
        for what, value in [
            ("gone", None),
            ("doubled", None),
            *((repr(v)[:20], v) for v in VALUES),
        ]:
            edited = copy.deepcopy(document)
            parent = edited
            for step in path[:-1]:
                parent = parent[step]
            last = path[-1]
            if what == "gone":
                del parent[last]
            elif what == "doubled" and isinstance(parent, list):
                parent.insert(last, copy.deepcopy(parent[last]))
            elif what == "doubled":
                parent[f"{last}2"] = parent[last]
            else:
                parent[last] = value
            yield f"{'.'.join(map(str, path))} {what}", json.dumps(edited)


def _paths(value, path=()):
    if path:
        yield path
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for step, item in items:
        yield from _paths(item, (*path, step))
