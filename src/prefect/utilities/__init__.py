"""What flows use beside tasks, under the names of classic Prefect, as far as it needs no server.

No trip passes through it. May import core and engine.
"""
