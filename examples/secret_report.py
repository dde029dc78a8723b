"""A report that is signed with a secret, which travels by name alone.

SIGNING_KEY=correct-horse prefect run examples/secret_report.py
"""

import hmac

from prefect import Flow, Parameter, task
from prefect.environments import Environment, Secret

KEY = Secret("SIGNING_KEY")


@task(log_stdout=True)
def sign(report: str) -> str:
    """Return the report's signature."""
    key = KEY.value  # read when the task runs: no artifact ever holds it
    signature = hmac.new(key.encode(), report.encode(), "sha256").hexdigest()
    print(f"signed with {key}: {signature}")  # the key is printed as ***
    return signature


with Flow("secret-report", environment=Environment(secrets=[KEY])) as flow:
    sign(Parameter("report", default="All is well."))
