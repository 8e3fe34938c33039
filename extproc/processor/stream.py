"""Drives one exchange: the only place where its questions meet the router.

A transport makes one `Stream` per RPC, sends what `receive` returns for each message, and drops it at the end:
end of stream and cancellation alike need no further call.
"""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import AbstractContextManager
from functools import partial
from types import TracebackType
from typing import Protocol, Self

from extproc.auth.challenge import Challenge
from extproc.processor.exchange import Exchange, ObserveWanted
from extproc.processor.pending_reply import PendingReply
from extproc.routing.message import RequestHead, ResponseHead, Unread
from extproc.routing.router import Pending, Routed, Router


class Recording(Protocol):
    """What is recorded of one exchange, from now on: a block around its request phase, if it is traced."""

    @property
    def traced(self) -> bool:
        """Whether the block is wanted."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def decided(self, routed: Routed) -> None:
        """Once, within the block if there is one."""

    def observing(self, routed: Routed, head: ResponseHead) -> AbstractContextManager[object]:
        """A block around the response phase."""


class Recorder(Protocol):
    """Counts and traces exchanges."""

    def deciding(self, head: RequestHead, traceparent: str | Unread) -> Recording:
        """`traceparent`: the W3C trace context that Envoy sent with the stream, or empty."""


class Stream:
    """One ext_proc stream."""

    __slots__ = ("_exchange", "_recorder", "_recording", "_router", "_traceparent")

    def __init__(
        self,
        router: Router,
        challenge: Challenge,
        recorder: Recorder,
        traceparent: str | Unread = "",
        *,
        show_reason: bool = True,
    ) -> None:
        self._exchange = Exchange(challenge, show_reason=show_reason)
        self._router = router
        self._recorder = recorder
        self._traceparent = traceparent
        self._recording: Recording | None = None

    def receive(self, data: bytes) -> bytes | Awaitable[bytes]:
        """The one reply to one message; at once where the store is not asked and nothing is traced.

        Raises, or its awaitable, exchange.ProtocolError and codec.WireError.
        """
        event = self._exchange.receive(data)
        if isinstance(event, bytes):
            return event
        if isinstance(event, RequestHead):
            self._recording = recording = self._recorder.deciding(event, self._traceparent)
            if recording.traced:
                return self._route(recording, event)
            begun = self._router.begin(event)
            if isinstance(begun, Routed):
                recording.decided(begun)
                return self._exchange.routed(begun)
            return self._ask(recording, begun) if self._router.asks(begun) else self._finish(recording, begun)
        if self._recording is None:
            raise AssertionError("a response phase follows a request phase")
        return self._observe(self._recording, event)

    async def _route(self, recording: Recording, head: RequestHead) -> bytes:
        with recording:
            routed = await self._router.route(head)
            recording.decided(routed)
        return self._exchange.routed(routed)

    def _ask(self, recording: Recording, pending: Pending) -> PendingReply:
        reply = PendingReply()
        self._router.ask(pending, partial(self._decided, recording, reply))
        return reply

    def _decided(self, recording: Recording, reply: PendingReply, outcome: Routed | Exception) -> None:
        if reply.over:
            return  # nobody waits for it any more
        if isinstance(outcome, Routed):
            try:
                recording.decided(outcome)
                told: bytes | Exception = self._exchange.routed(outcome)
            except Exception as error:
                # It is this stream's alone: whoever tells us goes on.
                told = error
        else:
            told = outcome
        reply.tell(told)

    async def _finish(self, recording: Recording, pending: Pending) -> bytes:
        routed = await self._router.finish(pending)
        recording.decided(routed)
        return self._exchange.routed(routed)

    async def _observe(self, recording: Recording, wanted: ObserveWanted) -> bytes:
        with recording.observing(wanted.routed, wanted.head):
            await self._router.observe(wanted.routed, wanted.head)
        return self._exchange.observed()


class Streams:
    """Makes those of one worker."""

    def __init__(self, router: Router, challenge: Challenge, recorder: Recorder, *, show_reason: bool = True) -> None:
        """As `Stream`."""
        self._router = router
        self._challenge = challenge
        self._recorder = recorder
        self._show_reason = show_reason

    def new(self, traceparent: str | Unread) -> Stream:
        """`traceparent`: the W3C trace context of who calls, or nothing."""
        return Stream(self._router, self._challenge, self._recorder, traceparent, show_reason=self._show_reason)
