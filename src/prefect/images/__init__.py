"""A flow as an image: planned, put together here, or written as a Dockerfile.

Build passes here on its way to a container engine, a registry or a file; info through `inspection`,
run in `places`. May import oci, dependencies and what packages flows.
"""
