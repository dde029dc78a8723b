"""Packages the flow and prints digests; in the words given, after having done other things."""

import hashlib
import sys
from pathlib import Path


def build(flow, directory, *words):
    if "others" in words:  # imports and caches with a history of their own
        import concurrent.futures.thread  # noqa
        import json.tool  # noqa
        import typing
        import xml.dom.minidom  # noqa

        for number in range(300):
            typing.Optional[typing.Literal[number]]
    from prefect.payload.packing import pickle_flow

    if "run" in words:
        flow.serialize()
        state = flow.run()
        assert state.is_successful(), state.result
        pickle_flow(flow)
    pickled = pickle_flow(flow)
    manifest = pickled.manifest.to_json()
    Path(directory, "m").write_bytes(manifest)
    Path(directory, "p").write_bytes(pickled.payload)
    print("digest", *(hashlib.sha256(data).hexdigest() for data in (manifest, pickled.payload)))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    if "others" in sys.argv:
        import pandas  # noqa
        import helpers.inner  # noqa
    import etl

    build(etl.failing if "failing" in sys.argv else etl.flow, *sys.argv[1:])
