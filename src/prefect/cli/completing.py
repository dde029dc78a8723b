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
    local IFS=$'\\n'
    COMPREPLY=($("$1" completion bash -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
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
    return "".join(
        f"{value}\n" if separator is None or not text else f"{value}{separator}{text}\n"
        for value, text in candidates(words)
    )


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
        found = _arguments(command, before[1:], word)
    elif word.startswith("-"):
        found = _options(command, before)
    return [(value, text) for value, text in found.items() if value.startswith(word)]


def _arguments(command: Command, before: list[str], word: str) -> dict[str, str]:
    _, options, choices = command
    if "--" not in before:
        if word.startswith("-"):
            return _options(command, before)
        if before and (option := options.get(before[-1])) and option[1] is not None:
            return dict.fromkeys(option[1], "")
    return dict.fromkeys(choices, "")


def _options(command: Command, before: list[str]) -> dict[str, str]:
    """Return the options that can still be given."""
    _, options, _ = command
    return {
        name: text
        for name, (text, _, same) in options.items()
        if not any(given in same for given in before)
    }
