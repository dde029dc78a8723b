"""Base images: where they come from, and which Python and C library they have.

Builds of images pass here first.
"""
