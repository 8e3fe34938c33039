"""A relay between registries and the ingest: passes each notification on, and knows when it was acknowledged."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
from aiohttp import web

from tests.support.ports import free_port

Found = TypeVar("Found")
_WITHIN = 20.0
_HELD = 8
"""Envelopes between which the order is changed."""


@dataclass(frozen=True, slots=True)
class _Told:
    """A registry's notification."""

    path: str
    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """One event, answered with 2xx at `at` by the ingest; `at` is of `time.monotonic`."""

    site: str
    action: str
    target: dict[str, Any]
    at: float

    def names(self, **target: object) -> bool:
        """Whether the fields of its target are these."""
        return all(self.target.get(name) == value for name, value in target.items())


@dataclass
class NotificationRelay:
    """`async with NotificationRelay() as relay`, then set `ingest` to the admin server's URL."""

    ingest: str = ""
    authorization: str | None = None
    """Sent instead of the registry's, when set."""
    cut: bool = False
    """Nothing is passed on; registries get 502, and try again."""
    losing: bool = False
    """Nothing is passed on; registries get 200, and think that it was."""
    repeating: bool = False
    """Each is passed on, and so is one of those before, once more."""
    shuffling: bool = False
    """Registries get 200; what they told is passed on later, in another order, by `in_order` at the latest."""
    acknowledged: list[Acknowledged] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    """What registries were answered."""
    _moved: asyncio.Condition = field(default_factory=asyncio.Condition)
    _port: int = field(default_factory=free_port)
    _chance: random.Random = field(default_factory=lambda: random.Random(7))
    _passed_on: list[_Told] = field(default_factory=list)
    _held: list[_Told] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        self._runner = web.ServerRunner(web.Server(self._take, access_log=None), shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()
        await self._http.close()

    async def _take(self, request: web.BaseRequest) -> web.Response:
        body = await request.read()
        told = _Told(
            request.path,
            body,
            {
                "Authorization": self.authorization or request.headers["Authorization"],
                "Content-Type": request.headers["Content-Type"],
            },
        )
        status = 502
        if self.losing:
            status = 200
        elif self.shuffling:
            self._held.append(told)
            if len(self._held) > _HELD:
                await self._pass_on(self._held.pop(self._chance.randrange(_HELD)))
            status = 200
        elif not self.cut and self.ingest:
            status = await self._pass_on(told)
            if self.repeating:
                self._passed_on.append(told)
                await self._pass_on(self._chance.choice(self._passed_on[-_HELD:]))
        async with self._moved:
            self.statuses.append(status)
            self._moved.notify_all()
        return web.Response(status=status)

    async def _pass_on(self, told: _Told) -> int:
        """The ingest's answer."""
        try:
            async with self._http.post(self.ingest + told.path, data=told.body, headers=told.headers) as answer:
                status = answer.status
        except OSError:  # aiohttp's connection errors are
            return 502
        now = time.monotonic()
        if 200 <= status < 300:
            site = told.path.rpartition("/")[2]
            self.acknowledged += [
                Acknowledged(site, event["action"], event["target"], now) for event in json.loads(told.body)["events"]
            ]
        return status

    async def in_order(self) -> None:
        """From now on. What is held is passed on first, in another order; all of it, or AssertionError."""
        self.shuffling = False
        self._chance.shuffle(self._held)
        while self._held:
            status = await self._pass_on(self._held.pop())
            assert status == 200, status

    async def once(self, site: str, action: str, *, after: int = 0, **target: object) -> Acknowledged:
        """The first acknowledged event like this, of those from number `after` on. Waits for it."""

        def found() -> Acknowledged | None:
            return next(
                (
                    each
                    for each in self.acknowledged[after:]
                    if (each.site, each.action) == (site, action) and each.names(**target)
                ),
                None,
            )

        return await self._wait(found, f"{site} {action} {target}")

    async def answered(self, status: int, *, after: int = 0) -> None:
        """Once a registry was answered so, from answer number `after` on."""
        await self._wait(lambda: status in self.statuses[after:] or None, f"an answer {status}")

    async def _wait(self, found: Callable[[], Found | None], what: str) -> Found:
        async with self._moved:
            try:
                async with asyncio.timeout(_WITHIN):
                    while (it := found()) is None:
                        await self._moved.wait()
            except TimeoutError as error:
                raise AssertionError(f"not told within {_WITHIN:g} s: {what}") from error
        return it
