"""How far something is, shown while it goes on: a run's tasks, and below that the lines of a terminal.

Run passes here where it is asked for. May import core and engine; what is not there, such as a notebook, is not imported.
"""
