"""The place that needs no engine: an image's files, and namespaces of the kernel around them.

Run passes here with an image, wherever it comes from. `place` starts the worker; what it needs for
that are `host`, `unpacking`, `stack`, `merging`, `entering` and `limits`. May import `images`, `oci`.
"""
