"""Patterns of repository names, such as `group/*`.

Rules
1. A pattern is compared with the whole name, segment by segment; segments are what stands between slashes.
2. `*` within a segment is any run of characters, also none. It never crosses a slash.
3. `**` as a whole segment is any number of segments, also none: `group/**` is `group` and all below it.
4. Nothing else is special, and what cannot be in a name cannot be in a pattern.

Matching takes a time bounded by the product of both lengths, whatever the name: clients choose names.
"""

from __future__ import annotations

import fnmatch
import re
from functools import lru_cache
from typing import Final, Self

from extproc.oci.reference import Name

_SEGMENT: Final = re.compile(r"[a-z0-9._*-]+", re.ASCII)
_NOTHING: Final = re.compile(r"(?!)")
_ANY: Final = "**"
_LIMIT: Final = 255
"""No name is longer."""


class PatternInvalid(ValueError):
    """The text is not a pattern of names. The message is one sentence with the value and the remedy."""


class NamePattern(str):
    """A valid pattern."""

    __slots__ = ("_segments",)

    _segments: tuple[re.Pattern[str] | None, ...]
    """None: any number of segments."""

    def __new__(cls, text: str) -> Self:
        pattern = super().__new__(cls, text)
        if len(text) > _LIMIT:
            raise PatternInvalid(f"{text[:40] + '…'!r} is longer than any name: give at most {_LIMIT} characters")
        pattern._segments = tuple(_segment(part, text) for part in text.split("/"))
        return pattern

    def matches(self, name: Name) -> bool:
        wanted, given = self._segments, name.split("/")
        at = at_wanted = 0
        last, reach = -1, 0
        # `last`: where the latest `**` stands; `reach`: where what it takes ends. When something after it does not
        # fit, it takes one segment more; an earlier `**` need not be tried again.
        while at < len(given):
            part = wanted[at_wanted] if at_wanted < len(wanted) else _NOTHING
            if part is None:
                last, reach, at_wanted = at_wanted, at, at_wanted + 1
            elif part.match(given[at]):
                at, at_wanted = at + 1, at_wanted + 1
            elif last < 0:
                return False
            else:
                reach += 1
                at, at_wanted = reach, last + 1
        return all(part is None for part in wanted[at_wanted:])


def _segment(part: str, text: str) -> re.Pattern[str] | None:
    if part == _ANY:
        return None
    if not part:
        raise PatternInvalid(
            f"{text!r} is not a pattern of names: it is empty or has a slash too many; write group/* or group/**"
        )
    if _SEGMENT.fullmatch(part) is None:
        raise PatternInvalid(
            f"{text!r} is not a pattern of names: names have lower-case letters, digits and . _ - / only, and of "
            "wildcards there are * and **; correct it"
        )
    if _ANY in part:
        raise PatternInvalid(
            f"{text!r} is not a pattern of names: ** stands for whole segments; put it between slashes, or write *"
        )
    return _compiled(part)


@lru_cache(maxsize=65536)
def _compiled(part: str) -> re.Pattern[str]:
    """Remembered, for each change of settings makes all patterns anew, in a loop that serves."""
    # Of fnmatch's wildcards only `*` can be here, and its translation does not try what cannot help.
    return re.compile(fnmatch.translate(part))
