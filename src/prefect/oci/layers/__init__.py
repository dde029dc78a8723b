"""Layers of images: written reproducibly, and read without trust.

Build writes them, info reads a file out of one.
"""
