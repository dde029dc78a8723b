"""From a flow to bytes and back.

`manifest` describes a flow in plain JSON, `pickling` turns it into a payload and back, with
`flow_pickler`, which knows cloudpickle, `local_modules` and `source_lines`. `canonical` gives a
payload the bytes that depend on nothing but the flow, `pickle_graph` and `canonical_sets` help it.
`sealing` opens sealed flows, `sealed_writer` writes them, `sealed_header` is what stands around
their sections, `sealed_source` where they are read from, `resealing` changes who can open or has
signed one. `keys`, `recipients` and `signatures` are its keys, `key_kinds` any of them by its text;
`sshsig` signs a file for those without this software. `requirements` locks what the payload
imports, `plan` and `dockerfile` say what goes into an image. What reads manifests cannot import
what loads pickles: the import contract in `pyproject.toml` holds that.
"""
