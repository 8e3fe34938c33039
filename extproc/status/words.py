"""Durations and digests as people read them."""

from __future__ import annotations

from typing import Final

_SHORT: Final = 12
"""Hexadecimal digits of a digest: enough to tell two apart."""
_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"))


def span(seconds: float | None) -> str:
    """`0.4 s`, `42 s`, `3 min 5 s`, `2 d 4 h`; a dash for None."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    rest = round(seconds)
    for index, (size, unit) in enumerate(_UNITS):
        if rest >= size:
            below, name = _UNITS[index + 1] if index + 1 < len(_UNITS) else (1, "s")
            more = rest % size // below
            return f"{rest // size} {unit}" + (f" {more} {name}" if more else "")
    return f"{rest} s"


def short(digest: str) -> str:
    algorithm, _, encoded = digest.partition(":")
    return f"{algorithm}:{encoded[:_SHORT]}"
