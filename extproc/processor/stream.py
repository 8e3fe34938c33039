"""Drives one exchange: the only place where its questions meet the router.

A transport makes one `Stream` per RPC, sends what `receive` returns for each message, and drops it at the end:
end of stream and cancellation alike need no further call.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self

from extproc.auth.challenge import Challenge
from extproc.processor.exchange import Exchange, RouteWanted
from extproc.routing.message import RequestHead, ResponseHead
from extproc.routing.router import Routed, Router


class Recording(Protocol):
    """What is recorded of one exchange: a block around its request phase."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def decided(self, routed: Routed) -> None:
        """Once, within the block."""

    def observing(self, routed: Routed, head: ResponseHead) -> AbstractContextManager[object]:
        """A block around the response phase."""


class Recorder(Protocol):
    """Counts and traces exchanges."""

    def deciding(self, head: RequestHead, traceparent: str) -> Recording:
        """`traceparent`: the W3C trace context that Envoy sent with the stream, or empty."""


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
        self._recording: Recording | None = None

    async def receive(self, data: bytes) -> bytes:
        """The one reply to one message. Raises exchange.ProtocolError and codec.WireError."""
        event = self._exchange.receive(data)
        if isinstance(event, bytes):
            return event
        if isinstance(event, RouteWanted):
            with self._recorder.deciding(event.head, self._traceparent) as self._recording:
                routed = await self._router.route(event.head)
                self._recording.decided(routed)
            return self._exchange.routed(routed)
        if self._recording is None:
            raise AssertionError("a response phase follows a request phase")
        with self._recording.observing(event.routed, event.head):
            await self._router.observe(event.routed, event.head)
        return self._exchange.observed()
