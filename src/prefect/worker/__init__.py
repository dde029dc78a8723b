"""The one small program inside every place: `python -m prefect.worker`.

It runs a packaged flow and reports its states (`run`), runs another program in the flow's place
(`exec`), and takes secrets off a stream into memory (`receive-secrets`). It may import what an
image holds, see `images.runtime`.
"""
