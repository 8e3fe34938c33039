"""What the scripts leave in a name's hash (docs/evidence.md, "Layout") that no operation shows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from extproc.evidence.model import ContentKind, DigestState, Invalidation, Observation
from extproc.evidence.redis import RedisStore
from extproc.oci.reference import Digest
from tests.evidence.subject import D1, D2, NAME, TAG
from tests.support.redis_kinds import redis_store
from tests.support.redis_server import RedisServer


@pytest.fixture
async def store(own_redis: RedisServer) -> AsyncIterator[RedisStore]:
    store = redis_store(own_redis)
    yield store
    await store.close()


async def test_tombstones_are_counted_whole_or_half(own_redis: RedisServer, store: RedisStore) -> None:
    manifest, blob = Observation(D1, primary_has=True), Observation(D1, kind=ContentKind.BLOB, primary_has=True)

    async def learned(*seen: Observation) -> int:
        assert await store.learn_all(NAME, (await store.decide(NAME, D1)).snapshot, seen)
        return int(own_redis.command("HGET", "geo:{group/app}", "x").split()[1])

    for again in range(2):
        await store.primary_changed(NAME, Invalidation(tombstone=D1))
        await store.primary_changed(NAME, Invalidation(tombstone=D1))
        await store.primary_changed(NAME, Invalidation(tombstone=D2))
        assert await learned() == 2
        assert await learned(manifest if again else blob) == 2
        await store.secondary_has(NAME, [D1, D2])
        await store.secondary_lost(NAME, D1)
        assert await learned(Observation(D1, secondary=DigestState.ABSENT)) == 2
        assert await learned(manifest if again else blob) == 2
        assert await learned(blob if again else manifest) == 1
        assert await learned(Observation(D1, secondary=DigestState.PRESENT)) == 1
    # Of a name that is dropped there is no other tombstone; each that the primary revives is half of one.
    await store.primary_dropped(NAME)
    assert await learned(manifest) == 1
    assert await learned(blob, replace(manifest, digest=D2), replace(blob, digest=D2)) == 0


async def test_what_is_present_takes_as_many_bytes_as_ever(own_redis: RedisServer, store: RedisStore) -> None:
    # No client of text could name the field, so a script does.
    size_of = "return redis.call('HSTRLEN', KEYS[1], 'd\\1' .. string.rep('\\17', 32))"
    await store.secondary_has(NAME, [D1])
    assert own_redis.command("EVAL", size_of, "1", "geo:{group/app}") == b":5\r\n"
    await store.primary_changed(NAME, Invalidation(tombstone=D1))
    for kind, size in ((ContentKind.MANIFEST, 6), (ContentKind.BLOB, 5)):
        seen = Observation(D1, secondary=DigestState.PRESENT, primary_has=True, kind=kind)
        assert await store.learn(NAME, (await store.decide(NAME, D1)).snapshot, seen)
        assert own_redis.command("EVAL", size_of, "1", "geo:{group/app}") == f":{size}\r\n".encode()


async def test_expired_marks_go_when_another_is_set(own_redis: RedisServer, store: RedisStore) -> None:
    """Of writes that were cancelled, say, which lift none."""
    for number in range(5):
        await store.begin_write(NAME, f"cancelled {number}", Invalidation(), 0.001)
    begun = (await store.decide(NAME, TAG)).snapshot.at
    while (await store.decide(NAME, TAG)).snapshot.at <= begun + 1_000:
        pass
    await store.begin_write(NAME, "m", Invalidation(), 60.0)
    assert own_redis.command("HSTRLEN", "geo:{group/app}", "m") == b":24\r\n"


async def test_what_was_revived_of_a_dropped_name_does_not_pile_up(own_redis: RedisServer) -> None:
    raw = redis_store(own_redis, name_ttl=0.02)
    await raw.primary_dropped(NAME)
    snapshot = (await raw.decide(NAME, TAG)).snapshot
    revived = [Observation(Digest(f"sha256:{number:064x}"), primary_has=True) for number in range(100)]
    assert await raw.learn_all(NAME, snapshot, revived)
    while (await raw.decide(NAME, TAG)).snapshot.at < snapshot.at + 3_000_000:
        assert await raw.learn(NAME, snapshot, revived[0])
        if int(own_redis.command("HLEN", "geo:{group/app}")[1:]) < 30:
            break
    held = int(own_redis.command("HLEN", "geo:{group/app}")[1:])
    assert held < 30
    # Beside epoch, generation, the drop and the count itself, each is half a tombstone.
    assert int(own_redis.command("HGET", "geo:{group/app}", "x").split()[1]) == held - 4
    assert (await raw.decide(NAME, revived[1].digest)).digest is DigestState.DELETED
    await raw.close()
