"""Tasks that flows add by themselves, under the names of classic Prefect.

A run passes through those that a flow has. May import core.
"""
