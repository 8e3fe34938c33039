"""What each test of the fast lane has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from extproc.transport.fastlane.server import FastlaneServer
from tests.transport.fastlane.wire import Client
from tests.transport.test_conformance import Scripted


class Timed:
    """The loop's time goes on as it is told; what is due then is done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.handles: list[asyncio.TimerHandle] = []
        loop, self._ahead = asyncio.get_running_loop(), 0.0
        time, call_at = loop.time, loop.call_at

        def noted(when: float, callback: Callable[..., object], *args: Any, context: Any = None) -> Any:
            self.handles.append(call_at(when, callback, *args, context=context))
            return self.handles[-1]

        monkeypatch.setattr(loop, "time", lambda: time() + self._ahead)
        monkeypatch.setattr(loop, "call_at", noted)

    async def advance(self, seconds: float) -> None:
        self._ahead += seconds
        await turns()

    def pending(self) -> int:
        now = asyncio.get_running_loop().time()
        return sum(not handle.cancelled() and handle.when() > now for handle in self.handles)


async def turns() -> None:
    """Of the loop: as many as a task, its end and what follows from it take."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
async def timed(monkeypatch: pytest.MonkeyPatch) -> Timed:
    return Timed(monkeypatch)


@pytest.fixture
def scripted() -> Scripted:
    return Scripted()


@pytest.fixture
async def complaints() -> list[dict[str, Any]]:
    """Of the loop: exceptions that nobody looked at."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    return told


@pytest.fixture
async def new_client(
    scripted: Scripted, timed: Timed, complaints: list[dict[str, Any]]
) -> AsyncIterator[Callable[..., Client]]:
    """Once all have gone, nothing of theirs is left: no stream, no timer, no task, no complaint."""
    made: list[Client] = []

    def new(server: FastlaneServer | None = None) -> Client:
        made.append(Client(server or FastlaneServer("unix:/unused", scripted.stream, max_streams=5)))
        return made[-1]

    yield new
    for client in made:
        client.leave()
    await turns()
    assert [client.server.streams for client in made] == [0] * len(made)
    assert [client.server._peers for client in made] == [set()] * len(made)
    assert timed.pending() == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert complaints == []


@pytest.fixture
async def client(new_client: Callable[..., Client]) -> Client:
    """Settings have been exchanged."""
    client = new_client()
    client.open()
    return client
