"""The challenges of a 401 (RFC 9110 §11.6.1 `WWW-Authenticate`).

Rules
1. The grammar to the letter, over all lines of the field as one list; one fault anywhere and nothing is read.
2. Scheme and parameter names without regard to case; a parameter that comes twice is a fault (§11.2).
3. A challenge only tells which scheme is wanted and why we were refused. Where tokens come from, for which service
   and for what, is ours to know (token_source.py): a registry cannot send our password, or our reach, elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

_WORD: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED: Final = r'"(?:[^\x00-\x08\n-\x1f\x7f"\\]|\\[^\x00-\x08\n-\x1f\x7f])*"'
_SEPARATOR: Final = re.compile(r"[ \t,]*")
_SCHEME: Final = re.compile(_WORD)
_END: Final = r"(?=[ \t]*(?:,|\Z))"
_PARAMETER: Final = re.compile(rf"({_WORD})[ \t]*=[ \t]*({_WORD}|{_QUOTED}){_END}")
_TOKEN68: Final = re.compile(rf"[A-Za-z0-9\-._~+/]+=*{_END}")
_COMMA: Final = re.compile(r"[ \t]*,[ \t,]*")
_SPACES: Final = re.compile(r" +")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One of them."""

    scheme: str
    """Lower case: `bearer`, `basic`."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """By name, lower case; quotes and escapes taken away."""


def parse_challenges(values: Sequence[str]) -> tuple[Challenge, ...]:
    """All challenges, in their order; none when any of it is malformed. `values`: the field's lines."""
    text = ",".join(values)
    found: list[Challenge] = []
    position = _after(_SEPARATOR, text, 0)
    while position < len(text):
        scheme = _SCHEME.match(text, position)
        if scheme is None:
            return ()
        parameters, position = _parameters(text, scheme.end())
        if parameters is None:
            return ()
        found.append(Challenge(scheme[0].lower(), parameters))
        if position < len(text) and text[position] not in " \t,":
            return ()
        separator = _COMMA.match(text, position)
        position = separator.end() if separator else _after(_SEPARATOR, text, position)
        if separator is None and position < len(text):
            return ()
    return tuple(found)


def _parameters(text: str, position: int) -> tuple[dict[str, str] | None, int]:
    """What follows a scheme, and where it ends; None for a fault."""
    spaces = _SPACES.match(text, position)
    if spaces is None:
        return {}, position
    parameters: dict[str, str] = {}
    parameter = _PARAMETER.match(text, spaces.end())
    if parameter is None:
        opaque = _TOKEN68.match(text, spaces.end())
        return {}, opaque.end() if opaque else position
    while parameter is not None:
        name, value = parameter[1].lower(), parameter[2]
        if name in parameters:
            return None, position
        parameters[name] = _ESCAPE.sub(r"\1", value[1:-1]) if value.startswith('"') else value
        position = parameter.end()
        comma = _COMMA.match(text, position)
        parameter = _PARAMETER.match(text, comma.end()) if comma else None
    return parameters, position


def _after(pattern: re.Pattern[str], text: str, position: int) -> int:
    """Where a pattern that may match nothing ends."""
    match = pattern.match(text, position)
    return match.end() if match else position
