"""The real RedisStore on a real redis-server, driven from the model's turns.

Redis has its own clock, which nobody can turn, so what depends on time is made so long that no story outlasts it
(`POLICY`). The client runs on a loop in a thread of its own; each operation is waited for, so a turn stays a turn.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Final, TypeVar

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from extproc import settings
from extproc.evidence.model import Evidence
from extproc.evidence.redis import RedisStore, connect
from extproc.evidence.store import StoreUnavailable
from extproc.oci.reference import Digest, Name, Tag
from extproc.routing.policy import Policy
from tests.support.redis_server import RedisServer

T = TypeVar("T")

POLICY: Final = Policy(max_staleness=1e6, present_recheck=1e6, write_timeout=1e6)
_LONG: Final = 1e6
_BACK_WITHIN: Final = 10.0


class RedisDepot:
    """`with RedisDepot(folder) as depot: …`; `empty` it between stories. Nothing is lost by a restart."""

    def __init__(self, folder: Path) -> None:
        self._server = RedisServer(folder, persistent=True)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="store")

    def __enter__(self) -> RedisDepot:
        self._server.start()
        self._thread.start()
        self._store = connect(settings.Store(url=self._server.url, name_ttl=_LONG), absent_ttl=_LONG)
        self._beside = Redis(unix_socket_path=str(self._server.socket))
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._store.close())
        self._beside.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._server.kill()

    @property
    def store(self) -> RedisStore:
        return self._store

    def run(self, call: Awaitable[T]) -> T:
        async def made() -> T:
            return await call

        return asyncio.run_coroutine_threadsafe(made(), self._loop).result()

    def peek(self, name: Name, reference: Tag | Digest) -> Evidence:
        known = self._beside.exists(self._key(name))
        evidence = self.run(self._store.decide(name, reference))
        if not known:
            self.lose(name)
        return evidence

    def empty(self) -> None:
        self._beside.flushall()
        self._beside.script_flush()

    def lose(self, name: Name) -> None:
        self._beside.delete(self._key(name))

    def restart(self) -> None:
        """Killed, and started again with all that it had taken."""
        self._server.kill()
        self._server.start()
        deadline = time.monotonic() + _BACK_WITHIN
        while True:
            try:
                self.run(self._store.ping())
                self._beside.ping()
            except (StoreUnavailable, RedisConnectionError):
                # A connection that was kept is found dead only when it is used.
                if time.monotonic() > deadline:
                    raise
            else:
                return

    def _key(self, name: Name) -> str:
        return f"geo:{{{name}}}"
