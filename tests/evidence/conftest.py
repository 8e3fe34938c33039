from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.evidence.subject import NewSubject, Subject, in_memory, in_redis
from tests.support.redis_kinds import KINDS, running


@pytest.fixture(params=["memory", *KINDS])
async def new(request: pytest.FixtureRequest, prefix: str) -> AsyncIterator[NewSubject]:
    """Makes stores of each kind; those of one test share what they keep in Redis."""
    where = None if request.param == "memory" else running(request, request.param)
    async with AsyncExitStack() as stack:

        def build(**options: float) -> Subject:
            subject = in_memory(**options) if where is None else in_redis(where, prefix=prefix, **options)
            stack.push_async_callback(subject.store.close)
            return subject

        yield build


@pytest.fixture
def subject(new: NewSubject) -> Subject:
    return new()
