"""Container engines, such as Docker and podman, over their API.

Build passes here to load an image, run to start it. Imports no other folder of `oci` but what
describes and archives images; `objects` alone imports docker, for whoever asks for its objects.
"""
