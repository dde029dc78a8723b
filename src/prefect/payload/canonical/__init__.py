"""A pickle in its one canonical form: what it loads decides its bytes, not how it came about.

Builds of images pass here, whose digests depend on it. Executes nothing and imports nothing of
ours.
"""
