"""Both stores, given the same operations in any order, have the same evidence. Ages and tokens aside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import DigestState, Evidence, Invalidation, Observation
from extproc.evidence.store import Store
from extproc.oci.reference import Digest, Name, Tag
from tests.evidence.subject import D1, D2, D3, MEDIA, NAME, OTHER, redis_store
from tests.support.redis_server import RedisServer

NAMES = (NAME, OTHER)
TAGS = (Tag("v1"), Tag("v2"))
DIGESTS = (D1, D2, D3)

names = st.sampled_from(NAMES)
tags = st.sampled_from(TAGS)
digests = st.sampled_from(DIGESTS)
marks = st.sampled_from(["m1", "m2"])
invalidations = st.builds(Invalidation, tag=st.none() | tags, all_leases=st.booleans(), tombstone=st.none() | digests)


@dataclass(frozen=True)
class Call:
    """One operation, the same on any store."""

    text: str
    on: Callable[[Store], Awaitable[object]]

    def __repr__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Learn:
    """What an exchange showed that began `ago` operations before."""

    name: Name
    ago: int
    seen: Observation


def _call(text: str, on: Callable[[Store], Awaitable[object]]) -> Call:
    return Call(text, on)


begins = st.tuples(names, marks, invalidations).map(
    lambda a: _call(f"begin{a}", lambda s: s.begin_write(a[0], a[1], a[2], 600.0))
)
ends = st.tuples(names, marks, invalidations).map(lambda a: _call(f"end{a}", lambda s: s.end_write(*a)))
changes = st.tuples(names, invalidations).map(lambda a: _call(f"changed{a}", lambda s: s.primary_changed(*a)))
drops = names.map(lambda name: _call(f"dropped {name}", lambda s: s.primary_dropped(name)))
haves = st.tuples(names, st.lists(digests)).map(lambda a: _call(f"has{a}", lambda s: s.secondary_has(*a)))
losses = st.tuples(names, digests).map(lambda a: _call(f"lost{a}", lambda s: s.secondary_lost(*a)))
voids = st.just(_call("void", lambda s: s.void_leases()))
learns = st.builds(
    Learn,
    names,
    # Mostly fresh: what was seen long ago is rarely taken.
    st.sampled_from([0, 0, 0, 1, 3]),
    st.builds(
        Observation,
        digests,
        tag=st.none() | tags,
        media_type=st.just(MEDIA),
        secondary=st.sampled_from([DigestState.UNKNOWN, DigestState.PRESENT, DigestState.ABSENT]),
        primary_has=st.booleans(),
    ),
)
operations = st.lists(
    st.one_of(learns, learns, learns, begins, ends, changes, drops, haves, losses, voids), max_size=25
)


def _essence(evidence: Evidence) -> tuple[object, ...]:
    lease = evidence.lease
    held = None if lease is None else (lease.digest, lease.media_type)
    return evidence.marked, held, evidence.digest, evidence.confirmed is None


async def _everything(store: Store) -> dict[tuple[Name, Tag | Digest], Evidence]:
    return {(name, what): await store.decide(name, what) for name in NAMES for what in (*TAGS, *DIGESTS)}


async def _compare(server: RedisServer, script: list[Call | Learn]) -> None:
    server.command("FLUSHALL")
    ours, theirs = MemoryStore(absent_ttl=600.0), redis_store(server, absent_ttl=600.0)
    try:
        history = [(await _everything(ours), await _everything(theirs))]
        for step in script:
            if isinstance(step, Call):
                await step.on(ours)
                await step.on(theirs)
            else:
                mine, other = history[max(len(history) - 1 - step.ago, 0)]
                begun = (step.name, TAGS[0])
                took = await ours.learn(step.name, mine[begun].snapshot, step.seen)
                assert took == await theirs.learn(step.name, other[begun].snapshot, step.seen)
            mine, other = await _everything(ours), await _everything(theirs)
            assert {k: _essence(v) for k, v in mine.items()} == {k: _essence(v) for k, v in other.items()}
            history.append((mine, other))
    finally:
        await theirs.close()


@given(script=operations)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_memory_and_redis_agree(redis_server: RedisServer, script: list[Call | Learn]) -> None:
    asyncio.run(_compare(redis_server, script))
