"""`python -m prefect` is the command `prefect`."""

from prefect.cli.main import main

if __name__ == "__main__":
    main(prog_name="prefect")
