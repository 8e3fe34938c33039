"""Whatever comes in: with a client that behaves, h2's strict one, and with one that does not.

GEO_TEST_HTTP2_EXAMPLES (30) is how many conversations each of them has; GEO_TEST_HTTP2_SHRINK=1 makes one that fails
short, which takes minutes.
"""

from __future__ import annotations

import os
from typing import Any, Final

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, StreamEnded, StreamReset, TrailersReceived
from h2.settings import SettingCodes
from hyperframe.frame import Frame, GoAwayFrame, RstStreamFrame
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from extproc.transport.http2.frame import END_HEADERS, END_STREAM, HEADERS, PADDED, PRIORITIZED, ErrorCode, data
from extproc.transport.http2.limits import Limits
from tests.transport.http2.dialogue import OPENING, REQUEST, begin, frames, literal, padded, raw
from tests.transport.http2.echo import Echo

EXAMPLES: Final = int(os.environ.get("GEO_TEST_HTTP2_EXAMPLES", "30"))
SHRINK: Final = os.environ.get("GEO_TEST_HTTP2_SHRINK", "0") == "1"
FAULTS: Final = {
    ErrorCode.PROTOCOL_ERROR,
    ErrorCode.FLOW_CONTROL_ERROR,
    ErrorCode.STREAM_CLOSED,
    ErrorCode.FRAME_SIZE_ERROR,
    ErrorCode.REFUSED_STREAM,
    ErrorCode.COMPRESSION_ERROR,
    ErrorCode.ENHANCE_YOUR_CALM,
}
FEW = st.integers(0, 7)


class Behaving(RuleBasedStateMachine):
    """h2 raises at any answer that its state machine does not allow. Both directions have frames under way."""

    def __init__(self) -> None:
        super().__init__()
        self.server = Echo(Limits(streams=4, window=300, connection_window=65_535))
        self.client = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self.to_server = self.to_client = b""
        self.open: dict[int, bytes] = {}
        """Streams that the client may send on, and what it sent."""
        self.asked: dict[int, bytes] = {}
        """Those that it has ended."""
        self.got: dict[int, bytes] = {}
        self.given_up: set[int] = set()
        self.whole: set[int] = set()
        self.unread: list[tuple[int, int]] = []

    @initialize()
    def meet(self) -> None:
        self.client.initiate_connection()
        self.settle()

    @rule(end=st.booleans())
    def begin(self, end: bool) -> None:
        if self.client.open_outbound_streams >= self.client.remote_settings.max_concurrent_streams:
            return
        stream = self.client.get_next_available_stream_id()
        head = [(":method", "POST"), (":scheme", "http"), (":path", "/p"), (":authority", "me")]
        self.client.send_headers(stream, head, end_stream=end)
        (self.asked if end else self.open)[stream] = b""

    @rule(which=FEW, size=st.integers(0, 400), padding=st.none() | st.integers(0, 20), end=st.booleans())
    def send(self, which: int, size: int, padding: int | None, end: bool) -> None:
        stream = self.one(which)
        if stream is None:
            return
        more = 0 if padding is None else padding + 1
        room = self.client.local_flow_control_window(stream)
        if room < more:
            return
        sent = bytes((stream,)) * min(size, room - more, self.client.max_outbound_frame_size - more)
        self.client.send_data(stream, sent, end_stream=end, pad_length=padding)
        self.open[stream] += sent
        if end:
            self.asked[stream] = self.open.pop(stream)

    @rule(which=FEW)
    def end_with_trailers(self, which: int) -> None:
        stream = self.one(which)
        if stream is not None:
            self.client.send_headers(stream, [("a", "b")], end_stream=True)
            self.asked[stream] = self.open.pop(stream)

    @rule(which=FEW, also_ended=st.booleans())
    def reset(self, which: int, also_ended: bool) -> None:
        streams = [*self.open, *(sorted({*self.asked} - self.whole - self.given_up) if also_ended else ())]
        if streams:
            stream = streams[which % len(streams)]
            self.client.reset_stream(stream, 8)
            self.forget(stream)

    @rule(which=FEW)
    def server_resets(self, which: int) -> None:
        running = [number for number, heard in self.server.heard.items() if not heard.over]
        if running:
            self.server.give_up(running[which % len(running)], ErrorCode.INTERNAL_ERROR)

    @rule()
    def ping(self) -> None:
        self.client.ping(b"12345678")

    @rule(
        window=st.sampled_from([0, 1, 7, 100, 65_535, 2**31 - 1]), frame=st.sampled_from([16_384, 20_000, 2**24 - 1])
    )
    def change_settings(self, window: int, frame: int) -> None:
        self.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: window, SettingCodes.MAX_FRAME_SIZE: frame})

    @rule(slow=st.booleans())
    def work(self, slow: bool) -> None:
        self.server.slow = slow
        self.server.work()

    @rule(count=FEW)
    def read(self, count: int) -> None:
        now, self.unread = self.unread[: count + 1], self.unread[count + 1 :]
        for stream, size in now:
            self.client.acknowledge_received_data(size, stream)

    @rule(size=st.integers(1, 200))
    def reach_the_server(self, size: int) -> None:
        self.to_server += self.client.data_to_send()
        self.server.connection.receive(self.to_server[:size])
        self.to_server = self.to_server[size:]

    @rule(size=st.integers(1, 200))
    def reach_the_client(self, size: int) -> None:
        self.to_client += self.server.connection.take()
        events = self.client.receive_data(self.to_client[:size])
        self.to_client = self.to_client[size:]
        for event in events:
            match event:
                case DataReceived():
                    self.got[event.stream_id] = self.got.get(event.stream_id, b"") + event.data
                    self.unread.append((event.stream_id, event.flow_controlled_length))
                case StreamReset():
                    if event.error_code or event.stream_id not in self.whole:
                        self.forget(event.stream_id)
                    self.open.pop(event.stream_id, None)
                case StreamEnded():
                    self.whole.add(event.stream_id)
                case TrailersReceived():
                    assert event.headers == [(b"grpc-status", b"0")]

    @invariant()
    def nothing_is_amiss(self) -> None:
        self.server.check()
        assert not self.server.connection.closed, self.server.connection.fault

    def teardown(self) -> None:
        """Whoever was not given up gets the whole of what he sent."""
        if not self.client.streams and not self.asked:
            return
        self.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 65_535})
        for stream in list(self.open):
            # Without room, an empty frame ends it.
            self.client.end_stream(stream)
            self.asked[stream] = self.open.pop(stream)
        self.server.slow = False
        self.settle()
        for stream, asked in self.asked.items():
            if stream not in self.given_up:
                assert self.got.get(stream, b"") == asked
                assert stream in self.whole
        assert self.server.connection.streams == {}

    def settle(self) -> None:
        while True:
            self.to_server += self.client.data_to_send()
            self.to_client += self.server.connection.take()
            if not (self.to_server or self.to_client or self.unread):
                break
            self.reach_the_server(1 << 20)
            self.server.work()
            self.reach_the_client(1 << 20)
            self.read(1000)
            self.nothing_is_amiss()

    def one(self, which: int) -> int | None:
        return list(self.open)[which % len(self.open)] if self.open else None

    def forget(self, stream: int) -> None:
        self.given_up.add(stream)
        self.open.pop(stream, None)
        self.unread = [each for each in self.unread if each[0] != stream]


