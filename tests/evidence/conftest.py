from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from extproc.evidence.breaker import Breaker
from extproc.evidence.guarded import GuardedStore
from extproc.evidence.redis import RedisStore
from tests.evidence.subject import BUDGET, NewSubject, Subject, in_memory, in_redis, without_a_task
from tests.support.redis_kinds import KINDS, redis_store, running
from tests.support.redis_server import RedisServer


@pytest.fixture(params=["memory", *KINDS, "asked"])
async def new(request: pytest.FixtureRequest, prefix: str) -> AsyncIterator[NewSubject]:
    """Makes stores of each kind; those of one test share what they keep in Redis. `asked`: one server, and no task
    waits for what `decide` finds."""
    asked = request.param == "asked"
    where = None if request.param == "memory" else running(request, "server" if asked else request.param)
    async with AsyncExitStack() as stack:

        def build(**options: float) -> Subject:
            subject = in_memory(**options) if where is None else in_redis(where, prefix=prefix, **options)
            stack.push_async_callback(subject.store.close)
            return without_a_task(subject) if asked else subject

        yield build


@pytest.fixture
def subject(new: NewSubject) -> Subject:
    return new()


@pytest.fixture
async def raw(own_redis: RedisServer) -> AsyncIterator[RedisStore]:
    """One Redis, to be harmed."""
    store = redis_store(own_redis)
    yield store
    await store.close()


@pytest.fixture
def store(raw: RedisStore) -> GuardedStore:
    return GuardedStore(raw, budget=BUDGET, breaker=Breaker(failures=10_000, pause=0.001))
