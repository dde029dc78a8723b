"""Container engines, such as Docker and podman, over their API.

Build passes here to load an image, run to start it. Alone in importing docker.
"""
