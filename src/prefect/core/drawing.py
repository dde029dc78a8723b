"""Draws flows from their serialized form, so also those that nobody may execute.

`to_text`, `to_mermaid` and `to_dot` are pure. `render` writes a file, and may start Graphviz:
it is the only thing in core that touches the world outside.

Names in a serialized flow may be anybody's: none reaches a terminal, a browser or Graphviz
unescaped.
"""

from __future__ import annotations

from prefect.core.serialization import default_text
from prefect.printable import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from os import PathLike
    from typing import Any, TypeAlias

    Serialized: TypeAlias = dict[str, Any]
    States: TypeAlias = Mapping[str, Mapping[str, int]]

_WIDEST = 40
"""Characters of a task's column in the text form; longer ones stick out."""


def to_text(serialized: Serialized, counts: States | None = None) -> str:
    """Draw as lines of text: one for each task, by how many tasks come before it."""
    depths = _depths(serialized)
    parameters = {parameter["name"]: parameter for parameter in serialized["parameters"]}
    mapped = _mapped(serialized)
    waited_for = {edge["upstream"] for edge in serialized["edges"]}
    last = {task["id"] for task in serialized["tasks"]} - waited_for
    reference = set(serialized["reference_tasks"])
    inputs: dict[str, list[str]] = {}
    for edge in serialized["edges"]:
        source = printable(edge["upstream"])
        text = source if edge["key"] is None else f"{printable(edge['key'])}={source}"
        inputs.setdefault(edge["downstream"], []).append(f"{text}[*]" if edge["mapped"] else text)

    rows: list[tuple[int, str, str]] = []
    for task in sorted(serialized["tasks"], key=lambda task: depths[task["id"]]):
        slug = task["id"]
        label = printable(slug) + ("[*]" if slug in mapped else "")
        notes = []
        if slug in parameters:
            notes.append(f"parameter, {_default(parameters[slug])}")
        if slug in inputs:
            notes.append(f"<- {', '.join(inputs[slug])}")
        if slug in reference and reference != last:  # those are the default
            notes.append("(reference)")
        if counts and slug in counts:
            notes.append(printable(_told(counts[slug])))
        rows.append((depths[slug], label, "  ".join(notes)))

    width = min(max((len(label) for _, label, _ in rows), default=0), _WIDEST)
    size = f"{_number(serialized['tasks'], 'task')}, {_number(serialized['edges'], 'edge')}"
    lines = [f"{printable(serialized['name'])}: {size}"]
    previous = -1
    for depth, label, note in rows:
        layer = "" if depth == previous else str(depth + 1)
        previous = depth
        lines.append(f"{layer:>4}  {label:<{width}}  {note}".rstrip())
    return "\n".join(lines) + "\n"


def to_mermaid(serialized: Serialized, counts: States | None = None) -> str:
    """Draw as a Mermaid flowchart."""
    nodes = {task["id"]: f"t{number}" for number, task in enumerate(serialized["tasks"])}
    mapped = _mapped(serialized)
    parameters = {parameter["name"] for parameter in serialized["parameters"]}
    lines = ["flowchart TD"]
    for slug, node in nodes.items():
        start, end = "[", "]"
        if slug in parameters:
            start, end = "([", "])"
        elif slug in mapped:
            start, end = "[[", "]]"
        label, colour = _with_state(slug, counts)
        lines.append(f'    {node}{start}"{_mermaid(label)}"{end}')
        if colour:
            lines.append(f"    style {node} stroke:{colour},stroke-width:3px")
    for edge in serialized["edges"]:
        arrow = "==>" if edge["mapped"] else "-->"
        label = "" if edge["key"] is None else f'|"{_mermaid(edge["key"])}"|'
        lines.append(f"    {nodes[edge['upstream']]} {arrow}{label} {nodes[edge['downstream']]}")
    return "\n".join(lines) + "\n"


def to_dot(serialized: Serialized, counts: States | None = None) -> str:
    """Draw in Graphviz's language."""
    nodes = {task["id"]: f"t{number}" for number, task in enumerate(serialized["tasks"])}
    mapped = _mapped(serialized)
    parameters = {parameter["name"] for parameter in serialized["parameters"]}
    lines = [
        f"digraph {_quoted(serialized['name'])} {{",
        '    node [fontname="sans-serif" shape=box style=rounded]',
        '    edge [fontname="sans-serif" fontsize=10]',
    ]
    for slug, node in nodes.items():
        shape = ""
        if slug in parameters:
            shape = " shape=ellipse style=solid"
        elif slug in mapped:
            shape = " peripheries=2 style=solid"
        label, colour = _with_state(slug, counts)
        drawn = f' color="{colour}" penwidth=2' if colour else ""
        lines.append(f"    {node} [label={_quoted(label)}{shape}{drawn}]")
    for edge in serialized["edges"]:
        name = "" if edge["key"] is None else f"label={_quoted(edge['key'])}"
        style = "style=bold" if edge["mapped"] else ""
        attributes = " ".join(filter(None, (name, style)))
        line = f"    {nodes[edge['upstream']]} -> {nodes[edge['downstream']]}"
        lines.append(f"{line} [{attributes}]" if attributes else line)
    return "\n".join([*lines, "}"]) + "\n"


