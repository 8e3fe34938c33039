"""Calls: what a client has asked for on one HTTP/2 stream, from its head to its trailers.

Rules
1. A call takes its messages one after another: the next one when the reply to the last is sent, and not only written
   down. So a client that does not read is not worked for.
2. It ends once: by its trailers, or by a reset of either side. Whatever comes to its mind later is dropped.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from extproc.processor.pending_reply import PendingReply
from extproc.transport.grpc_wire import (
    OK,
    PREFIX,
    RESPONSE,
    BadMessage,
    Messages,
    Status,
    trailers,
    trailers_only,
)
from extproc.transport.grpc_wire import message as framed
from extproc.transport.health import Health
from extproc.transport.http2.connection import Connection
from extproc.transport.http2.stream import Stream
from extproc.transport.http2.traceparent import Traceparent
from extproc.transport.service import LARGEST_MESSAGE, OUR_FAULT, FaultLog, NewStream, is_refusal


class Caller(Protocol):
    """Whose call it is."""

    @property
    def connection(self) -> Connection: ...

    def flush_soon(self) -> None:
        """Something is to be sent that no input of this moment caused."""


class Call:
    """What all have in common. A kind of call says what becomes of a message, and of the end of them."""

    __slots__ = ("_answered", "_busy", "_caller", "_connection", "_ended", "_messages", "_over", "_stream", "_timer")

    def __init__(self, caller: Caller, stream: Stream) -> None:
        self._caller = caller
        self._connection = caller.connection
        self._stream = stream
        self._messages: Messages | None = None
        """What came in pieces. Most messages come whole, and alone."""
        self._answered = self._ended = self._over = False
        self._busy = False
        """With a message, of which there is no reply yet."""
        self._timer: asyncio.TimerHandle | None = None

    def limit(self, seconds: float) -> None:
        """The client's deadline. One that was answered at once needs none."""
        if not self._over:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._too_late)

    def data(self, data: bytes) -> None:
        size = len(data)
        # The usual case: a message, whole and alone, and nothing under way.
        if (
            not self._busy
            and size >= PREFIX
            and data[0] == 0
            and (data[1] << 24 | data[2] << 16 | data[3] << 8 | data[4]) == size - PREFIX
            and not self._messages
            and not self._stream.waiting
        ):
            self._connection.used(self._stream, size)
            self._message(data[PREFIX:])
            return
        if self._messages is None:
            self._messages = Messages(LARGEST_MESSAGE)
        self._messages.add(data)
        self._advance()

    def ended(self) -> None:
        """The client sends no more messages."""
        self._ended = True
        self._advance()

    def sent(self) -> None:
        """What had to wait has been sent."""
        self._advance()

    def reset(self) -> None:
        """Nobody waits for it any more."""
        if not self._over:
            self._close()

    def leave(self) -> None:
        """The server will end: what would never end by itself ends now."""

    def _message(self, message: bytes) -> None:
        raise NotImplementedError

    def _no_more(self) -> None:
        raise NotImplementedError

    def _advance(self) -> None:
        try:
            while self._messages and not self._busy and not self._over and not self._stream.waiting:
                message = self._messages.next()
                if message is None:
                    break
                self._connection.used(self._stream, PREFIX + len(message))
                self._message(message)
        except BadMessage as error:
            self._end(error.status, str(error))
        if self._ended and not self._busy and not self._over and not self._stream.waiting:
            if self._messages:
                self._end(Status.INTERNAL, "the stream ended within a message")
            else:
                self._no_more()

    def _reply(self, reply: bytes) -> None:
        data = framed(reply)
        if self._answered:
            self._connection.send_data(self._stream, data)
        else:
            self._answered = True
            self._connection.send_answer(self._stream, RESPONSE, data)

    def _end(self, status: Status, message: str = "") -> None:
        if self._over:
            return
        if self._answered:
            self._connection.send_trailers(self._stream, trailers(status, message) if status else OK)
        else:
            self._connection.send_headers(self._stream, trailers_only(status, message), end=True)
        self._close()

    def _too_late(self) -> None:
        self._end(Status.DEADLINE_EXCEEDED, "the client's deadline has passed")
        self._caller.flush_soon()

    def _close(self) -> None:
        self._over = True
        if self._timer is not None:
            self._timer.cancel()


class Refused(Call):
    """One that has been answered already, by its status alone: what still comes of it is not looked at."""

    __slots__ = ()

    def __init__(self, caller: Caller, stream: Stream, status: Status, message: str) -> None:
        super().__init__(caller, stream)
        self._end(status, message)


