"""`prefect.core.notebooks`: what Jupyter shows of flows and states."""

import base64
import re
from xml.etree import ElementTree as ET

from prefect import Flow, Parameter, task
from prefect.core.state import Failed, Mapped, Success

HOSTILE = '</td><script>alert(1)</script>"\x1b[31m\u202e\ud800'


@task
def inc(x):
    return x + 1


class Loud:
    """A value that nobody may look at."""

    def __repr__(self):
        raise AssertionError("somebody looked")

    __str__ = __eq__ = __repr__
    __hash__ = None


def test_a_flow_is_its_drawing():
    """It is SVG within an image, so that neither its style nor a name reaches the notebook's page."""
    with Flow("etl <&>") as flow:
        inc(inc(Parameter("x")))
    html = flow._repr_html_()
    [encoded] = re.findall(r'src="data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)"', html)
    assert [*ET.fromstring(base64.b64decode(encoded)).itertext()].count(
        "inc-1"
    ) == 2  # title, label
    assert 'alt="etl &lt;&amp;&gt;: 3 tasks, 2 edges"' in html


def test_what_cannot_be_drawn_is_said():
    """A flow that is not valid, or has no tasks, is shown as text."""
    with Flow("<wrong>") as flow:
        flow.add_task(inc)
    assert "&lt;Flow: &lt;wrong&gt;&gt;" in flow._repr_html_()
    assert "misses its argument" in flow._repr_html_()
    assert "0 tasks" in Flow("empty")._repr_html_()


def test_nothing_of_a_name_or_message_commands_a_notebook():
    """Whatever tasks and messages are called, tags and control characters are text."""
    with Flow(HOSTILE) as flow:
        hostile = inc.copy(name=HOSTILE).bind(Parameter("x"), flow=flow)
    state = Failed(HOSTILE, {hostile: Failed(HOSTILE)})
    for html in (flow._repr_html_(), state._repr_html_(), Failed(HOSTILE)._repr_html_()):
        assert "<script" not in html
        assert not {"\x1b", "\u202e", "\ud800"} & set(html)
    assert "&lt;script&gt;" in state._repr_html_()


def test_a_state_shows_no_value():
    """Results are neither fetched nor written out, however large they are."""
    children = [Success("well", Loud()) for _ in range(1000)]
    state = Success("all", {inc: Mapped("over 1000", Loud(), map_states=children)})
    assert "1,000 Success" in state._repr_html_()
    assert len(state._repr_html_()) < 1000
    assert "all" in Success("all", Loud())._repr_html_()


def test_failures_come_first_of_many_tasks():
    """Twenty rows are shown, those that need a look first, and the others are counted."""
    tasks = [inc.copy(name=f"t{number}") for number in range(100)]
    states = {each: Success("fine") for each in tasks}
    states[tasks[70]] = Failed("ValueError: no")
    states[tasks[80]] = Mapped("over 1", map_states=[Success(), Failed("one")])
    html = Failed("some failed", states)._repr_html_()
    rows = re.findall(r"<tr><td>(.*?)</td>", html)
    assert rows[:3] == ["t70", "t80", "t0"]
    assert rows[-1] == "… and 80 more"
    assert "ValueError: no" in html
    assert re.search(r"100 tasks: .*99 Success.*2 Failed", html)
