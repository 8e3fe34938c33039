"""The WAN between two sites: a TCP relay in which every byte is under way for half a round trip.

Rules
1. A delay line, not a slow link: bytes wait side by side, so only latency is added, no loss of throughput. With
   `--mbit` it is a link as well: each direction carries so many bits a second, for all connections together.
2. Set-up costs one round trip. The kernel accepts at once, so bytes that the client sends during the first round
   trip count as sent at its end, and the target is called half a round trip after the accept.
3. At most `BUFFER` bytes are under way per direction; beyond it the sender is not read, as a full window does.
4. Ends travel through the same line: a half close as a half close, a broken connection as a broken one.

Run: `python -m extproc.sandbox.relay LISTEN TARGET --rtt MS [--mbit N]`
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
import struct
from collections import deque
from typing import Final, cast

import uvloop

BUFFER: Final = 32 * 1024 * 1024
_END: Final = b""

Parcel = bytes
"""Bytes under way; none for the end of the direction."""


class _Wire:
    """One direction of the link, which all connections share."""

    def __init__(self, mbit: float) -> None:
        """`mbit`: megabits a second; 0 for as many as there are."""
        self._seconds_per_byte = 8 / mbit / 1e6 if mbit else 0.0
        self._free_at = 0.0

    def carried(self, size: int, at: float) -> float:
        """The loop time by which so many bytes are on their way, when they are there to be sent `at`."""
        self._free_at = max(self._free_at, at) + size * self._seconds_per_byte
        return self._free_at if self._seconds_per_byte else at


class _Line:
    """One direction: what was read from `source`, `delay` seconds later written to `sink`."""

    def __init__(self, delay: float, wire: _Wire) -> None:
        self._delay = delay
        self._wire = wire
        self._loop = asyncio.get_running_loop()
        self._under_way: deque[tuple[float, Parcel]] = deque()
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._blocked = False
        self._held = False
        self.source: asyncio.Transport | None = None
        self.sink: _End | None = None

    def send(self, parcel: Parcel, not_before: float) -> None:
        """`not_before`: the loop time at which the parcel counts as sent at the earliest."""
        sent = self._wire.carried(len(parcel), max(self._loop.time(), not_before))
        self._under_way.append((sent + self._delay, parcel))
        self._bytes += len(parcel)
        if self._bytes > BUFFER and self.source is not None and not self._held:
            self._held = True
            self.source.pause_reading()
        self.deliver()

    def block(self, blocked: bool) -> None:
        """The sink takes no more for now, or takes again."""
        self._blocked = blocked
        self.deliver()

    def deliver(self) -> None:
        """Write what has arrived, and wake up when the next parcel does."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._under_way and not self._blocked and self.sink is not None:
            due, parcel = self._under_way[0]
            if due > self._loop.time():
                self._timer = self._loop.call_at(due, self.deliver)
                break
            self._under_way.popleft()
            self._bytes -= len(parcel)
            self.sink.write(parcel)  # may block this line
        if self._held and self._bytes <= BUFFER // 2 and self.source is not None:
            self._held = False
            if not self.source.is_closing():
                self.source.resume_reading()

    def clear(self) -> None:
        self._under_way.clear()
        self.sink = None
        self.deliver()


class _End(asyncio.Protocol):
    """One connection of a pair: reads into `outbound`, and is the sink of `inbound`."""

    def __init__(self, pair: _Pair, outbound: _Line, inbound: _Line) -> None:
        self._pair = pair
        self._outbound = outbound
        self._inbound = inbound
        self._read_ended = False
        self._write_ended = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast("asyncio.Transport", transport)  # TCP gives no other kind
        transport.set_write_buffer_limits(high=1024 * 1024)
        self._outbound.source = transport
        self._inbound.sink = self
        self._inbound.deliver()

    def data_received(self, data: bytes) -> None:
        self._outbound.send(data, self._pair.established)

    def eof_received(self) -> bool:
        self._read_ended = True
        self._outbound.send(_END, self._pair.established)
        self._close_when_over()
        return True  # the other direction stays open

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None:
            self._pair.broken()

    def pause_writing(self) -> None:
        self._inbound.block(True)

    def resume_writing(self) -> None:
        self._inbound.block(False)

    def write(self, parcel: Parcel) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if parcel:
            self._transport.write(parcel)
            return
        self._write_ended = True
        self._transport.write_eof()
        self._close_when_over()

    def reset(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        # Zero seconds of lingering make the close a reset (socket(7)).
        broken = struct.pack("ii", 1, 0)
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, broken)
        self._transport.abort()

    def _close_when_over(self) -> None:
        if self._read_ended and self._write_ended and self._transport is not None:
            self._transport.close()


class _Pair:
    """A client's connection and the one to the target that belongs to it."""

    def __init__(self, target: tuple[str, int], rtt: float, wires: tuple[_Wire, _Wire]) -> None:
        self._loop = asyncio.get_running_loop()
        self._target = target
        self._rtt = rtt
        self.established = self._loop.time() + rtt
        there, back = _Line(rtt / 2, wires[0]), _Line(rtt / 2, wires[1])
        self._lines = (there, back)
        self.client = _End(self, there, back)
        self._server = _End(self, back, there)
        self._dial = self._loop.create_task(self._call())

    def broken(self) -> None:
        """One end was reset: so is the other, half a round trip later."""
        self._loop.call_later(self._rtt / 2, self._reset)

    def _reset(self) -> None:
        self._dial.cancel()
        for line in self._lines:
            line.clear()
        self.client.reset()
        self._server.reset()

    async def _call(self) -> None:
        await asyncio.sleep(self._rtt / 2)
        try:
            await self._loop.create_connection(lambda: self._server, *self._target)
        except OSError:
            self.broken()


async def listen(address: tuple[str, int], target: tuple[str, int], rtt: float, *, mbit: float = 0) -> asyncio.Server:
    """Relay connections to `address` on to `target`; `rtt` in seconds, `mbit` in megabits a second (0: no limit)."""
    loop = asyncio.get_running_loop()
    wires = _Wire(mbit), _Wire(mbit)
    return await loop.create_server(lambda: _Pair(target, rtt, wires).client, *address, backlog=1024)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


async def _serve(address: tuple[str, int], target: tuple[str, int], rtt: float, mbit: float) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    server = await listen(address, target, rtt, mbit=mbit)
    print("listening", flush=True)
    await stopped.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="extproc.sandbox.relay", description=__doc__)
    parser.add_argument("listen", type=_address, help="HOST:PORT")
    parser.add_argument("target", type=_address, help="HOST:PORT")
    parser.add_argument("--rtt", type=float, required=True, help="milliseconds for a round trip")
    parser.add_argument("--mbit", type=float, default=0, help="megabits a second in each direction; 0: no limit")
    options = parser.parse_args()
    uvloop.run(_serve(options.listen, options.target, options.rtt / 1000, options.mbit))


if __name__ == "__main__":
    main()
