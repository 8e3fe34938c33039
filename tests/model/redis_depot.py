"""The real RedisStore on a real Redis of any kind, driven from the model's turns.

Redis has its own clock, which nobody can turn, so what depends on time is made so long that no story outlasts it
(`POLICY`). The client runs on a loop in a thread of its own; each operation is waited for, so a turn stays a turn.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable
from contextlib import suppress
from typing import Final, Protocol, TypeVar

from redis import Redis, RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.sentinel import Sentinel

from extproc import settings
from extproc.evidence.model import Evidence
from extproc.evidence.redis import RedisStore, connect
from extproc.evidence.store import StoreUnavailable
from extproc.oci.reference import Digest, Name, Tag
from extproc.routing.policy import Policy
from extproc.settings.store_url import Kind, StoreUrl
from tests.model.content import NAMES

T = TypeVar("T")

POLICY: Final = Policy(max_staleness=1e6, present_recheck=1e6, write_timeout=1e6)
_LONG: Final = 1e6
_BACK_WITHIN: Final = 10.0


class Restartable(Protocol):
    """A Redis that keeps all that it acknowledged."""

    @property
    def url(self) -> str:
        """As in the settings."""

    def kill(self) -> None:
        """All of its masters; none is replaced."""

    def start(self) -> None:
        """Those again."""


class RedisDepot:
    """`with RedisDepot(redis) as depot: …` on a Redis of its own; `empty` it between stories.

    Nothing is lost by a restart: what a failover may lose is MemoryDepot's `go_back`.
    """

    def __init__(self, redis: Restartable) -> None:
        self._redis = redis
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="store")

    def __enter__(self) -> RedisDepot:
        where = settings.Store(url=self._redis.url, name_ttl=_LONG)
        self._beside = _client(where.where)
        self._store = connect(where, absent_ttl=_LONG)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._store.close())
        self._beside.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

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
        self._redis.kill()
        self._redis.start()
        deadline = time.monotonic() + _BACK_WITHIN
        while not self._answers():
            assert time.monotonic() < deadline, "it does not come back"

    def _answers(self) -> bool:
        """A connection that was kept is found dead only when it is used, and a store is not believed at once."""
        with suppress(StoreUnavailable, RedisConnectionError):
            self.run(self._store.ping())
            for name in NAMES:
                self.peek(name, Tag("v1"))
            return True
        return False

    def _key(self, name: Name) -> str:
        return f"geo:{{{name}}}"


def _client(where: StoreUrl) -> Redis | RedisCluster:
    """A client beside the store, for what no store does."""
    hosts = [(each.host, each.port) for each in where.hosts]
    match where.kind:
        case Kind.CLUSTER:
            host, port = hosts[0]
            return RedisCluster(host=host, port=port)
        case Kind.SENTINEL:
            master: Redis = Sentinel(hosts).master_for(where.master)  # type: ignore[no-untyped-call]
            return master
        case _:
            return Redis(unix_socket_path=where.path)
