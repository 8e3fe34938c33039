"""Whether an exchange is traced, found out before anything is made for it: most are not.

Source: W3C Trace Context, "traceparent Header Field Values".
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from extproc.routing.message import Unread

_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(-.*)?")
_PROPAGATOR: Final = TraceContextTextMapPropagator()


class Sampling(Protocol):
    """What a request's head decides."""

    def parent(self, *traceparents: str | Unread) -> Context | None:
        """Of the first usable trace context, or an empty one for a trace of our own. None: it is not traced."""


class HeadSampling:
    """As the parent was; without one the SDK's sampler decides."""

    def __init__(self, *, parent_based: bool) -> None:
        """Else the SDK's sampler is asked about all, whatever their parents were (OTEL_TRACES_SAMPLER=always_on)."""
        self._parent_based = parent_based

    def parent(self, *traceparents: str | Unread) -> Context | None:
        for given in traceparents:
            if self._parent_based and not isinstance(given, str) and given.unsampled:
                return None
            traceparent = str(given)
            if match := _TRACEPARENT.fullmatch(traceparent):
                if self._parent_based and not int(match[1], 16) & 1:
                    return None
                return _PROPAGATOR.extract({"traceparent": traceparent}, Context())
        return Context()


class NoSampling:
    """There is no exporter: nobody would see a span."""

    def parent(self, *traceparents: str | Unread) -> Context | None:
        return None
