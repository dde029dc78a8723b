"""From a flow to bytes and back.

`manifest` describes a flow in plain JSON, `pickling` turns it into a payload and back,
`sealing` encrypts both, `requirements` locks what the payload imports, `plan` and `dockerfile`
say what goes into an image. What reads manifests cannot import what loads pickles: the
import contract in `pyproject.toml` holds that.
"""
