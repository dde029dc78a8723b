"""`prefect.core.picture`: flows as SVG, without Graphviz; how many there are, and whatever they are called."""

import itertools
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import records
from prefect.core.grouping import MOST, group
from prefect.core.layered import lay_out
from prefect.core.picture import Picture, to_svg

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '</text><script>alert(1)</script>"\x1b[31m\u202e\ud800'
GRAPHS = st.integers(1, 25).flatmap(
    lambda count: st.tuples(
        st.just(count),
        st.sets(
            st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(
                lambda e: e[0] < e[1]
            ),
            max_size=40,
        ).map(sorted),
    )
)


@settings(deadline=None)
@given(GRAPHS)
def test_arrows_lead_to_the_right_and_nothing_overlaps(graph):
    """Each node is right of those before it, and those of a column are apart; it is the same each time."""
    count, edges = graph
    layout = lay_out(count, edges)
    assert all(layout.columns[up] < layout.columns[down] for up, down in edges)
    for column in range(max(layout.columns) + 1):
        heights = sorted(
            layout.heights[node] for node in range(count) if layout.columns[node] == column
        )
        assert all(b - a > 1 - 1e-6 for a, b in itertools.pairwise(heights))
    for (up, down), bends in zip(edges, layout.bends, strict=True):
        assert [column for column, _ in bends] == [
            *range(layout.columns[up] + 1, layout.columns[down])
        ]
    again = lay_out(count, edges)
    assert (again.columns, again.heights, again.bends) == (
        layout.columns,
        layout.heights,
        layout.bends,
    )


@pytest.mark.parametrize("shape", ["plain", "mapped", "apart", "names", "chain"])
def test_a_large_flow_is_drawn_in_few_groups(shape):
    """There are no more than can be seen, each task is in one, and arrows lead to later ones."""
    names = {
        "apart": [records.task(f"t-{i}") for i in range(900)],
        "names": [records.task(f"t{i}", f"t{i}") for i in range(900)],
        "chain": [records.task(f"t{i}", f"t{i}") for i in range(900)],
    }
    if shape in names:
        links = (
            [(f"t{i}", f"t{i + 1}", None, False) for i in range(899)] if shape == "chain" else []
        )
        flow = records.flow("f", names[shape], links)
    else:
        flow = records.large(900, mapped=0.0 if shape == "plain" else 0.5)[0]["flow"]
    groups = group(flow)
    assert len(groups.members) <= MOST
    assert sorted(n for members in groups.members for n in members) == [*range(len(flow["tasks"]))]
    assert all(up < down for up, down in groups.edges)
    ET.fromstring(to_svg(flow))


def test_a_small_flow_has_a_box_for_each_task():
    """It bears the task's name, and what is mapped looks so."""
    flow = records.small()[0]["flow"]
    picture = Picture(flow)
    assert sorted(box.label for box in picture.boxes) == sorted(
        each["name"] for each in flow["tasks"]
    )
    assert [box.label for box in picture.boxes if box.mapped] == ["train"]
    assert len(picture.arrows) == len(flow["edges"])
    for box in picture.boxes:
        assert 0 <= box.x <= picture.width - box.width
        assert 0 <= box.y <= picture.height - box.height


def test_states_are_told_by_colours_and_words():
    """A box has a line in the colour of each state, and its title says how many are in it."""
    flow = records.small()[0]["flow"]
    root = ET.fromstring(to_svg(flow, {"train-1": {"Success": 11, "Failed": 1}}))
    titles = [title.text for title in root.iter(f"{SVG}title")]
    assert "train-1: 11 Success, 1 Failed" in titles
    assert {"#0e9376", "#c3271b"} <= {rect.get("fill") for rect in root.iter(f"{SVG}rect")}


def test_no_name_commands_a_browser():
    """Whatever tasks and states are called, they are text of a well-formed picture."""
    flow = records.flow(
        HOSTILE,
        [records.task(HOSTILE, HOSTILE), records.task("b")],
        [(HOSTILE, "b", HOSTILE, True)],
    )
    text = to_svg(flow, {HOSTILE: {HOSTILE: 1, "Success": 2}})
    root = ET.fromstring(text)
    assert {each.tag.removeprefix(SVG) for each in root.iter()} <= {
        "svg", "title", "style", "defs", "marker", "path", "rect", "g", "text", "circle",
    }  # fmt: skip
    assert "".join(text.split("\n")).isprintable()


def test_an_empty_flow_is_drawn():
    """It is an empty picture."""
    assert not Picture(records.flow("f", [], [])).boxes
    ET.fromstring(to_svg(records.flow("f", [], [])))
