"""`prefect.places.work`: what a worker is told to do."""

import pytest

from prefect import Flow, Parameter
from prefect.core.kept import LAST, Kept
from prefect.errors import ParameterError
from prefect.places.work import work_with_flow


def test_required_parameters_may_be_those_of_the_run_that_is_gone_on_with():
    """What is not given is left to that; without such a run it is asked for."""
    with Flow("f") as flow:
        flow.add_task(Parameter("d"))
    work = work_with_flow(flow.serialize(), kept=Kept(store="/s", resume=LAST))
    assert not [each for each in work.arguments if each.startswith("--parameters")]
    with pytest.raises(ParameterError, match="needs a value for parameter 'd'"):
        work_with_flow(flow.serialize(), kept=Kept(store="/s"))
