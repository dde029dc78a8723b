"""`prefect graph`."""

import pytest


@pytest.mark.parametrize(
    ("form", "says"), [("text", "etl & co: "), ("mermaid", "flowchart"), ("dot", "digraph")]
)
def test_a_flow_is_drawn_from_its_file_and_from_its_artifact_alike(sealed, form, says):
    """Both drawings are the same, in every form of text."""
    drawn, _ = sealed("graph", "etl.py", "--format", form)
    assert says in drawn
    assert sealed("graph", "etl.flow", "--key-file", "flow.key", "--format", form)[0] == drawn


def test_a_drawing_is_written_in_the_form_of_its_ending(prefect):
    """Text forms and SVG always, others where Graphviz is installed; an unknown ending is refused."""
    for name, start in (
        ("g.mmd", "flowchart"),
        ("g.dot", "digraph"),
        ("g.txt", "etl & co"),
        ("g.svg", "<svg"),
    ):
        prefect("graph", "etl.py", "-o", name, PATH="/nowhere")
        assert (prefect.directory / name).read_text().startswith(start)
    _, err = prefect("graph", "etl.py", "-o", "g.xyz", status=2)
    assert ".svg" in err
    _, err = prefect("graph", "etl.py", "-o", "g.png", status=2, PATH="/nowhere")
    assert "Graphviz" in err
