"""`prefect.core.labels`: what tasks go by wherever a run is told of."""

from hypothesis import given
from hypothesis import strategies as st

from prefect import Flow, task
from prefect.core.labels import Labels

NAMES = st.sampled_from(["x", "x-1", "x-2", "x-1-1", "x[0]", "x-1[0]", "x[0]-1", "y"])


@given(st.lists(NAMES, max_size=8))
def test_no_two_tasks_go_by_one_label(names):
    """Whatever they are called, and however much a name looks like another one's id or child."""
    flow = Flow("test", tasks=[task(lambda: 1, name=name) for name in names])
    labels = Labels(flow.serialize())
    slugs = list(flow.slugs.values())
    told = [labels.of(slug, index) for slug in slugs for index in (None, 0)]
    assert len(set(told)) == len(told)
    for slug, name in zip(slugs, (each.name for each in flow.slugs), strict=True):
        assert labels.of(slug) in {slug, name}


def test_a_name_of_ones_own_is_the_label():
    """The id is what other tasks of that name go by."""
    flow = Flow("test", tasks=[task(lambda: 1, name=name) for name in ("x", "x", "y", "x-1")])
    labels = Labels(flow.serialize())
    assert {labels.of(slug) for slug in flow.slugs.values()} == {"x-1", "x-2", "y", "x-1-1"}
