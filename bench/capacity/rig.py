"""The router on its store, as a worker has them (extproc/parts.py): the real ones, with the settings' defaults."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from bench.capacity.clock import Clock, TimedReach
from extproc import settings
from extproc.auth.token import TokenVerifier
from extproc.evidence.backlog import Backlog
from extproc.evidence.breaker import Breaker
from extproc.evidence.connections import Local
from extproc.evidence.guarded import GuardedStore
from extproc.evidence.memory import MemoryStore
from extproc.evidence.reach import Reach
from extproc.evidence.redis import RedisStore
from extproc.evidence.redis_single import SingleRedis
from extproc.evidence.store import Store
from extproc.routing.policy import Policy
from extproc.routing.router import Router, Verifier

POLICY = Policy()
PREFIX = "geo"
_DEFAULTS = settings.Policy()
_PATIENT = 30.0
"""Seconds: a simulation waits for its store. A worker does for 50 ms, and for a second outside of requests."""


def memory_store(clock: Clock) -> MemoryStore:
    return MemoryStore(_DEFAULTS.absent_ttl, clock, name_ttl=settings.Store().name_ttl)


def timed_redis(url: str, clock: Clock) -> RedisStore:
    """The store in the Redis at `url` (unix://), at virtual time."""
    return _redis(TimedReach(_patient(url), clock))


def redis_store(url: str) -> RedisStore:
    """The store in the Redis at `url` (unix://), as it is."""
    return _redis(_patient(url))


def _redis(reach: Reach) -> RedisStore:
    return RedisStore(reach, prefix=PREFIX, absent_ttl=_DEFAULTS.absent_ttl, name_ttl=settings.Store().name_ttl)


def _patient(url: str) -> SingleRedis:
    """As extproc/evidence/redis_dial.py dials, but for the patience."""
    connection = partial(
        Local,
        path=settings.Store(url=url).where.path,
        socket_timeout=_PATIENT,
        socket_connect_timeout=_PATIENT,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        driver_info=None,
        decode_responses=False,
    )
    return SingleRedis(connection, url, patience=_PATIENT)


def router(
    store: Store,
    verifier: Verifier | TokenVerifier,
    now: Callable[[], float],
    policy: Policy = POLICY,
) -> Router:
    """With the guard and the backlog between it and the store."""

    def guarded() -> GuardedStore:
        return GuardedStore(store, budget=_PATIENT, breaker=Breaker(failures=sys.maxsize, pause=0))

    return Router(verifier=verifier, facts=guarded(), writes=Backlog(guarded()), policy=policy, now=now)
