"""What libraries tell by the standard library's logging becomes lines of our log.

Python would write it to standard error as it is, and an exporter whose collector is away says so with every batch.
"""

from __future__ import annotations

import logging
from typing import Final

import structlog

from extproc.telemetry.seldom import Seldom

log = structlog.get_logger()

_READER_OF_HEADERS: Final = "opentelemetry.util.re"
"""It repeats a value of OTEL_EXPORTER_OTLP_HEADERS that it cannot read: a credential, as a rule."""


class StandardLog(logging.Handler):
    """Warnings and worse, one line for each place in the code in a while."""

    def __init__(self, every: float = 60.0) -> None:
        """`every` in seconds."""
        super().__init__(logging.WARNING)
        self._seldom = Seldom(every)

    def emit(self, record: logging.LogRecord) -> None:
        left_out = self._seldom.left_out((record.name, record.lineno))
        if left_out is None:
            return
        try:
            text = str(record.msg).replace("%s", "…") if record.name == _READER_OF_HEADERS else record.getMessage()
        except (TypeError, ValueError):  # its arguments do not fit
            text = str(record.msg)
        error = record.exc_info[1] if record.exc_info else None
        fault = {} if error is None else {"error": f"{type(error).__name__}: {error}"}
        write = log.error if record.levelno >= logging.ERROR else log.warning
        write(text, library=record.name, left_out=left_out, **fault)