class Host(Protocol):
    """Whose exchanges they are."""

    @property
    def new_stream(self) -> NewStream: ...

    @property
    def faults(self) -> FaultLog: ...

    def one_less(self) -> None:
        """One has ended."""


class Process(Call):
    """One exchange."""

    __slots__ = ("_coming", "_handler", "_host", "_task", "_traceparent")

    def __init__(self, caller: Caller, stream: Stream, host: Host, traceparent: Traceparent) -> None:
        super().__init__(caller, stream)
        self._host = host
        self._traceparent = traceparent
        # One of them, while the call is busy.
        self._coming: PendingReply | None = None
        self._task: asyncio.Task[bytes] | None = None
        try:
            self._handler = host.new_stream(traceparent)
        except Exception as error:
            self._fail(error)

    def _message(self, message: bytes) -> None:
        try:
            reply = self._handler.receive(message)
        except Exception as error:
            self._fail(error)
            return
        if isinstance(reply, bytes):
            self._reply(reply)
            return
        self._busy = True
        if isinstance(reply, PendingReply):
            self._coming = reply
            reply.then(self._told)
        else:
            self._task = asyncio.ensure_future(reply)
            self._task.add_done_callback(self._done)

    def _no_more(self) -> None:
        self._end(Status.OK)

    def _told(self, outcome: bytes | Exception) -> None:
        """Of `_coming`; not once the call is over."""
        self._coming = None
        self._went_on(outcome)

    def _done(self, task: asyncio.Task[bytes]) -> None:
        if self._over:
            # Its error, if it ended by one, is nobody's: whoever asked has gone.
            if not task.cancelled():
                task.exception()
            return
        self._task = None
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            self._went_on(task.result())
        else:
            self._went_on(error if isinstance(error, Exception) else RuntimeError("it was cancelled"))

    def _went_on(self, outcome: bytes | Exception) -> None:
        self._busy = False
        if isinstance(outcome, bytes):
            self._reply(outcome)
            self._advance()
        else:
            self._fail(outcome)
        self._caller.flush_soon()

    def _fail(self, error: Exception) -> None:
        self._host.faults.tell(error, str(self._traceparent))
        if is_refusal(error):
            self._end(Status.INVALID_ARGUMENT, str(error))
        else:
            self._end(Status.INTERNAL, OUR_FAULT)

    def _close(self) -> None:
        super()._close()
        if self._coming is not None:
            self._coming.give_up()
            self._coming = None
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._host.one_less()


class _OneRequest(Call):
    """Takes one message, and acts when the client has ended its side."""

    __slots__ = ("_request",)

    def __init__(self, caller: Caller, stream: Stream) -> None:
        super().__init__(caller, stream)
        self._request: bytes | None = None

    def _message(self, message: bytes) -> None:
        if self._request is not None:
            self._end(Status.INTERNAL, "one message is taken, and there are two")
        self._request = message

    def _no_more(self) -> None:
        if self._request is None:
            self._end(Status.INTERNAL, "one message is wanted, and there is none")
            return
        try:
            self._act(self._request)
        except ValueError as error:
            self._end(Status.INTERNAL, str(error))

    def _act(self, request: bytes) -> None:
        raise NotImplementedError


class Check(_OneRequest):
    """Health, once."""

    __slots__ = ("_health",)

    def __init__(self, caller: Caller, stream: Stream, health: Health) -> None:
        super().__init__(caller, stream)
        self._health = health

    def _act(self, request: bytes) -> None:
        answer = self._health.check(request)
        if answer is None:
            self._end(Status.NOT_FOUND)
        else:
            self._reply(answer)
            self._end(Status.OK)


class Watch(_OneRequest):
    """Health, and each change of it."""

    __slots__ = ("_health", "_watching")

    def __init__(self, caller: Caller, stream: Stream, health: Health) -> None:
        super().__init__(caller, stream)
        self._health = health
        self._watching = False

    def leave(self) -> None:
        self._end(Status.UNAVAILABLE, "the server ends")

    def sent(self) -> None:
        """The next change is told when there is one."""

    def _act(self, request: bytes) -> None:
        if not self._watching:
            self._watching = True
            self._reply(self._health.watch(request, self._changed))

    def _changed(self, state: bytes) -> None:
        self._reply(state)
        self._caller.flush_soon()

    def _close(self) -> None:
        self._health.unwatch(self._changed)
        super()._close()
