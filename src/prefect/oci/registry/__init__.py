"""Images in registries, without a container engine: fetched, pushed, resolved.

Build passes here to push and for bases, info to look. `client` is the door.
"""
