"""The place that a container engine makes, docker's or podman's.

Run passes here with an image that the engine has, or gets. May import `images` and `oci`.
"""
