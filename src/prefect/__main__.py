"""`python -m prefect` is the command `prefect`."""

from prefect.cli.start import main

if __name__ == "__main__":
    main()
