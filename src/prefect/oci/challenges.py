"""What a server wants to be authenticated by: the header WWW-Authenticate (RFC 9110, 11.6.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'({_NAME})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|({_NAME}))')
_SCHEME = re.compile(rf"({_NAME})(?=[ \t]|,|$)")
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))")
_LONGEST = 16384


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to authenticate; names are in lower case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def parse_challenges(header: str) -> list[Challenge]:
    """Take a header apart; what is malformed is left out, with whatever follows it."""
    challenges: list[Challenge] = []
    rest = header[:_LONGEST].lstrip(" \t,")
    while rest:
        # `name = value` belongs to the challenge before; a lone name begins another one.
        if challenges and (found := _PARAMETER.match(rest)):
            name, quoted, bare = found.groups()
            value = bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            parameters = {name.lower(): value, **challenges[-1].parameters}
            challenges[-1] = Challenge(challenges[-1].scheme, parameters)
        elif found := _SCHEME.match(rest):
            challenges.append(Challenge(found[1].lower()))
            after = rest[found.end() :].lstrip(" \t")
            if (data := _TOKEN68.match(after)) and not _PARAMETER.match(after):
                found, rest = data, after
        else:
            break
        rest = rest[found.end() :].lstrip(" \t,")
    return challenges
