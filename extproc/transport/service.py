"""What every transport serves: the one method of ext_proc, and how a stream of it ends for a fault.

Unexpected faults of ours end the stream with an error, and Envoy (`failure_mode_allow`) sends the request to the
primary: refusing is done by an immediate response only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog

from extproc.processor.codec import WireError
from extproc.processor.exchange import ProtocolError
from extproc.routing.message import Unread
from extproc.telemetry.seldom import Seldom
from extproc.telemetry.trace_context import of_caller

METHOD: Final = "/envoy.service.ext_proc.v3.ExternalProcessor/Process"
LARGEST_MESSAGE: Final = 1 << 20
"""Bytes. Envoy's header limit is far below; bodies are never sent here (promise P7)."""
OUR_FAULT: Final = "a fault of geo-extproc; its log has it"

log = structlog.get_logger()


class MessageHandler(Protocol):
    """One stream: each message has exactly one reply."""

    def receive(self, data: bytes) -> bytes | Awaitable[bytes]:
        """The reply, at once where nothing is waited for. Raises, or its awaitable, codec.WireError and
        exchange.ProtocolError for what the peer did wrong."""


NewStream = Callable[[str | Unread], MessageHandler]
"""Takes the W3C traceparent of who calls, or nothing."""


class Endpoint(Protocol):
    """Where one worker serves."""

    @property
    def streams(self) -> int:
        """Under way now."""

    async def start(self) -> None:
        """Listen and report SERVING. Raises listening.ListenError."""

    async def announce_drain(self) -> None:
        """Answer NOT_SERVING, so that Envoy takes this worker out of rotation; go on serving."""

    async def stop(self, grace: float) -> None:
        """Take no more streams, end the running ones after `grace` seconds."""


def is_refusal(error: Exception) -> bool:
    """Whether the peer is at fault: INVALID_ARGUMENT with the error's text. Else it is ours: INTERNAL."""
    return isinstance(error, WireError | ProtocolError)


class FaultLog:
    """Tells of streams that ended for a fault. Seldom: whoever may connect can cause as many as he likes."""

    def __init__(self, seldom: Seldom | None = None) -> None:
        self._seldom = seldom or Seldom()

    def tell(self, error: Exception, traceparent: str) -> None:
        """`traceparent`: of who called. The exchange's own span, if it has one, has ended by now."""
        left_out = self._seldom.left_out(type(error).__name__)
        if left_out is None:
            return
        with of_caller(traceparent):
            if is_refusal(error):
                log.warning("stream refused", error=str(error), left_out=left_out)
            else:
                log.error("stream failed", exc_info=error, left_out=left_out)

    def tell_connection(self, fault: str) -> None:
        """One that was closed for what its peer did."""
        left_out = self._seldom.left_out("connection")
        if left_out is not None:
            log.warning("connection refused", error=fault, left_out=left_out)
