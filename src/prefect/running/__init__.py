"""What surrounds every run of a packaged flow, wherever it is: its report, its parameters, its end.

Run passes here, in the command and in the worker.
"""