DRAWINGS: dict[str, Callable[[Serialized, States | None], str]] = {
    "text": to_text,
    "mermaid": to_mermaid,
    "dot": to_dot,
}
"""The formats that need no other program."""


def draw(serialized: Serialized, form: str, counts: States | None = None) -> str:
    """Draw in one of the formats of text.

    Args:
        serialized: the flow.
        form: the format.
        counts: of each task by its slug, how many of what it ran as came to each state; None draws no states.

    Raises:
        ValueError: there is no such format.
    """
    if form not in DRAWINGS:
        raise ValueError(f"There is no format {form!r}; there are {', '.join(DRAWINGS)}")
    return DRAWINGS[form](serialized, counts)


def render(serialized: Serialized, path: str | PathLike[str], counts: States | None = None) -> None:
    """Draw into a file, in the form that its suffix names.

    .txt, .mmd, .md (Mermaid in Markdown), .dot, .gv and .svg need nothing; .png and .pdf the
    program `dot`. The file appears whole or not at all. States are drawn as by `draw`.

    Raises:
        OSError: the file cannot be written.
        RenderError: `dot` is not installed, or fails.
        ValueError: the suffix is none of these.
    """
    from pathlib import Path  # noqa: PLC0415  # slow to import, needed here alone

    from prefect.files import replacing  # noqa: PLC0415  # likewise

    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in _PICTURES:
        data = _graphviz(to_dot(serialized, counts), suffix[1:])
    elif suffix in _TEXTS:
        data = _TEXTS[suffix](serialized, counts).encode("utf-8", "backslashreplace")
    else:
        known = ", ".join([*_TEXTS, *_PICTURES])
        raise ValueError(f"No drawing has the suffix {suffix!r}; there are {known}")
    with replacing(path, mode=None) as file:
        file.write(data)


def _in_markdown(serialized: Serialized, counts: States | None) -> str:
    return f"```mermaid\n{to_mermaid(serialized, counts)}```\n"


def _to_svg(serialized: Serialized, counts: States | None) -> str:
    from prefect.core.picture import to_svg  # noqa: PLC0415  # needed by pictures alone

    return to_svg(serialized, counts)


_PICTURES = (".png", ".pdf")
_TEXTS: dict[str, Callable[[Serialized, States | None], str]] = {
    ".txt": to_text,
    ".mmd": to_mermaid,
    ".md": _in_markdown,
    ".dot": to_dot,
    ".gv": to_dot,
    ".svg": _to_svg,
}


def _graphviz(source: str, form: str) -> bytes:
    import shutil  # noqa: PLC0415  # slow to import, needed here alone
    import subprocess  # noqa: PLC0415  # likewise

    from prefect.errors import RenderError  # noqa: PLC0415

    program = shutil.which("dot")
    if program is None:
        raise RenderError(
            f"Drawing .{form} needs Graphviz, whose program `dot` is not installed "
            "(apt install graphviz, brew install graphviz); .svg, .txt, .md and .mmd need nothing"
        )
    result = subprocess.run(  # noqa: S603  # the program is Graphviz, its input is quoted
        [program, f"-T{form}"],
        input=source.encode("utf-8", "backslashreplace"),
        capture_output=True,
        check=False,
    )
    if result.returncode:
        raise RenderError(f"dot failed: {result.stderr.decode(errors='replace').strip()}")
    return result.stdout


def _with_state(slug: str, counts: States | None) -> tuple[str, str]:
    """Return what a node says, and the colour of its state; "" for one without."""
    if not counts or slug not in counts:
        return slug, ""
    from prefect.core.picture import COLOURS, OTHER  # noqa: PLC0415  # for states alone
    from prefect.core.state_counts import worst  # noqa: PLC0415  # likewise

    return f"{slug}: {_told(counts[slug])}", COLOURS.get(worst(counts[slug]), OTHER)


def _told(counts: Mapping[str, int]) -> str:
    """Return one state by itself, and of several how many there are of each."""
    if sum(counts.values()) == 1:
        return next(iter(counts))
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())


def _depths(serialized: Serialized) -> dict[str, int]:
    """Return how many tasks come before each at most. The tasks are in topological order."""
    upstream: dict[str, list[str]] = {}
    for edge in serialized["edges"]:
        upstream.setdefault(edge["downstream"], []).append(edge["upstream"])
    depths: dict[str, int] = {}
    for task in serialized["tasks"]:
        before = upstream.get(task["id"], ())
        depths[task["id"]] = 1 + max((depths[slug] for slug in before), default=-1)
    return depths


def _mapped(serialized: Serialized) -> set[str]:
    return {edge["downstream"] for edge in serialized["edges"] if edge["mapped"]}


def _default(parameter: dict[str, Any]) -> str:
    if parameter["required"]:
        return "required"
    return f"default {printable(default_text(parameter))}"


def _number(things: list[Any], word: str) -> str:
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"


def _mermaid(text: str) -> str:
    """Write all but letters, digits and what is harmless as numeric entities."""
    return "".join(
        char if char.isalnum() or char in " _-." else f"#{ord(char)};" for char in printable(text)
    )


def _quoted(text: str) -> str:
    escaped = printable(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
