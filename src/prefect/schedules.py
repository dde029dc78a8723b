"""Not here: importing it is an error that says what to use instead."""

from prefect.unsupported import refuse

refuse(__name__)
