"""A notebook, executed in a kernel of its own as Jupyter does it: the example."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


class Client(NotebookClient):
    """Executes a notebook, and remembers what it shows on the way."""

    def process_message(self, msg, cell, cell_index):
        if msg["msg_type"] == "update_display_data":
            self.updates.append(msg["content"]["data"]["text/html"])
        return super().process_message(msg, cell, cell_index)


def execute(notebook, directory) -> list[str]:
    """Execute a notebook in a directory; return how its progress was updated."""
    client = Client(
        notebook,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(directory)}},
    )
    client.updates = []
    client.execute()
    return client.updates


def html_of(cell) -> str:
    [output] = [each for each in cell.outputs if "data" in each]
    return output["data"]["text/html"]


def test_the_example_shows_flow_progress_and_state(tmp_path):
    """Executed as it is, its cells have the drawing, the run's progress to its end, and what it came to."""
    for name in ("weather.ipynb", "weather.py", "charts.py"):
        shutil.copy(EXAMPLES / name, tmp_path)
    notebook = nbformat.read(tmp_path / "weather.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)  # none that could be old
    updates = execute(notebook, tmp_path)
    flow, run, state, table = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert 'src="data:image/svg+xml;base64,' in html_of(flow)
    assert "seattle-weather" in html_of(flow)
    assert updates[-1] == html_of(run)
    assert re.search(r"<b>Success</b>.* 6 Success.* 1 Skipped.*5/5 tasks", html_of(run))
    assert re.search(r"<td>summarise</td>.*3 Success", html_of(state))
    assert "2014" in html_of(table)


LIVE = """
import threading
from prefect import Flow, task
from prefect.progress.notebook import InNotebook

updated = threading.Semaphore(0)
update = InNotebook._update

def telling(self):
    update(self)
    updated.release()

InNotebook._update = telling

@task
def waits():
    for _ in range(3):
        assert updated.acquire(timeout=60)

with Flow("live") as flow:
    waits()
state = flow.run(progress=True)
"""


def test_progress_is_updated_while_a_task_runs(tmp_path):
    """A task that takes its time is shown meanwhile, though nothing of the run changes."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(LIVE)])
    updates = execute(notebook, tmp_path)
    assert any(re.search(r"<b>Running</b>.*waits [\d.]+ m?s", each) for each in updates)
    assert "<b>Success</b>" in updates[-1]


def test_nothing_of_notebooks_is_imported_elsewhere():
    """A program that shows its progress, and asks for HTML, imports nothing of IPython."""
    program = (
        "import sys; from prefect import Flow, Parameter; flow = Flow('x', tasks=[Parameter('p', 1)]);"
        "state = flow.run(progress=True); flow._repr_html_(), state._repr_html_();"
        "sys.exit(any(name.split('.')[0] in ('IPython', 'ipykernel', 'rich') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
