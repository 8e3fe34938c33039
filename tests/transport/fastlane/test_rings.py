"""What an exchange made is gone with its last reference. Rings would be left to the collector, which stops everything
to find them."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

import pytest

from extproc.routing.message import Unread
from extproc.transport.fastlane.server import FastlaneServer
from extproc.transport.http2.frame import data
from tests.transport.fastlane.conftest import turns
from tests.transport.fastlane.test_call import Now
from tests.transport.fastlane.wire import Client, request

EXCHANGES = 20


class Later:
    """Answers in a later turn, by a future or by a task."""

    def __init__(self, *, by_task: bool) -> None:
        self._by_task = by_task

    def stream(self, traceparent: str | Unread) -> Later:
        return self

    def receive(self, data: bytes) -> Awaitable[bytes]:
        return self._answer(data) if self._by_task else self._future(data)

    async def _answer(self, data: bytes) -> bytes:
        await asyncio.sleep(0)
        return b"<" + data

    def _future(self, data: bytes) -> asyncio.Future[bytes]:
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        loop.call_soon(answer.set_result, b"<" + data)
        return answer


@pytest.fixture
def found() -> Iterator[Callable[[], Counter[str]]]:
    """What the collector finds, from now on."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)

    def by_kind() -> Counter[str]:
        gc.collect()
        kinds = (type(each) for each in gc.garbage)
        # Of ours: a test before this one, if it failed, left its traceback.
        return Counter(kind.__qualname__ for kind in kinds if kind.__module__.startswith(("extproc.", "_asyncio")))

    try:
        yield by_kind
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def by_reset(client: Client, stream: int) -> None:
    """As Envoy ends it."""
    client.reset(stream)


def by_trailers(client: Client, stream: int) -> None:
    client.send(data(stream, b"", end=True))


@pytest.mark.parametrize("ended", [by_reset, by_trailers])
@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(Now(), id="at once"),
        pytest.param(Later(by_task=False), id="by a future"),
        pytest.param(Later(by_task=True), id="by a task"),
    ],
)
async def test_nothing_is_left_to_the_collector(
    new_client: Callable[..., Client],
    handler: Now | Later,
    ended: Callable[[Client, int], None],
    found: Callable[[], Counter[str]],
) -> None:
    client = new_client(FastlaneServer("unix:/unused", handler.stream, max_streams=5))
    client.open()
    for stream in range(1, 2 * EXCHANGES, 2):
        client.send(request(stream))
        client.ask(stream, b"a")
        await turns()
        assert b"<a" in client.wire.written
        ended(client, stream)
        await turns()
        client.wire.written = client.wire.written[:0]
    assert client.server.streams == 0
    rings = found()
    assert not {kind: count for kind, count in rings.items() if count >= EXCHANGES}, rings
