"""A virtual environment as a place: made by uv from what a flow has locked, kept, and used again.

Run passes here for sealed flows. uv and the cache on disk are reached through `dependencies` and `oci`.
"""
