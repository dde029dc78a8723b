"""A flow as bytes and back: packed, described, loaded.

Every trip passes here: build packs and describes, info reads manifests, run loads. May import core.
"""
