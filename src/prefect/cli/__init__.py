"""The command `prefect`: one module a subcommand, each thin: parse, call, print.

Every trip of somebody at a terminal begins here. Alone in importing click and rich; may import all.
"""
