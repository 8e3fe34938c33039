"""What goes wrong meanwhile, again and again: clients and peers that give up half way or talk nonsense, and a store
that stands still."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path
from typing import Final

from extproc.transport.http2 import frame
from extproc.transport.service import METHOD

_FIELDS: Final = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", METHOD.encode()),
    (b"content-type", b"application/grpc"),
    (b"te", b"trailers"),
)
_OPENING: Final = frame.PREFACE + frame.settings({}) + frame.SETTINGS_ACK
_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_AT_ONCE: Final = 10
_EVERY: Final = 2.0
_STILL_EVERY: Final = 20.0
_STILL_FOR: Final = 1.5


def _block() -> bytes:
    """Without a table (RFC 7541, section 6.2.2)."""
    return b"\x20" + b"".join(b"\0%c%b%c%b" % (len(name), name, len(value), value) for name, value in _FIELDS)


def _begun(*more: bytes) -> bytes:
    return _OPENING + frame.headers(1, _block(), end=False) + b"".join(more)


CLIENTS: Final = (
    b"",
    b"GET /v2/ HTTP/1.1\r\nHost: ",
    b"GET /v2/a/manifests/x HTTP/1.1\r\nHost: a\r\n\r\n",
    b"PUT /v2/a/manifests/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{",
    b"\0\1\2 nonsense\r\n\r\n",
)
"""What one sends to Envoy before it goes."""
PEERS: Final = (
    b"",
    frame.PREFACE[:10],
    _OPENING,
    b"GET / HTTP/1.1\r\n\r\n",
    _begun(),
    _begun(frame.data(1, b"\0\0\0\0\5", end=False)),
    _begun(frame.data(1, b"\0\0\0\0\4\xff\xff\xff\xff", end=True)),
    _begun(frame.data(1, b"\1\0\0\0\4abcd", end=True)),
    _begun(frame.rst_stream(1, frame.ErrorCode.CANCEL)),
    _OPENING + frame.headers(2, _block(), end=True),
    _OPENING + frame.headers(1, b"\xff" * 40, end=True),
    _OPENING + frame.window_update(0, 0),
)
"""What one sends to the processor before it goes."""


async def rude(url: str, socket: Path) -> None:
    """Until cancelled."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    clients, peers = itertools.cycle(CLIENTS), itertools.cycle(PEERS)
    while True:
        await asyncio.gather(
            *(_say(asyncio.open_connection(host, int(port)), next(clients)) for _ in range(_AT_ONCE)),
            *(_say(asyncio.open_unix_connection(socket), next(peers)) for _ in range(_AT_ONCE)),
        )
        await asyncio.sleep(_EVERY)


async def _say(opening: Awaitable[_Streams], words: bytes) -> None:
    with suppress(OSError):
        _, writer = await opening
        writer.write(words)
        with suppress(OSError):
            await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def standing_still(pid: int) -> None:
    """The process, now and then, until cancelled; then it goes on."""
    while True:
        await asyncio.sleep(_STILL_EVERY - _STILL_FOR)
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(_STILL_FOR)
        finally:
            os.kill(pid, signal.SIGCONT)
