"""Python dependencies: locked, installed for an image and compiled.

Builds of sealed flows (their lock) and of images pass here. Executes nothing of what it installs; may import oci's layers and cache.
"""