STREAM = st.integers(0, 9)
PAYLOAD = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([bytes(4), bytes(5), b"\0\0\0\1", b"\x7f\xff\xff\xff", REQUEST, b"\0\4\0\0\0\5", bytes(301)]),
)
TARGETED: Final[tuple[tuple[bytes, ErrorCode], ...]] = (
    (raw(6, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
    (raw(6, 0, 3, bytes(8)), ErrorCode.PROTOCOL_ERROR),
    (raw(4, 0, 0, bytes(5)), ErrorCode.FRAME_SIZE_ERROR),
    (raw(4, 0, 0, b"\0\4\xff\xff\xff\xff"), ErrorCode.FLOW_CONTROL_ERROR),
    (raw(4, 0, 0, b"\0\5\0\0\0\0"), ErrorCode.PROTOCOL_ERROR),
    (raw(0, 0, 0, b"x"), ErrorCode.PROTOCOL_ERROR),
    (raw(0, 0, 2**31 - 1, b"x"), ErrorCode.PROTOCOL_ERROR),
    (raw(3, 0, 2**31 - 1, bytes(4)), ErrorCode.PROTOCOL_ERROR),
    (raw(8, 0, 0, bytes(4)), ErrorCode.PROTOCOL_ERROR),
    (raw(8, 0, 0, bytes(3)), ErrorCode.FRAME_SIZE_ERROR),
    (raw(9, END_HEADERS, 1, b""), ErrorCode.PROTOCOL_ERROR),
    (raw(5, END_HEADERS, 1, bytes(4)), ErrorCode.PROTOCOL_ERROR),
    (raw(HEADERS, END_HEADERS, 2**31 - 2, REQUEST), ErrorCode.PROTOCOL_ERROR),
    (raw(HEADERS, END_HEADERS, 2**31 - 1, b"\xff\xff"), ErrorCode.COMPRESSION_ERROR),
    (raw(0xBE, 0, 0, bytes(16_385)), ErrorCode.FRAME_SIZE_ERROR),
)


class Misbehaving(RuleBasedStateMachine):
    """Anything at all, in any state: it ends in GOAWAY or RST_STREAM with a code of RFC 9113, or in nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.server = Echo(
            Limits(
                streams=3,
                window=300,
                connection_window=65_535,
                burst=50,
                refill=1.0,
                abandoned_burst=50,
                abandoned_refill=1.0,
            )
        )
        self.cut = 1 << 20
        self.next = 1
        self.give_ups: set[int] = set()
        self.send(OPENING)

    def send(self, sent: bytes) -> None:
        for at in range(0, len(sent), self.cut):
            self.server.connection.receive(sent[at : at + self.cut])

    @rule(kind=st.integers(0, 10), flags=st.integers(0, 255) | st.just(END_HEADERS), stream=STREAM, payload=PAYLOAD)
    def any_frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        self.send(raw(kind, flags, stream, payload))

    @rule(end=st.booleans(), fields=st.sampled_from([(), ((b"content-length", b"9"),), ((b"A", b"b"),)]))
    def any_request(self, end: bool, fields: tuple[tuple[bytes, bytes], ...]) -> None:
        self.send(begin(self.next, *fields, end=end))
        self.next += 2

    @rule(stream=STREAM, size=st.integers(0, 200), end=st.booleans(), padding=st.none() | st.integers(0, 90))
    def any_data(self, stream: int, size: int, end: bool, padding: int | None) -> None:
        if padding is None:
            self.send(data(stream, b"x" * size, end=end))
        else:
            self.send(raw(0, PADDED | (END_STREAM if end else 0), stream, padded(b"x" * size, padding)))

    @rule(stream=STREAM, flags=st.sampled_from([0, END_STREAM, PADDED, PRIORITIZED]), cut=st.integers(0, 20))
    def any_block(self, stream: int, flags: int, cut: int) -> None:
        self.send(raw(HEADERS, flags, stream, REQUEST[:cut]) + raw(9, END_HEADERS, stream, REQUEST[cut:]))

    @rule(stream=STREAM)
    def trailers(self, stream: int) -> None:
        self.send(raw(HEADERS, END_HEADERS | END_STREAM, stream, literal(b"a", b"b")))

    @rule(payload=st.binary(max_size=30))
    def anything(self, payload: bytes) -> None:
        self.send(payload)

    @rule(at=st.integers(0, 60), flip=st.integers(1, 255))
    def a_byte_that_differs(self, at: int, flip: int) -> None:
        sent = bytearray(begin(self.next) + data(self.next, b"x", end=True))
        sent[at % len(sent)] ^= flip
        self.next += 2
        self.send(bytes(sent))

    @rule(fault=st.sampled_from(TARGETED))
    def a_fault(self, fault: tuple[bytes, ErrorCode]) -> None:
        connection = self.server.connection
        if connection.closed or connection._input or connection._block is not None:
            return
        self.send(fault[0])
        assert connection.fault.startswith(fault[1].name)

    @rule(slow=st.booleans())
    def work(self, slow: bool) -> None:
        self.server.slow = slow
        self.server.work()

    @rule(seconds=st.integers(0, 20))
    def wait(self, seconds: int) -> None:
        self.server.clock.advance(seconds)

    @rule(size=st.sampled_from([1, 2, 9, 10, 1 << 20]))
    def cut_otherwise(self, size: int) -> None:
        self.cut = size

    @rule(which=FEW)
    def give_up(self, which: int) -> None:
        running = [number for number, heard in self.server.heard.items() if not heard.over]
        if running:
            self.give_ups.add(running[which % len(running)])
            self.server.give_up(running[which % len(running)], ErrorCode.INTERNAL_ERROR)

    @rule()
    def shut_down(self) -> None:
        self.server.connection.shut_down()

    @rule()
    def answer_the_last_word(self) -> None:
        self.send(raw(6, 1, 0, b"goodbye!"))

    @invariant()
    def nothing_is_amiss(self) -> None:
        connection = self.server.connection
        self.server.check()
        sent = frames(connection.take())
        for frame in sent:
            self.is_right(frame)
        if connection.closed:
            assert not connection.streams
            assert all(heard.over for heard in self.server.heard.values())
            if connection.fault and sent:
                last = sent[-1]
                assert isinstance(last, GoAwayFrame)
                assert connection.fault.startswith(ErrorCode(last.error_code).name)
                assert ErrorCode(last.error_code) in FAULTS

    def is_right(self, frame: Frame) -> None:
        if isinstance(frame, RstStreamFrame):
            fine = {ErrorCode.NO_ERROR, *([ErrorCode.INTERNAL_ERROR] if frame.stream_id in self.give_ups else [])}
            assert ErrorCode(frame.error_code) in FAULTS | fine

    def teardown(self) -> None:
        self.server.connection.end_of_input()
        assert all(heard.over for heard in self.server.heard.values())


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("machine", [Behaving, Misbehaving])
def test_conversations(machine: Any) -> None:
    wanted = settings(
        max_examples=EXAMPLES,
        stateful_step_count=50,
        deadline=None,
        database=None,
        derandomize=EXAMPLES <= 100,
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink] if SHRINK else [Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=wanted)
