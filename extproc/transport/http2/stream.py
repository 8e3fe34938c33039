"""What a connection knows of each of its streams, and to whom it tells what comes on them."""

from __future__ import annotations

from typing import Any, Final, Protocol

from extproc.transport.http2.request import Request
from extproc.transport.http2.traceparent import Traceparent

_NOTHING: Final = bytearray()
"""Is never changed."""


class Stream:
    """One that is open."""

    __slots__ = (
        "answered",
        "call",
        "ended",
        "expected",
        "held",
        "id",
        "receive_window",
        "send_window",
        "used",
        "waiting",
        "waiting_end",
    )

    def __init__(self, number: int, receive_window: int, send_window: int) -> None:
        self.id = number
        self.call: Any = None
        """The handler's own."""
        self.receive_window = receive_window
        self.held = 0
        """Bytes of DATA that came and are not used yet."""
        self.used = 0
        """Those that are, and that the window was not opened for again."""
        self.send_window = send_window
        self.waiting = _NOTHING
        """DATA that no window has room for yet."""
        self.waiting_end: bytes | None = None
        """The block of trailers that ends the stream behind it."""
        self.expected: int | None = None
        """Bytes of DATA that content-length still announces."""
        self.ended = False
        """The peer has."""
        self.answered = False
        """Something was sent."""


class Handler(Protocol):
    """Hears what the peer does. None of these may raise."""

    def request(self, stream: Stream, request: Request, traceparent: Traceparent) -> None:
        """A stream begins."""

    def data(self, stream: Stream, data: bytes) -> None:
        """Not empty. To be told as used by `Connection.used`."""

    def ended(self, stream: Stream) -> None:
        """The peer sends no more on it."""

    def reset(self, stream: Stream, code: int) -> None:
        """The peer, or we for a fault of his, gave it up."""

    def sent(self, stream: Stream) -> None:
        """What had to wait for a window has all been sent."""
