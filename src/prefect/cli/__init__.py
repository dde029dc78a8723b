"""The command `prefect`: one module a subcommand, each thin: parse, call, print."""
