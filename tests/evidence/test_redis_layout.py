"""What is in Redis: which keys, how long they live, and that they do not grow without bound (docs/evidence.md)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import pytest

from extproc.evidence.breaker import Breaker
from extproc.evidence.guarded import GuardedStore
from extproc.evidence.model import DigestState, Invalidation, Observation
from extproc.evidence.reach import Command, Reach
from extproc.evidence.redis import RedisStore
from extproc.oci.reference import Digest
from tests.evidence.subject import BUDGET, D1, D2, NAME, TAG, learn_lease
from tests.support.redis_kinds import redis_store
from tests.support.redis_server import RedisServer


async def test_a_name_is_one_key_of_one_slot(own_redis: RedisServer, store: GuardedStore) -> None:
    await learn_lease(store)
    assert own_redis.command("EXISTS", "geo:{group/app}", "geo:site") == b":2\r\n"
    assert own_redis.command("DBSIZE") == b":2\r\n"


@pytest.mark.parametrize(
    ("operation", "forever"),
    [
        pytest.param(lambda s: s.decide(NAME, TAG), False, id="decide"),
        pytest.param(lambda s: s.begin_write(NAME, "m", Invalidation(), 5000.0), False, id="mark"),
        pytest.param(lambda s: s.secondary_has(NAME, [D1]), False, id="present"),
        pytest.param(lambda s: s.primary_changed(NAME, Invalidation(), pushed=D1), False, id="awaited"),
        pytest.param(lambda s: s.primary_changed(NAME, Invalidation(tombstone=D1)), True, id="tombstone"),
        pytest.param(lambda s: s.primary_dropped(NAME), True, id="dropped"),
    ],
)
async def test_every_key_has_a_life_but_for_tombstones(
    own_redis: RedisServer,
    store: GuardedStore,
    operation: Callable[[GuardedStore], Awaitable[object]],
    forever: bool,
) -> None:
    await operation(store)
    ttl = int(own_redis.command("PTTL", "geo:{group/app}")[1:])
    assert ttl == -1 if forever else ttl > 900_000


async def test_a_read_of_what_is_known_writes_nothing(own_redis: RedisServer, store: GuardedStore) -> None:
    """Else every pull would go through replication and the append-only file."""
    await learn_lease(store)

    def changes() -> bytes:
        return own_redis.command("INFO", "persistence").split(b"rdb_changes_since_last_save:")[1].split(b"\r")[0]

    before = changes()
    for _ in range(10):
        await store.decide(NAME, TAG)
        await store.decide(NAME, D1)
    assert changes() == before


async def test_looking_writes_nothing(own_redis: RedisServer, store: GuardedStore) -> None:
    """Nor does it create the site's generation, where that was lost."""

    async def look() -> None:
        await store.inspect(NAME)
        assert [name async for name in store.names()] in ([], [NAME])
        await store.noted("run")

    def changes() -> bytes:
        return own_redis.command("INFO", "persistence").split(b"rdb_changes_since_last_save:")[1].split(b"\r")[0]

    await look()
    assert own_redis.command("DBSIZE") == b":0\r\n"
    await learn_lease(store)
    own_redis.command("PEXPIRE", "geo:{group/app}", "500000")
    before = changes()
    await look()
    assert changes() == before
    assert 0 < int(own_redis.command("PTTL", "geo:{group/app}")[1:]) <= 500_000
    own_redis.command("DEL", "geo:site")
    assert (await store.inspect(NAME)).leases == {}
    assert own_redis.command("EXISTS", "geo:site") == b":0\r\n"


async def test_only_hashes_of_names_of_this_prefix_are_names(own_redis: RedisServer, store: GuardedStore) -> None:
    for key in ("geo:{group/UPPER}", "geo:{}", "geo:{group/app}x", "geo2:{group/app}", "xgeo:{group/app}", "{group}"):
        own_redis.command("HSET", key, "e", "12345678")
    own_redis.command("SET", "geo:{group/text}", "not ours")
    await learn_lease(store)
    assert [name async for name in store.names()] == [NAME]


