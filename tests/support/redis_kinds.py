"""The kinds of Redis that evidence can be kept in, and a running one of each."""

from __future__ import annotations

from typing import Protocol

import pytest

from extproc import settings
from extproc.evidence.redis import RedisStore, connect

KINDS = ["server", "cluster", "sentinel"]
"""One server, a cluster of three masters, a master with Sentinels; the fixtures are named after them."""


class Where(Protocol):
    """A running Redis of any kind."""

    @property
    def url(self) -> str:
        """As in the settings."""


def running(request: pytest.FixtureRequest, kind: str) -> Where:
    """The one of that kind that all tests share, started when a test first needs it."""
    where: Where = request.getfixturevalue(f"redis_{kind}")
    return where


def redis_store(
    where: Where, *, prefix: str = "geo", absent_ttl: float = 60.0, name_ttl: float = 1000.0, settling: float = 0.0
) -> RedisStore:
    store = settings.Store(url=where.url, prefix=prefix, name_ttl=name_ttl)
    return connect(store, absent_ttl=absent_ttl, settling=settling)
