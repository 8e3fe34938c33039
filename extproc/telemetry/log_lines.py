"""The log's way out: standard error, which a full disk or an ended reader must not make our fault."""

from __future__ import annotations

import io
import json
import sys
from typing import Final, Protocol

LOST: Final = "lines of this log were lost: it could not be written"


class _Writable(Protocol):
    def write(self, text: str, /) -> object: ...

    def flush(self) -> None: ...


def standard_error() -> _Writable:
    """Unbuffered: a line that a full disk did not take must not be left over for the interpreter's end, which would
    then be a failure (exit code 120)."""
    if sys.stderr is not sys.__stderr__ or sys.stderr is None:
        return sys.stderr  # somebody else's
    raw = io.FileIO(sys.stderr.fileno(), "w", closefd=False)
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", write_through=True)


class LogLines:
    """What cannot be written is lost; how many lines it were is said once it works again.

    A log line that raised would end whoever writes it: the supervisor's keeper of a worker, for one.
    """

    def __init__(self, file: _Writable) -> None:
        self._file = file
        self._lost = 0

    def write(self, line: str) -> None:
        try:
            if self._lost:
                self._file.write(self._confession())
            self._file.write(line)
            self._file.flush()
        except OSError:
            self._lost += 1
        else:
            self._lost = 0

    def flush(self) -> None:
        """Each line is."""

    def _confession(self) -> str:
        return json.dumps({"event": LOST, "lost": self._lost, "level": "error"}) + "\n"
