"""Completion of the command's words in shells, answered from a table of its options, without click.

Where there is no answer, shells complete names of files.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prefect.cli.table import Command

SCRIPTS = {
    "bash": """\
_prefect() {
    local IFS=$'\\n' line=${COMP_LINE:0:COMP_POINT}
    local word=${line##*[[:space:]]} breaks=${COMP_WORDBREAKS//[^:=]/} cut=
    COMPREPLY=($("$1" completion bash -- "${COMP_WORDS[@]:1:COMP_CWORD-1}" "$word" 2>/dev/null))
    if [[ $breaks ]]; then cut=${word%"${word##*[$breaks]}"}; fi
    COMPREPLY=("${COMPREPLY[@]#"$cut"}")
}
complete -o default -F _prefect prefect
""",
    "zsh": """\
#compdef prefect
_prefect() {
    local -a found
    found=("${(@f)$("$words[1]" completion zsh -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n $found[1] ]]; then _describe -V prefect found; else _files; fi
}
compdef _prefect prefect
""",
    "fish": """\
function __prefect
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    set -l found ("$words[1]" completion fish -- $words[2..-1] "$word" 2>/dev/null)
    if set -q found[1]
        printf '%s\\n' $found
    else
        __fish_complete_path "$word"
    end
end
complete -c prefect -f -a '(__prefect)'
""",
}
_SEPARATORS = {"bash": None, "zsh": ":", "fish": "\t"}  # bash shows no descriptions


def complete(shell: str, words: list[str]) -> str:
    """Return a line for each way to complete the last word, as a shell's script wants it.

    Args:
        shell: a key of `SCRIPTS`.
        words: those of the command line after `prefect`; the last one is being written.
    """
    separator = _SEPARATORS[shell]
    lines = []
    for value, text in candidates(words):
        shown = value.replace(":", "\\:") if separator == ":" else value
        lines.append(
            f"{shown}\n" if separator is None or not text else f"{shown}{separator}{text}\n"
        )
    return "".join(lines)


def candidates(words: list[str]) -> list[tuple[str, str]]:
    """Return what the last word may become, each with a description that may be empty."""
    from prefect.cli.table import COMMANDS  # noqa: PLC0415 - the table itself is made with the scripts

    *before, word = words or [""]
    found = {name: text for name, (text, _, _) in COMMANDS.items() if name}
    command = COMMANDS[""]
    while before and before[0] in command[1]:  # options of `prefect` itself
        before.pop(0)
    if before:
        if before[0] not in found:
            return []
        command = COMMANDS[before[0]]
        found = _arguments(before[0], before[1:], word)
    elif word.startswith("-"):
        found = _options(command, before)
    return [(value, text) for value, text in found.items() if value.startswith(word)]


def _arguments(name: str, before: list[str], word: str) -> dict[str, str]:
    """Return what can follow a subcommand's name and the words before."""
    from prefect.cli.table import COMMANDS  # noqa: PLC0415 - see above

    _, options, choices = command = COMMANDS[name]
    if "--" not in before:
        option, equals, _ = word.partition("=")
        if equals and option in options:
            return {f"{option}={choice}": "" for choice in options[option][1] or ()}
        if word.startswith("-"):
            return _options(command, before)
        if before and (taken := options.get(before[-1])) and taken[1] is not None:
            return dict.fromkeys(taken[1], "")
    return dict.fromkeys(choices or _names(name, word), "")


def _names(command: str, word: str) -> list[str]:
    """Return the images after `image:`, or the flows after `FILE.py:`, for who takes them."""
    kind, colon, _ = word.partition(":")
    if colon and kind == "image" and command in {"info", "run", "graph"}:
        from prefect.cli import completing_names  # noqa: PLC0415 - not quick

        return [f"image:{name}" for name in completing_names.images()]
    kind, colon, _ = word.rpartition(":")
    if colon and kind.endswith(".py") and command in {"build", "run", "graph"}:
        from prefect.cli import completing_names  # noqa: PLC0415 - as above

        return [f"{kind}:{name}" for name in completing_names.flows(kind.removeprefix("file:"))]
    return []


def _options(command: Command, before: list[str]) -> dict[str, str]:
    """Return the options that can still be given."""
    _, options, _ = command
    return {
        name: text
        for name, (text, _, same) in options.items()
        if not any(given in same for given in before)
    }
