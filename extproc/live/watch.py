"""Whether files have changed, by looking at them: a mounted ConfigMap or Secret is swapped by renaming a link far
above the file, which a watch on the file itself would not see.

A file counts as changed once it looks the same twice: it is not read while it is being written.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

INTERVAL: Final = 0.5
"""Seconds between two looks."""

_Look = tuple[tuple[Path, tuple[int, int, int, int] | None], ...]


class Watch:
    """Remembers how the files looked when they were last acted on."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._acted_on = self._before = _look(files)

    def changed(self, files: Iterable[Path]) -> bool:
        """Whether they look otherwise than when this last said so, or at the start, and have come to rest."""
        now = _look(files)
        rested, self._before = now == self._before, now
        if not rested or now == self._acted_on:
            return False
        self._acted_on = now
        return True


def _look(files: Iterable[Path]) -> _Look:
    return tuple((file, _stat(file)) for file in files)


def _stat(file: Path) -> tuple[int, int, int, int] | None:
    """None for a file that cannot be seen."""
    try:
        seen = file.stat()
    except (OSError, ValueError):  # a path with a NUL
        return None
    return seen.st_dev, seen.st_ino, seen.st_mtime_ns, seen.st_size
