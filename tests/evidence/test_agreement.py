"""All stores, given the same operations in any order, have the same evidence. Ages and tokens aside."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import ContentKind, DigestState, Evidence, Invalidation, Observation
from extproc.evidence.store import Store
from extproc.oci.reference import Digest, Name, Tag
from tests.evidence.subject import D1, D2, D3, MEDIA, NAME, OTHER
from tests.support.redis_kinds import KINDS, Where, redis_store, running

NAMES = (NAME, OTHER)
TAGS = (Tag("v1"), Tag("v2"))
DIGESTS = (D1, D2, D3)
TOPICS = ("run", "{group/app}")

names = st.sampled_from(NAMES)
tags = st.sampled_from(TAGS)
digests = st.sampled_from(DIGESTS)
marks = st.sampled_from(["m1", "m2"])
topics = st.sampled_from(TOPICS)
owners = st.sampled_from(["one", "two"])
# A tombstone hides all else: rarely.
tombstones = st.sampled_from([None, None, None, *DIGESTS])
invalidations = st.builds(Invalidation, tag=st.none() | tags, all_leases=st.booleans(), tombstone=tombstones)


@dataclass(frozen=True)
class Call:
    """One operation, the same on any store."""

    text: str
    on: Callable[[Store], Awaitable[object]]

    def __repr__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Learn:
    """What exchanges showed that began `ago` operations before."""

    name: Name
    ago: int
    seen: list[Observation]


def _call(text: str, on: Callable[[Store], Awaitable[object]]) -> Call:
    return Call(text, on)


begins = st.tuples(names, marks, invalidations).map(
    lambda a: _call(f"begin{a}", lambda s: s.begin_write(a[0], a[1], a[2], 600.0))
)
ends = st.tuples(names, marks, invalidations).map(lambda a: _call(f"end{a}", lambda s: s.end_write(*a)))
changes = st.tuples(names, invalidations, st.none() | digests).map(
    lambda a: _call(f"changed{a}", lambda s: s.primary_changed(a[0], a[1], pushed=a[2]))
)
pushes = st.tuples(names, tags, digests).map(
    lambda a: _call(f"pushed{a}", lambda s: s.primary_changed(a[0], Invalidation(tag=a[1]), pushed=a[2]))
)
drops = names.map(lambda name: _call(f"dropped {name}", lambda s: s.primary_dropped(name)))
haves = st.tuples(names, st.lists(digests)).map(lambda a: _call(f"has{a}", lambda s: _arrived(s, *a)))
losses = st.tuples(names, digests).map(lambda a: _call(f"lost{a}", lambda s: s.secondary_lost(*a)))
voids = st.just(_call("void", lambda s: s.void_leases()))
notes = st.tuples(topics, st.none() | st.text(max_size=5)).map(lambda a: _call(f"note{a}", lambda s: s.note(*a)))
claims = st.tuples(topics, owners).map(lambda a: _call(f"claim{a}", lambda s: s.claim(*a, 600.0)))
releases = st.tuples(topics, owners).map(lambda a: _call(f"release{a}", lambda s: s.release(*a)))
learns = st.builds(
    Learn,
    names,
    # Mostly fresh: what was seen long ago is rarely taken.
    st.sampled_from([0, 0, 0, 1, 3]),
    st.lists(
        st.builds(
            Observation,
            digests,
            kind=st.sampled_from(ContentKind),
            tag=st.none() | tags,
            media_type=st.just(MEDIA),
            secondary=st.sampled_from([DigestState.UNKNOWN, DigestState.PRESENT, DigestState.ABSENT]),
            primary_has=st.booleans(),
        ),
        max_size=4,
    ),
)
operations = st.lists(
    st.one_of(
        *(learns, learns, learns, pushes, pushes, changes, haves, haves, begins, ends),
        # The map keeps these together as one choice of many: a dropped name has little left to compare.
        st.one_of(drops, losses, voids, notes, claims, releases).map(lambda call: call),
    ),
    min_size=8,
    max_size=25,
)


async def _arrived(store: Store, name: Name, told: list[Digest]) -> list[Digest]:
    return [each.digest for each in await store.secondary_has(name, told)]


def _essence(evidence: Evidence) -> tuple[object, ...]:
    lease = evidence.lease
    held = None if lease is None else (lease.digest, lease.media_type)
    return evidence.marked, held, evidence.digest, evidence.confirmed is None, evidence.deleted_as


async def _everything(store: Store) -> dict[tuple[Name, Tag | Digest], Evidence]:
    asked = [(name, what) for name in NAMES for what in (*TAGS, *DIGESTS)]
    return dict(zip(asked, await asyncio.gather(*(store.decide(*each) for each in asked)), strict=True))


async def _kept_beside(store: Store) -> object:
    """What is not evidence; of times, only that there is one."""
    records = []
    for record in await asyncio.gather(*(store.inspect(name) for name in NAMES)):
        leases = {tag: (lease.digest, lease.media_type) for tag, lease in record.leases.items()}
        digests = {
            digest: (known.state, known.confirmed is None, known.deleted_as)
            for digest, known in record.digests.items()
        }
        times = (len(record.marks), set(record.awaited), record.lag is None)
        records.append((record.name, record.dropped, leases, digests, times))
    noted = await asyncio.gather(*(store.noted(topic) for topic in TOPICS))
    return records, noted, {name async for name in store.names()}


async def _compare(where: Where, script: list[Call | Learn]) -> None:
    prefix = f"agree-{secrets.token_hex(8)}"
    ours, theirs = MemoryStore(absent_ttl=600.0), redis_store(where, prefix=prefix, absent_ttl=600.0)
    try:
        assert await _kept_beside(ours) == await _kept_beside(theirs)
        history = [(await _everything(ours), await _everything(theirs))]
        for step in script:
            if isinstance(step, Call):
                assert await step.on(ours) == await step.on(theirs)
            else:
                mine, other = history[max(len(history) - 1 - step.ago, 0)]
                begun = (step.name, TAGS[0])
                took = await ours.learn_all(step.name, mine[begun].snapshot, step.seen)
                assert took == await theirs.learn_all(step.name, other[begun].snapshot, step.seen)
            assert await _kept_beside(ours) == await _kept_beside(theirs)
            mine, other = await _everything(ours), await _everything(theirs)
            assert {k: _essence(v) for k, v in mine.items()} == {k: _essence(v) for k, v in other.items()}
            history.append((mine, other))
    finally:
        await theirs.close()


@given(script=operations)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("kind", KINDS)
def test_memory_and_redis_agree(request: pytest.FixtureRequest, kind: str, script: list[Call | Learn]) -> None:
    asyncio.run(_compare(running(request, kind), script))
