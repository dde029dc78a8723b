"""A flow laid out for a run."""

from prefect import Flow, task
from prefect.engine.nodes import lay_out


@task
def inc(x):
    return x + 1


def test_layout():
    """Nodes come in order, count what they wait for, and know who waits for them."""
    with Flow("test") as flow:
        a = inc.map([1])
        b = inc.map(a)
        inc(a)
    constant, first, second, last = lay_out(flow)
    assert [n.waiting for n in (constant, first, second, last)] == [0, 1, 1, 1]
    assert constant.downstream == [first]
    assert first.followers == [second]
    assert first.downstream == [last]
    assert [n.step.mapped for n in (constant, first, second, last)] == [False, True, True, False]
    assert second.step.slug == flow.slugs[b]
    assert second.label == "inc"
