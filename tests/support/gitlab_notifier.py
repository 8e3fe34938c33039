"""How GitLab's container registry tells what happened. A part of the stand-in in gitlab_registry.py.

Sources, in gitlab.com/gitlab-org/container-registry:
[events]  docs/spec/gitlab/notifications.md   fields of an event; `rename` with type, from and to
[config]  docs/configuration.md#notifications   `headers`, `includereferences`, `maxretries` (10 here) and `backoff`:
          an event that failed that often is dropped; they are sent one by one
[v1]      the envelope's content type is application/vnd.docker.distribution.events.v1+json, as distribution's
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import Any
from uuid import uuid4

import aiohttp

CONTENT_TYPE = "application/vnd.docker.distribution.events.v1+json"


class Notifier:
    """Sends events to one endpoint, one after the other."""

    def __init__(self, url: str, authorization: str, *, retries: int = 10, backoff: float = 0.001) -> None:
        """`url` empty: nobody is told. `backoff`: seconds before the first repetition, then doubled each time."""
        self.url = url
        self._authorization = authorization
        self._retries = retries
        self._backoff = backoff
        self._queue: deque[dict[str, Any]] = deque()
        self._idle = asyncio.Event()
        self._idle.set()
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.events: list[dict[str, Any]] = []
        """All that happened, sent or not."""
        self.dropped: list[dict[str, Any]] = []
        """Those given up after all tries."""
        self.losing = False
        """While set, what happens is told to nobody: a registry that died with its queue."""

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def told(self) -> None:
        """Until every event is delivered or dropped."""
        await self._idle.wait()

    def tell(self, action: str, method: str, **target: Any) -> None:
        """Queue an event; empty fields of the target are left out, as Go's omitempty does."""
        event = {
            "id": str(uuid4()),
            "timestamp": "2026-01-25T14:45:54.17327+11:00",
            "action": action,
            "target": {name: value for name, value in target.items() if value},
            "request": {
                "id": str(uuid4()),
                "addr": "172.16.123.1:56969",
                "host": "registry.test:5000",
                "method": method,
                "useragent": "stand-in",
            },
            "actor": {"name": "root", "user_type": "personal_access_token"},
            "source": {"addr": "127.0.0.1:5000", "instanceID": str(uuid4())},
        }
        self.events.append(event)
        if self.url and not self.losing:
            self._queue.append(event)
            self._idle.clear()
            self._more.set()

    async def _run(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            while True:
                await self._more.wait()
                while self._queue:
                    event = self._queue[0]
                    if not await self._delivered(session, event):
                        self.dropped.append(event)
                    self._queue.popleft()
                self._more.clear()
                self._idle.set()

    async def _delivered(self, session: aiohttp.ClientSession, event: dict[str, Any]) -> bool:
        headers = {"Content-Type": CONTENT_TYPE, "Authorization": self._authorization}
        body = json.dumps({"events": [event]}).encode()
        for attempt in range(self._retries + 1):
            if attempt:
                await asyncio.sleep(self._backoff * 2 ** (attempt - 1))
            try:
                async with session.post(self.url, data=body, headers=headers, allow_redirects=False) as response:
                    if 200 <= response.status < 400:
                        return True
            except (aiohttp.ClientError, TimeoutError):
                continue
        return False