async def test_a_prefix_is_taken_literally(own_redis: RedisServer) -> None:
    """The settings allow no such prefix, today."""
    raw = redis_store(own_redis)
    raw._prefix = "g*[a-z]?"
    await raw.decide(NAME, TAG)
    own_redis.command("HSET", "gxxaz:{group/other}", "e", "12345678")
    assert [name async for name in raw.names()] == [NAME]
    await raw.close()


async def test_a_name_that_scan_gives_twice_is_given_once() -> None:
    """Redis does so when it rehashes meanwhile; nobody can make it. Pages, on each of two masters."""
    answers = iter(
        [(b"7", [b"geo:{a}", b"geo:{b}"]), (b"0", [b"geo:{b}"]), (b"5", []), (b"0", [b"geo:{a}", b"geo:{c}"])]
    )

    class Scanned:
        name = "redis://h"

        async def masters(self) -> Sequence[Reach]:
            return (self, self)

        async def round_trip(self, *commands: Command) -> list[object]:
            return [next(answers)]

        def raise_if_unsettled(self) -> None:
            raise AssertionError

        async def close(self) -> None:
            raise AssertionError

    store = RedisStore(Scanned(), prefix="geo", absent_ttl=5.0, name_ttl=1000.0)
    assert [sorted(page) async for page in store.pages()] == [["a", "b"], [], [], ["c"]]


async def test_notes_have_no_life_of_their_own_and_claims_have(own_redis: RedisServer, store: GuardedStore) -> None:
    await store.note("run", "text")
    await store.claim("run", "me", 60.0)
    assert own_redis.command("PTTL", "geo:note:run") == b":-1\r\n"
    assert 0 < int(own_redis.command("PTTL", "geo:claim:run")[1:]) <= 60_000
    await store.note("run", None)
    await store.release("run", "me")
    assert own_redis.command("DBSIZE") == b":0\r\n"


@pytest.mark.parametrize(
    "add",
    [
        pytest.param(lambda s, d: s.primary_changed(NAME, Invalidation(), pushed=d), id="pushes"),
        pytest.param(lambda s, d: s.secondary_has(NAME, [d]), id="reports-of-the-secondary"),
    ],
)
async def test_a_name_that_only_notifications_know_does_not_grow_without_bound(
    own_redis: RedisServer, add: Callable[[RedisStore, Digest], Awaitable[object]]
) -> None:
    raw = redis_store(own_redis, name_ttl=0.02)
    await raw.primary_changed(NAME, Invalidation(tombstone=D1))
    begun = (await raw.decide(NAME, TAG)).snapshot.at
    for number in range(300):
        await add(raw, Digest(f"sha256:{number:064x}"))
    while (await raw.decide(NAME, TAG)).snapshot.at < begun + 3_000_000:
        # The same again and again: what is left over of the others goes.
        await add(raw, D2)
        if int(own_redis.command("HLEN", "geo:{group/app}")[1:]) < 60:
            break
    assert int(own_redis.command("HLEN", "geo:{group/app}")[1:]) < 60
    assert (await raw.decide(NAME, D1)).digest is DigestState.DELETED
    await raw.close()


async def test_a_busy_name_does_not_grow_without_bound(own_redis: RedisServer) -> None:
    raw = redis_store(own_redis, name_ttl=0.02)
    store = GuardedStore(raw, budget=BUDGET, breaker=Breaker(failures=10, pause=1.0))
    # The tombstone keeps the key; what else is in it must not stay for ever.
    await store.primary_changed(NAME, Invalidation(tombstone=D1))
    snapshot = (await store.decide(NAME, TAG)).snapshot
    for number in range(600):
        digest = Digest(f"sha256:{number:064x}")
        await store.learn(NAME, snapshot, Observation(digest, secondary=DigestState.PRESENT))
    begun = snapshot.at
    while (await store.decide(NAME, TAG)).snapshot.at < begun + 3_000_000:
        await store.learn(NAME, snapshot, Observation(D1))
        if int(own_redis.command("HLEN", "geo:{group/app}")[1:]) < 60:
            break
    assert int(own_redis.command("HLEN", "geo:{group/app}")[1:]) < 60
    assert (await store.decide(NAME, D1)).digest is DigestState.DELETED
    await raw.close()
