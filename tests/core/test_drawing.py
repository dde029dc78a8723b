"""Drawings of flows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect import Flow, Parameter, Task, task
from prefect.core import drawing
from prefect.errors import RenderError


@task
def extract(day, limit):
    return [day]


@task
def load(row):
    pass


@pytest.fixture
def serialized():
    with Flow("etl") as flow:
        rows = extract(Parameter("day"), Parameter("limit", default=10))
        done = load.map(rows)
        Task("notify")(upstream_tasks=[done])
    return flow.serialize()


def test_text(serialized):
    """The text form shows layers, parameters, arguments and what is mapped."""
    assert drawing.to_text(serialized).splitlines() == [
        "etl: 5 tasks, 4 edges",
        "   1  day        parameter, required",
        "      limit      parameter, default 10",
        "   2  extract-1  <- day=day, limit=limit",
        "   3  load-1[*]  <- row=extract-1[*]",
        "   4  notify-1   <- load-1",
    ]


def test_text_shows_chosen_reference_tasks(serialized):
    """Reference tasks are marked if they are not simply the last ones."""
    serialized["reference_tasks"] = ["load-1"]
    assert "load-1[*]  <- row=extract-1[*]  (reference)" in drawing.to_text(serialized)


def test_mermaid(serialized):
    """The Mermaid form has a node for each task, shaped by its kind, and labelled arrows."""
    assert drawing.to_mermaid(serialized).splitlines() == [
        "flowchart TD",
        '    t0(["day"])',
        '    t1(["limit"])',
        '    t2["extract-1"]',
        '    t3[["load-1"]]',
        '    t4["notify-1"]',
        '    t0 -->|"day"| t2',
        '    t1 -->|"limit"| t2',
        '    t2 ==>|"row"| t3',
        "    t3 --> t4",
    ]


def test_dot(serialized):
    """The Graphviz form has the same."""
    lines = [line.strip() for line in drawing.to_dot(serialized).splitlines()]
    assert lines[0] == 'digraph "etl" {'
    assert 't0 [label="day" shape=ellipse style=solid]' in lines
    assert 't3 [label="load-1" peripheries=2 style=solid]' in lines
    assert 't2 -> t3 [label="row" style=bold]' in lines
    assert "t3 -> t4" in lines


NASTY = [
    '"',
    "\\",
    "\\N",
    "<b>",
    "a\nb",
    "\x1b[31m",
    "`x`",
    "]",
    "#quot;",
    "end",
    "%%",
    "\u202e",
    "é",
]


@pytest.mark.parametrize("name", NASTY)
def test_names_are_escaped(name):
    """No name, however nasty, leaves its quotes, its line, or commands a terminal."""
    serialized = Flow(name, tasks=[Task(name), Parameter(name)]).serialize()
    harmless = Flow("f", tasks=[Task("f"), Parameter("p")]).serialize()
    for draw in drawing.DRAWINGS.values():
        lines = draw(serialized).splitlines()
        assert all(line.isprintable() for line in lines)
        assert len(lines) == len(draw(harmless).splitlines())
    for line in drawing.to_mermaid(serialized).splitlines()[1:]:
        _, label, _ = line.split('"')
        assert not set(label) & set("<>`[]()%")
    for line in drawing.to_dot(serialized).splitlines():
        assert line.replace("\\\\", "").replace('\\"', "").count('"') in {0, 2}


@given(st.text(min_size=1))
def test_any_name_can_be_drawn(name):
    """Drawing works for every name, and gives what can be encoded."""
    serialized = Flow(name, tasks=[Task(name)]).serialize()
    for draw in drawing.DRAWINGS.values():
        draw(serialized).encode()


def test_empty_flow():
    """A flow without tasks can be drawn."""
    serialized = Flow("nothing").serialize()
    assert drawing.to_text(serialized) == "nothing: 0 tasks, 0 edges\n"
    assert drawing.to_mermaid(serialized) == "flowchart TD\n"


def test_large_flows_stay_readable():
    """The text form of a long chain grows with its length, not with its square."""
    flow = Flow("chain")
    flow.chain(*(Task() for _ in range(2000)))
    assert len(drawing.to_text(flow.serialize())) < 2000 * 100


@pytest.mark.parametrize(
    ("suffix", "start"),
    [
        (".txt", "etl: 5"),
        (".mmd", "flowchart"),
        (".md", "```mermaid\nflowchart"),
        (".dot", "digraph"),
        (".GV", "digraph"),
    ],
)
def test_render_text(serialized, tmp_path, suffix, start):
    """The suffix of a file decides its form; nothing else is left in the directory."""
    path = tmp_path / f"flow{suffix}"
    path.write_text("old")
    drawing.render(serialized, path)
    assert path.read_text().startswith(start)
    assert list(tmp_path.iterdir()) == [path]


def test_render_needs_a_known_suffix(serialized, tmp_path):
    """Another suffix is refused, with those that there are."""
    with pytest.raises(ValueError, match=r"'.jpg'; there are .txt"):
        drawing.render(serialized, tmp_path / "flow.jpg")


def test_render_without_graphviz(serialized, tmp_path, monkeypatch):
    """Without Graphviz a picture is an error that says what to install, and what works without."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RenderError, match=r"apt install graphviz.*\.txt, \.md"):
        drawing.render(serialized, tmp_path / "flow.png")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def dot(tmp_path, monkeypatch):
    """Return a function that installs a program `dot`, which is this shell script."""

    def install(script):
        program = tmp_path / "bin" / "dot"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")

    return install


@pytest.mark.services
@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".pdf", b"%PDF")])
def test_render_with_graphviz(serialized, tmp_path, suffix, start):
    """Graphviz, which `make services` installs, makes a picture of each kind."""
    drawing.render(serialized, tmp_path / f"flow{suffix}")
    picture = (tmp_path / f"flow{suffix}").read_bytes()
    assert picture.startswith(start)
    assert len(picture) > 1000


def test_render_when_graphviz_fails(serialized, tmp_path, dot):
    """If `dot` fails its own words are in the error, and the old file stays."""
    dot("echo 'syntax error' >&2; exit 3")
    (tmp_path / "flow.png").write_text("old")
    with pytest.raises(RenderError, match="syntax error"):
        drawing.render(serialized, tmp_path / "flow.png")
    assert (tmp_path / "flow.png").read_text() == "old"
