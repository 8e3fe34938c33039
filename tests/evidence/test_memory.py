"""What only the memory store must do: stay small. The rules are in test_store.py."""

from __future__ import annotations

from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import DigestState, Invalidation, Observation
from extproc.oci.reference import Digest, Name, Tag
from tests.evidence.subject import D1, D2, D3, MEDIA, NAME, OTHER, TAG, Clock


def _size(store: MemoryStore) -> int:
    return len(store._names)


async def test_names_that_expired_are_removed_by_whoever_comes() -> None:
    clock = Clock()
    store = MemoryStore(5.0, clock, name_ttl=100.0)
    for number in range(50):
        await store.decide(Name(f"group/n{number}"), TAG)
    await store.primary_changed(OTHER, Invalidation(tombstone=D1))
    clock.now += 101.0
    await store.decide(NAME, TAG)
    assert _size(store) == 2
    assert (await store.decide(OTHER, D1)).digest is DigestState.DELETED


async def test_a_name_behind_one_that_a_mark_holds_expires_in_time() -> None:
    clock = Clock()
    store = MemoryStore(5.0, clock, name_ttl=100.0)
    await store.begin_write(OTHER, "m", Invalidation(), 1000.0)
    epoch = (await store.decide(NAME, TAG)).snapshot.epoch
    clock.now += 101.0
    assert (await store.decide(NAME, TAG)).snapshot.epoch != epoch
    assert (await store.decide(OTHER, TAG)).marked


async def test_a_busy_name_forgets_what_is_not_renewed() -> None:
    clock = Clock()
    store = MemoryStore(5.0, clock, name_ttl=100.0)
    snapshot = (await store.decide(NAME, TAG)).snapshot
    for number in range(50):
        seen = Observation(
            Digest(f"sha256:{number:064x}"),
            tag=Tag(f"v{number}"),
            media_type=MEDIA,
            secondary=DigestState.PRESENT,
        )
        await store.learn(NAME, snapshot, seen)
    await store.primary_changed(NAME, Invalidation(), pushed=D3)
    snapshot = (await store.decide(NAME, TAG)).snapshot
    clock.now += 60.0
    await store.learn(NAME, snapshot, Observation(D1, secondary=DigestState.PRESENT))
    clock.now += 60.0
    await store.learn(NAME, snapshot, Observation(D2, secondary=DigestState.PRESENT))
    kept = store._names[NAME]
    assert (len(kept.seen), len(kept.leases), len(kept.awaited)) == (2, 0, 0)
    assert (await store.decide(NAME, D1)).digest is DigestState.PRESENT


async def test_expired_marks_are_removed() -> None:
    clock = Clock()
    store = MemoryStore(5.0, clock)
    for number in range(10):
        await store.begin_write(NAME, f"m{number}", Invalidation(), 1.0)
    clock.now += 2.0
    await store.primary_changed(NAME, Invalidation())
    assert store._names[NAME].marks == {}


async def test_names_that_are_due_are_given_no_more() -> None:
    clock = Clock()
    store = MemoryStore(5.0, clock, name_ttl=100.0)
    await store.begin_write(OTHER, "m", Invalidation(), 1000.0)
    await store.decide(NAME, TAG)
    clock.now += 101.0
    assert [name async for name in store.names()] == [OTHER]
