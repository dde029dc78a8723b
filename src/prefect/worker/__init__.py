"""The one small program inside every environment: `python -m prefect.worker`.

It runs a packaged flow and reports its states (`run`), runs another program in the flow's place
(`exec`), and takes secrets off a stream into memory (`receive-secrets`).
"""
