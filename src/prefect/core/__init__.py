"""Tasks, flows, states and what connects them: plain objects, no I/O (but for `drawing.render`).

Every trip ends or begins here. Imports nothing of this package but errors and files.
"""
