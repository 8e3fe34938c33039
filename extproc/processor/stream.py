"""Drives one exchange: the only place where its questions meet the router.

A transport makes one `Stream` per RPC, sends what `receive` returns for each message, and drops it at the end:
end of stream and cancellation alike need no further call.
"""

from __future__ import annotations

import time
from typing import Protocol

from extproc.auth.challenge import Challenge
from extproc.processor.exchange import Exchange, ObserveWanted, RouteWanted
from extproc.routing.router import Routed, Router


class Recorder(Protocol):
    """Counts and traces decisions."""

    def decided(self, routed: Routed, started_ns: int, traceparent: str) -> None:
        """Once per decision. `started_ns`: Unix time in nanoseconds when the request's head came in;
        `traceparent`: the W3C trace context that Envoy sent with the stream, or empty."""


class Stream:
    """One ext_proc stream."""

    def __init__(
        self,
        router: Router,
        challenge: Challenge,
        recorder: Recorder,
        traceparent: str = "",
        *,
        show_reason: bool = True,
    ) -> None:
        self._exchange = Exchange(challenge, show_reason=show_reason)
        self._router = router
        self._recorder = recorder
        self._traceparent = traceparent

    async def receive(self, data: bytes) -> bytes:
        """The one reply to one message. Raises exchange.ProtocolError and codec.WireError."""
        event = self._exchange.receive(data)
        if isinstance(event, RouteWanted):
            started = time.time_ns()
            routed = await self._router.route(event.head)
            self._recorder.decided(routed, started, self._traceparent)
            return self._exchange.routed(routed)
        if isinstance(event, ObserveWanted):
            await self._router.observe(event.routed, event.head)
            return self._exchange.observed()
        return event
