"""Where packaged flows run: this interpreter, an environment made for them, a sandbox, an engine.

Run passes here, between `cli` or `environments` and what an artifact is. Each place is a module or a
folder, and meets `protocol.Place`. May import all that makes artifacts, and the worker's parts.
"""
