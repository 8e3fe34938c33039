"""One HTTP/2 connection as the server has it, without I/O: bytes in; calls to a handler, and bytes out.

What a peer does wrong ends the stream or the connection with the code that RFC 9113 names, and raises nothing. The
numbers behind the rules are its sections.

Rules
1. A stream is known here from its HEADERS until both sides have ended it, or one has reset it. What still comes for
   it then was under way, and is left alone, if we were the first to end it; else it is an error (5.1). RST_STREAM
   and WINDOW_UPDATE may be under way in either case.
2. The handler hears of a stream's end once: by `ended`, or by `reset`, which after `ended` still means that nobody
   waits for an answer.
3. DATA counts against the windows as it arrives (6.9). They are opened again by what the handler has used, so what is
   kept for one connection is bounded by its window.
4. What a window has no room for waits in its stream, and is sent when it opens. The handler hears when all of it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from extproc.transport.http2 import frame
from extproc.transport.http2.frame import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FIRST_WINDOW,
    GOAWAY,
    HEAD_SIZE,
    HEADERS,
    HIGHEST_STREAM,
    LARGEST_FRAME,
    LARGEST_WINDOW,
    PADDED,
    PING,
    PREFACE,
    PRIORITIZED,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ErrorCode,
    Setting,
)
from extproc.transport.http2.headers import HeaderBlocks, Undecodable
from extproc.transport.http2.limits import Allowance, Limits
from extproc.transport.http2.request import Malformed
from extproc.transport.http2.stream import Handler, Stream

_LAST_WORD: Final = b"goodbye!"
"""Of the PING behind the first GOAWAY (6.8): once it is answered, what the peer began before is all there."""


class _Fault(Exception):
    """Ends the connection."""

    def __init__(self, code: ErrorCode, why: str) -> None:
        super().__init__(why)
        self.code = code


class Connection:
    """Of one client. `out` is what is to be sent; take it after each call."""

    def __init__(
        self, handler: Handler, limits: Limits | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._handler = handler
        self._limits = limits = limits or Limits()
        self._blocks = HeaderBlocks(limits.header_list)
        self._useless = Allowance(limits.burst, limits.refill, clock)
        self._abandoned = Allowance(limits.abandoned_burst, limits.abandoned_refill, clock)
        self.streams: dict[int, Stream] = {}
        self.closed = False
        """Nothing more is read or sent, but `out`."""
        self.fault = ""
        """Why we closed it, if for a fault of the peer's."""
        self.began = False
        """The peer's preface has come, and the head of its SETTINGS."""
        self._input = bytearray()
        self._last = 0
        """The highest stream that the peer began."""
        self._ended: dict[int, bool] = {}
        """The last streams that we ended: whether the peer had not."""
        # More than he may have open, and so more than he can be sending on; before he has heard of the limit, too.
        self._most_ended = 2 * limits.streams + 100
        self._block: bytearray | None = None
        """Of HEADERS without END_HEADERS."""
        self._block_stream = 0
        self._block_ends = False
        self._block_frames = 0
        self._send_window = FIRST_WINDOW
        self._first_send_window = FIRST_WINDOW
        self._largest_frame = LARGEST_FRAME
        self._receive_window = limits.connection_window
        self._used = 0
        """Bytes of DATA that its window was not opened for again."""
        self._settled = False
        """The peer has acknowledged our settings."""
        self._last_accepted: int | None = None
        """Of the last GOAWAY: streams beyond it are not looked at."""
        self._leaving = False
        self.out: list[bytes] = [
            frame.settings(
                {
                    Setting.HEADER_TABLE_SIZE: 0,
                    Setting.MAX_CONCURRENT_STREAMS: limits.streams,
                    Setting.INITIAL_WINDOW_SIZE: limits.window,
                    Setting.MAX_HEADER_LIST_SIZE: limits.header_list,
                }
            )
        ]
        if limits.connection_window > FIRST_WINDOW:
            self.out.append(frame.window_update(0, limits.connection_window - FIRST_WINDOW))

    def take(self) -> bytes:
        """What is to be sent now."""
        out = b"".join(self.out)
        self.out.clear()
        return out

    # What comes in

    def receive(self, data: bytes) -> None:
        """The peer's next bytes, however they are cut."""
        if self.closed:
            return
        if self._input:
            self._input += data
            data = bytes(self._input)
            self._input.clear()
        try:
            rest = self._frames(data)
        except _Fault as fault:
            self._fail(fault.code, str(fault))
        except Undecodable as error:
            self._fail(ErrorCode.COMPRESSION_ERROR, str(error))
        else:
            self._input += rest

    def end_of_input(self) -> None:
        """The peer has closed its side: nothing that is open will be completed."""
        self._drop_all(ErrorCode.CANCEL)
        self.closed = True

    def _frames(self, data: bytes) -> bytes:  # noqa: PLR0912 - one loop: a call for each frame is what frames cost
        """All whole frames of `data`; what is left of it."""
        at, size = 0, len(data)
        if not self.began:
            if not PREFACE.startswith(data[: len(PREFACE)]):
                raise _Fault(ErrorCode.PROTOCOL_ERROR, "this is no preface of HTTP/2")
            # The first frame's head comes with it: the preface is over when that is SETTINGS (3.4).
            if size < len(PREFACE) + HEAD_SIZE:
                return data
            at = len(PREFACE)
            if data[at + 3] != SETTINGS or data[at + 4] & ACK:
                raise _Fault(ErrorCode.PROTOCOL_ERROR, "the preface is not followed by SETTINGS")
            self.began = True
        streams = self.streams
        while size - at >= HEAD_SIZE and not self.closed:
            length = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
            kind, flags = data[at + 3], data[at + 4]
            # The highest bit means nothing (4.1).
            number = (data[at + 5] << 24 | data[at + 6] << 16 | data[at + 7] << 8 | data[at + 8]) & HIGHEST_STREAM
            if length > LARGEST_FRAME:
                raise _Fault(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
            start = at + HEAD_SIZE
            end = start + length
            if end > size:
                break
            at = end
            if self._block is not None and (kind != CONTINUATION or number != self._block_stream):
                raise _Fault(ErrorCode.PROTOCOL_ERROR, "a header block is interrupted (4.3)")
            if kind == DATA:
                stream = streams.get(number)
                if stream is None or flags & PADDED or not length:
                    self._unusual_data(number, flags, data[start:end])
                else:
                    self._data(stream, data[start:end], length, flags & END_STREAM)
            elif kind == HEADERS:
                if flags & (PADDED | PRIORITIZED) or not flags & END_HEADERS:
                    self._unusual_headers(number, flags, data[start:end])
                else:
                    self._headers(number, data[start:end], bool(flags & END_STREAM))
            elif kind == RST_STREAM:
                self._rst_stream(number, data[start:end])
            elif kind == WINDOW_UPDATE:
                self._window_update(number, data[start:end])
            else:
                self._seldom(kind, flags, number, data[start:end])
        return data[at:]

    def _seldom(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == CONTINUATION:
            self._continuation(number, flags, payload)
        elif kind == SETTINGS:
            self._settings(number, flags, payload)
        elif kind == PING:
            self._ping(number, flags, payload)
        elif kind == GOAWAY:
            if number:
                raise _Fault(ErrorCode.PROTOCOL_ERROR, "GOAWAY on a stream (6.8)")
            if len(payload) < 8:
                raise _Fault(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY too short (6.8)")
            # He begins nothing more. What is open goes on, and he closes the connection.
            self._spend()
        elif kind == PRIORITY:
            self._priority(number, payload)
        elif kind == PUSH_PROMISE:
            raise _Fault(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE from a client (8.4)")
        else:
            # Of an extension that we have not heard of (4.1).
            self._spend()

    def _spend(self) -> None:
        if not self._useless.spend():
            raise _Fault(ErrorCode.ENHANCE_YOUR_CALM, "too many frames that are of no use")

    # Streams that begin

    def _unusual_headers(self, number: int, flags: int, payload: bytes) -> None:
        block = _unpadded(payload, "HEADERS") if flags & PADDED else payload
        if flags & PRIORITIZED:
            if len(block) < 5:
                raise _Fault(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short for a priority (6.2)")
            if int.from_bytes(block[:4]) & HIGHEST_STREAM == number:
                raise _Fault(ErrorCode.PROTOCOL_ERROR, "a stream depends on itself")
            block = block[5:]
        ends = bool(flags & END_STREAM)
        if flags & END_HEADERS:
            self._headers(number, block, ends)
            return
        if not number:
            raise _Fault(ErrorCode.PROTOCOL_ERROR, "HEADERS on stream 0 (6.2)")
        self._block, self._block_stream, self._block_ends, self._block_frames = bytearray(), number, ends, 0
        self._add_to_block(self._block, block)

    def _continuation(self, number: int, flags: int, payload: bytes) -> None:
        if self._block is None:
            raise _Fault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of nothing (6.10)")
        self._add_to_block(self._block, payload)
        if flags & END_HEADERS:
            block, self._block = bytes(self._block), None
            self._headers(number, block, self._block_ends)

    def _add_to_block(self, block: bytearray, payload: bytes) -> None:
        block += payload
        self._block_frames += 1
        if len(block) > self._limits.header_block or self._block_frames > self._limits.continuations:
            raise _Fault(ErrorCode.ENHANCE_YOUR_CALM, "a header block is too long, or in too many frames")

    def _headers(self, number: int, block: bytes, ends: bool) -> None:
        if number <= self._last:
            self._trailers(number, block, ends)
            return
        if not number & 1:
            raise _Fault(ErrorCode.PROTOCOL_ERROR, f"a client cannot begin stream {number} (5.1.1)")
        self._last = number
        if self._last_accepted is not None and number > self._last_accepted:
            self._blocks.skip(block)
            self._spend()
            self._note_ended(number)
            return
        try:
            request, traceparent = self._blocks.request(block)
        except Malformed:
            self._refuse(number, ErrorCode.PROTOCOL_ERROR)
            return
        if len(self.streams) >= self._limits.streams:
            self._refuse(number, ErrorCode.REFUSED_STREAM)
            return
        if ends and request.content_length:
            self._refuse(number, ErrorCode.PROTOCOL_ERROR)
            return
        stream = self.streams[number] = Stream(number, self._limits.window, self._first_send_window)
        stream.expected = request.content_length
        stream.ended = ends
        self._handler.request(stream, request, traceparent)
        if ends and number in self.streams:
            self._handler.ended(stream)

    def _refuse(self, number: int, code: ErrorCode) -> None:
        """A stream that does not begin."""
        if not self._abandoned.spend():
            raise _Fault(ErrorCode.ENHANCE_YOUR_CALM, "too many streams that cannot begin")
        self.out.append(frame.rst_stream(number, code))
        self._note_ended(number)

    def _trailers(self, number: int, block: bytes, ends: bool) -> None:
        stream = self.streams.get(number)
        if stream is None or stream.ended:
            if not number & 1:
                raise _Fault(ErrorCode.PROTOCOL_ERROR, f"a client cannot begin stream {number} (5.1.1)")
            self._blocks.skip(block)
            if stream is not None or not self._ended.get(number):
                raise _Fault(ErrorCode.STREAM_CLOSED, f"HEADERS on stream {number}, which has ended (5.1)")
            return
        try:
            self._blocks.trailers(block)
        except Malformed:
            ends = False
        if not ends or stream.expected:
            self._fail_stream(stream, ErrorCode.PROTOCOL_ERROR)
        else:
            stream.ended = True
            self._handler.ended(stream)

    # What comes on them

    def _data(self, stream: Stream, payload: bytes, counted: int, ends: int) -> None:
        """`counted`: with its padding, as flow control has it (6.9.1)."""
        self._receive_window -= counted
        if self._receive_window < 0:
            raise _Fault(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the connection's window")
        stream.held += counted
        if stream.ended:
            self._fail_stream(stream, ErrorCode.STREAM_CLOSED)
            return
        stream.receive_window -= counted
        if stream.receive_window < 0:
            self._fail_stream(stream, ErrorCode.FLOW_CONTROL_ERROR)
            return
        if stream.expected is not None:
            stream.expected -= len(payload)
            if stream.expected < 0 or (ends and stream.expected):
                self._fail_stream(stream, ErrorCode.PROTOCOL_ERROR)
                return
        if ends:
            stream.ended = True
        size = len(payload)
        if size:
            self._handler.data(stream, payload)
        if counted != size:
            self.used(stream, counted - size)
        if ends and stream.id in self.streams:
            self._handler.ended(stream)

    def _unusual_data(self, number: int, flags: int, payload: bytes) -> None:
        counted = len(payload)
        if flags & PADDED:
            payload = _unpadded(payload, "DATA")
        if not payload and not flags & END_STREAM:
            self._spend()
        stream = self.streams.get(number)
        if stream is not None:
            self._data(stream, payload, counted, flags & END_STREAM)
            return
        if not number & 1 or number > self._last:
            raise _Fault(ErrorCode.PROTOCOL_ERROR, f"DATA on stream {number}, which was not begun (5.1)")
        if not self._ended.get(number):
            raise _Fault(ErrorCode.STREAM_CLOSED, f"DATA on stream {number}, which has ended (5.1)")
        self._receive_window -= counted
        if self._receive_window < 0:
            raise _Fault(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the connection's window")
        self._open_window(counted)

    def used(self, stream: Stream, size: int) -> None:
        """The handler has done with so many bytes of a stream's DATA."""
        if self.streams.get(stream.id) is not stream:
            return  # all of it was counted as used at the stream's end
        stream.held -= size
        self._open_window(size)
        stream.used += size
        # A quarter: half of it may be held for a message that is not whole yet, and the rest must come in.
        if stream.used * 4 >= self._limits.window and not stream.ended:
            self.out.append(frame.window_update(stream.id, stream.used))
            stream.receive_window += stream.used
            stream.used = 0

    def _open_window(self, size: int) -> None:
        self._used += size
        if self._used * 2 >= self._limits.connection_window:
            self.out.append(frame.window_update(0, self._used))
            self._receive_window += self._used
            self._used = 0

    def _rst_stream(self, number: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise _Fault(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM is not four bytes long (6.4)")
        if not number & 1 or number > self._last:
            raise _Fault(ErrorCode.PROTOCOL_ERROR, f"RST_STREAM of stream {number}, which was not begun (6.4)")
        stream = self.streams.get(number)
        if stream is None:
            if self._ended.pop(number, None) is None:
                self._spend()
            return
        self._forget(stream)
        self._handler.reset(stream, int.from_bytes(payload))
        # Envoy ends each exchange so once it has our reply. To give up before costs us, and is seldom.
        if not stream.answered and not self._abandoned.spend():
            raise _Fault(ErrorCode.ENHANCE_YOUR_CALM, "too many streams begun and given up (CVE-2023-44487)")

    # Flow control of what we send

    def _window_update(self, number: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise _Fault(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE is not four bytes long (6.9)")
        increment = int.from_bytes(payload) & LARGEST_WINDOW
        if not number:
            if not increment:
                raise _Fault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of nothing (6.9)")
            before = self._send_window
            self._send_window += increment
            if self._send_window > LARGEST_WINDOW:
                raise _Fault(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window is too large (6.9.1)")
            if before <= 0:
                self._send_all_waiting()
            return
        if not number & 1 or number > self._last:
            raise _Fault(ErrorCode.PROTOCOL_ERROR, f"WINDOW_UPDATE of stream {number}, which was not begun (5.1)")
        one = self.streams.get(number)
        if one is None:
            if number not in self._ended:
                self._spend()
        elif not increment:
            self._fail_stream(one, ErrorCode.PROTOCOL_ERROR)
        else:
            one.send_window += increment
            if one.send_window > LARGEST_WINDOW:
                self._fail_stream(one, ErrorCode.FLOW_CONTROL_ERROR)
            else:
                self._send_waiting(one)

    def _settings(self, number: int, flags: int, payload: bytes) -> None:
        if number:
            raise _Fault(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream (6.5)")
        if flags & ACK:
            if payload:
                raise _Fault(ErrorCode.FRAME_SIZE_ERROR, "an acknowledgement of SETTINGS that has some (6.5)")
            if self._settled:
                raise _Fault(ErrorCode.PROTOCOL_ERROR, "SETTINGS acknowledged that were not sent")
            self._settled = True
            self._blocks.table_refused()
            return
        if len(payload) % 6:
            raise _Fault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS cut short (6.5)")
        self._spend()
        first_window = self._first_send_window
        for at in range(0, len(payload), 6):
            setting, value = int.from_bytes(payload[at : at + 2]), int.from_bytes(payload[at + 2 : at + 6])
            if setting == Setting.INITIAL_WINDOW_SIZE:
                if value > LARGEST_WINDOW:
                    raise _Fault(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE is too large (6.5.2)")
                first_window = value
            elif setting == Setting.MAX_FRAME_SIZE:
                if not LARGEST_FRAME <= value < 1 << 24:
                    raise _Fault(ErrorCode.PROTOCOL_ERROR, "MAX_FRAME_SIZE is out of its range (6.5.2)")
                self._largest_frame = value
            elif setting == Setting.ENABLE_PUSH and value > 1:
                raise _Fault(ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1 (6.5.2)")
            # Our header blocks use no table, and are short; we begin no streams; others say nothing to us.
        # Before what they let out: until then the peer may count by his old ones.
        self.out.append(frame.SETTINGS_ACK)
        if first_window != self._first_send_window:
            self._change_first_window(first_window)

    def _change_first_window(self, size: int) -> None:
        """Of all streams (6.9.2). One frame may name it often, and is for its last word."""
        change = size - self._first_send_window
        self._first_send_window = size
        for stream in self.streams.values():
            stream.send_window += change
            if stream.send_window > LARGEST_WINDOW:
                raise _Fault(ErrorCode.FLOW_CONTROL_ERROR, "a stream's window is too large (6.9.2)")
        if change > 0:
            self._send_all_waiting()

    def _ping(self, number: int, flags: int, payload: bytes) -> None:
        if number:
            raise _Fault(ErrorCode.PROTOCOL_ERROR, "PING on a stream (6.7)")
        if len(payload) != 8:
            raise _Fault(ErrorCode.FRAME_SIZE_ERROR, "PING is not eight bytes long (6.7)")
        if not flags & ACK:
            self._spend()
            self.out.append(frame.ping(payload, ack=True))
        elif payload == _LAST_WORD and self._leaving and self._last_accepted is None:
            self._last_accepted = self._last
            self.out.append(frame.goaway(self._last, ErrorCode.NO_ERROR))
            self._leave_if_done()
        else:
            self._spend()

    def _priority(self, number: int, payload: bytes) -> None:
        if not number:
            raise _Fault(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0 (6.3)")
        self._spend()
        if len(payload) != 5:
            stream = self.streams.get(number)
            if stream is None:
                raise _Fault(ErrorCode.FRAME_SIZE_ERROR, "PRIORITY is not five bytes long (6.3)")
            self._fail_stream(stream, ErrorCode.FRAME_SIZE_ERROR)

    # What goes out

    def send_headers(self, stream: Stream, block: bytes, *, end: bool = False) -> None:
        """`block`: encoded without a dynamic table, at most one frame long. Before any DATA."""
        if self.streams.get(stream.id) is not stream:
            return
        stream.answered = True
        self.out.append(frame.headers(stream.id, block, end=end))
        if end:
            self._sent_end(stream)

    def send_answer(self, stream: Stream, block: bytes, data: bytes) -> None:
        """Both, as `send_headers` and `send_data` do: most answers are one of each."""
        size = len(data)
        if (
            size > LARGEST_FRAME
            or size > self._send_window
            or size > stream.send_window
            or self.streams.get(stream.id) is not stream
        ):
            self.send_headers(stream, block)
            self.send_data(stream, data)
            return
        self._send_window -= size
        stream.send_window -= size
        stream.answered = True
        number = stream.id.to_bytes(4)
        self.out += (frame.headers_head(len(block)), number, block, frame.data_head(size), number, data)

    def send_data(self, stream: Stream, data: bytes) -> None:
        """Now, or as the windows open."""
        if self.streams.get(stream.id) is not stream:
            return
        size = len(data)
        stream.answered = True
        if size <= LARGEST_FRAME and size <= self._send_window and size <= stream.send_window and not stream.waiting:
            self._send_window -= size
            stream.send_window -= size
            self.out += (frame.data_head(size), stream.id.to_bytes(4), data)
        else:
            if stream.waiting:
                stream.waiting += data
            else:
                stream.waiting = bytearray(data)
            self._send_some(stream)

    def send_trailers(self, stream: Stream, block: bytes) -> None:
        """Behind all DATA. It ends the stream."""
        if self.streams.get(stream.id) is not stream:
            return
        if stream.waiting:
            stream.waiting_end = block
        else:
            self.out.append(frame.headers(stream.id, block, end=True))
            self._sent_end(stream)

    def _send_all_waiting(self) -> None:
        for stream in list(self.streams.values()):
            if self._send_window <= 0:
                return
            self._send_waiting(stream)

    def _send_waiting(self, stream: Stream) -> None:
        if not stream.waiting:
            return
        self._send_some(stream)
        if stream.waiting:
            return
        if stream.waiting_end is not None:
            block, stream.waiting_end = stream.waiting_end, None
            self.send_trailers(stream, block)
        else:
            self._handler.sent(stream)

    def _send_some(self, stream: Stream) -> None:
        while stream.waiting:
            room = min(self._send_window, stream.send_window, self._largest_frame)
            if room <= 0:
                return
            piece = bytes(stream.waiting[:room])
            del stream.waiting[:room]
            self._send_window -= len(piece)
            stream.send_window -= len(piece)
            self.out.append(frame.data(stream.id, piece, end=False))

    def _sent_end(self, stream: Stream) -> None:
        if not stream.ended:
            # The answer is whole, and no more of the request is wanted (8.1).
            self.out.append(frame.rst_stream(stream.id, ErrorCode.NO_ERROR))
        self._note_ended(stream.id, early=not stream.ended)
        self._forget(stream)
        stream.call = None

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """Give a stream up."""
        if self.streams.get(stream.id) is stream:
            self.out.append(frame.rst_stream(stream.id, code))
            self._note_ended(stream.id)
            self._forget(stream)

    def shut_down(self) -> None:
        """Let no streams begin any more; `closed` when the last has ended (6.8)."""
        if self.closed or self._leaving:
            return
        self._leaving = True
        # He may be beginning some at this moment: they are served. His answer to the PING comes after them.
        self.out += [frame.goaway(HIGHEST_STREAM, ErrorCode.NO_ERROR), frame.ping(_LAST_WORD)]

    def close(self, code: ErrorCode = ErrorCode.NO_ERROR, why: str = "") -> None:
        """At once. The handler hears `reset` of what is open."""
        if not self.closed:
            self.closed = True
            self.out.append(frame.goaway(self._last, code, why.encode()))
            self._drop_all(ErrorCode.CANCEL)

    # Ends

    def _forget(self, stream: Stream) -> None:
        del self.streams[stream.id]
        if stream.held:
            self._open_window(stream.held)
        self._leave_if_done()

    def _leave_if_done(self) -> None:
        if self._last_accepted is not None and not self.streams:
            self.closed = True

    def _note_ended(self, number: int, *, early: bool = True) -> None:
        """`early`: before the peer did."""
        self._ended[number] = early
        if len(self._ended) > self._most_ended:
            del self._ended[next(iter(self._ended))]

    def _fail_stream(self, stream: Stream, code: ErrorCode) -> None:
        if not self._abandoned.spend():
            raise _Fault(ErrorCode.ENHANCE_YOUR_CALM, "too many faulty streams")
        self.reset(stream, code)
        self._handler.reset(stream, code)

    def _fail(self, code: ErrorCode, why: str) -> None:
        self.fault = f"{code.name}: {why}"
        self.close(code, why)

    def _drop_all(self, code: ErrorCode) -> None:
        streams = list(self.streams.values())
        self.streams.clear()
        for stream in streams:
            self._handler.reset(stream, code)


def _unpadded(payload: bytes, kind: str) -> bytes:
    if not payload:
        raise _Fault(ErrorCode.FRAME_SIZE_ERROR, f"{kind} too short for its padding (6.1)")
    if payload[0] >= len(payload):
        raise _Fault(ErrorCode.PROTOCOL_ERROR, f"{kind} is all padding (6.1)")
    return payload[1 : len(payload) - payload[0]]
