"""One look-up in a real Redis that no task waits for: what is seldom, and what is let go of."""

from __future__ import annotations

import asyncio
import gc
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from extproc.evidence.breaker import Breaker
from extproc.evidence.guarded import GuardedStore
from extproc.evidence.model import DigestState, Evidence, Invalidation, Observation
from extproc.evidence.reach import NoScript
from extproc.evidence.redis import RedisStore
from extproc.evidence.redis_question import RedisAsking, RedisQuestion
from extproc.evidence.store import Askable, Asking, StoreRefused, StoreUnavailable
from extproc.oci.reference import Digest, Name, Tag
from tests.evidence.subject import D1, D2, D3, MEDIA, NAME, OTHER, TAG, asked
from tests.support.redis_kinds import redis_store
from tests.support.redis_server import RedisServer


@pytest.fixture
async def shared(redis_server: RedisServer, prefix: str) -> AsyncIterator[RedisStore]:
    store = redis_store(redis_server, prefix=prefix)
    yield store
    await store.close()


def asking_of(store: RedisStore) -> RedisAsking:
    asking = store.asking
    assert isinstance(asking, RedisAsking)
    return asking


class Told:
    """What is told, and when something is."""

    def __init__(self) -> None:
        self.outcomes: list[Evidence | Exception] = []
        self._came = asyncio.Event()

    def __call__(self, outcome: Evidence | Exception) -> None:
        self.outcomes.append(outcome)
        self._came.set()

    async def first(self) -> Evidence | Exception:
        async with asyncio.timeout(20):
            await self._came.wait()
        return self.outcomes[0]


# The same evidence


async def _learned(store: RedisStore, *seen: Observation) -> None:
    assert await store.learn_all(NAME, (await store.decide(NAME, TAG)).snapshot, seen)


async def _nothing(store: RedisStore) -> None:
    pass


async def _present(store: RedisStore) -> None:
    await store.secondary_has(NAME, [D1, D3])


async def _absent(store: RedisStore) -> None:
    await _learned(store, *(Observation(digest, secondary=DigestState.ABSENT) for digest in (D1, D3)))


async def _deleted(store: RedisStore) -> None:
    for digest in (D1, D3):
        await store.primary_changed(NAME, Invalidation(tombstone=digest))


async def _leased(store: RedisStore) -> None:
    await _learned(store, Observation(D1, tag=TAG, media_type=MEDIA, primary_has=True))


async def _leased_of_what_is_present(store: RedisStore) -> None:
    await store.secondary_has(NAME, [D3])
    await _learned(store, Observation(D3, tag=TAG, media_type=MEDIA, primary_has=True))


async def _lease_of_the_deleted(store: RedisStore) -> None:
    await _leased(store)
    await store.primary_changed(NAME, Invalidation(tombstone=D1))


async def _half_deleted(store: RedisStore) -> None:
    await _lease_of_the_deleted(store)
    await _learned(store, Observation(D1, primary_has=True))


async def _void_on_the_site(store: RedisStore) -> None:
    await _leased(store)
    await store.void_leases()


async def _void_of_the_name(store: RedisStore) -> None:
    await _leased(store)
    await store.primary_changed(NAME, Invalidation(all_leases=True))


async def _dropped(store: RedisStore) -> None:
    await _leased_of_what_is_present(store)
    await store.primary_dropped(NAME)


async def _marked(store: RedisStore) -> None:
    await _leased_of_what_is_present(store)
    await store.begin_write(NAME, "m", Invalidation(), 60.0)


async def _written(store: RedisStore) -> None:
    await _marked(store)
    await store.end_write(NAME, "m", Invalidation(tag=TAG))


PASTS: dict[str, Callable[[RedisStore], Awaitable[None]]] = {
    "nothing": _nothing,
    "present": _present,
    "absent": _absent,
    "deleted": _deleted,
    "leased": _leased,
    "leased of what is present": _leased_of_what_is_present,
    "a lease of the deleted": _lease_of_the_deleted,
    "deleted as a blob alone": _half_deleted,
    "a lease void on the site": _void_on_the_site,
    "a lease void of the name": _void_of_the_name,
    "dropped": _dropped,
    "marked": _marked,
    "written": _written,
}


def _of_no_time(evidence: Evidence) -> Evidence:
    """Redis' clock goes on between two questions."""
    confirmed = None if evidence.confirmed is None else 0.0
    lease = None if evidence.lease is None else replace(evidence.lease, age=0.0)
    return replace(evidence, snapshot=replace(evidence.snapshot, at=0), confirmed=confirmed, lease=lease)


def _times(evidence: Evidence) -> tuple[float, ...]:
    """All that grow from one question to the next."""
    lease = evidence.lease
    return evidence.snapshot.at, evidence.confirmed or 0.0, 0.0 if lease is None else lease.age


@pytest.mark.parametrize("past", PASTS.values(), ids=PASTS.keys())
async def test_both_ways_find_the_same(shared: RedisStore, past: Callable[[RedisStore], Awaitable[None]]) -> None:
    await past(shared)
    for reference in (D1, D2, D3, TAG, Tag("other")):
        before = await shared.decide(NAME, reference)
        evidence = await asked(shared.asking, NAME, reference)
        after = await shared.decide(NAME, reference)
        assert _of_no_time(evidence) == _of_no_time(before)
        assert _times(before) <= _times(evidence) <= _times(after)


async def test_whoever_asks_first_makes_the_epoch_that_the_other_finds(shared: RedisStore) -> None:
    asking = asking_of(shared)
    first = await asked(asking, NAME, TAG)
    assert (await shared.decide(NAME, D1)).snapshot.epoch == first.snapshot.epoch
    assert await shared.learn(NAME, first.snapshot, Observation(D1, tag=TAG, media_type=MEDIA, primary_has=True))
    lease = (await asked(asking, NAME, TAG)).lease
    assert lease is not None
    assert lease.digest == D1
    other = await shared.decide(OTHER, TAG)
    assert (await asked(asking, OTHER, TAG)).snapshot.epoch == other.snapshot.epoch != first.snapshot.epoch


async def test_many_in_one_turn_get_each_its_own(shared: RedisStore) -> None:
    digests = [Digest(f"sha256:{number:064x}") for number in range(100)]
    await shared.secondary_has(NAME, digests[::2])
    found = await asyncio.gather(*(asked(shared.asking, NAME, digest) for digest in digests))
    assert [each.digest for each in found] == [DigestState.PRESENT, DigestState.UNKNOWN] * 50


def test_it_is_what_the_protocols_say() -> None:
    store = redis_store(Nowhere())
    assert isinstance(store, Askable)
    assert isinstance(store.asking, Asking)
    assert isinstance(GuardedStore(store, budget=1.0, breaker=Breaker(failures=1, pause=1.0)).asking, Asking)


class Nowhere:
    url = "redis://127.0.0.1:1"


# No answer


async def test_a_demoted_master_is_left_for_where_its_address_leads_now(
    own_redis: RedisServer, raw: RedisStore
) -> None:
    def accepted() -> int:
        return int(own_redis.command("INFO", "stats").split(b"total_connections_received:")[1].split(b"\r")[0])

    await asked(raw.asking, NAME, D1)
    own_redis.ok("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(StoreUnavailable, match="ReadOnlyError"):
        await asked(raw.asking, NAME, D1)
    own_redis.ok("REPLICAOF", "NO", "ONE")
    before = accepted()
    await asked(raw.asking, NAME, D1)
    # One is the question itself.
    assert accepted() == before + 2


async def test_what_the_store_refuses_names_it_and_is_of_the_right_kind(
    own_redis: RedisServer, raw: RedisStore
) -> None:
    own_redis.kill()
    own_redis.options = ("--requirepass", "s3cret")
    own_redis.start()
    own_redis.password = "s3cret"
    with pytest.raises(StoreRefused, match="AuthenticationError") as refusal:
        await asked(raw.asking, NAME, D1)
    assert own_redis.url in str(refusal.value)
    assert "s3cret" not in str(refusal.value)


async def test_nobody_there_is_told_by_its_name(own_redis: RedisServer, raw: RedisStore) -> None:
    own_redis.kill()
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=own_redis.url):
            await asked(raw.asking, NAME, D1)


async def test_a_key_of_another_kind_harms_its_name_only(own_redis: RedisServer, raw: RedisStore) -> None:
    own_redis.ok("SET", "geo:{group/app}", "not ours")
    told, other = Told(), Told()
    asking_of(raw).ask(NAME, TAG, told)
    asking_of(raw).ask(OTHER, TAG, other)
    outcome = await told.first()
    assert isinstance(outcome, StoreUnavailable)
    assert "WRONGTYPE" in str(outcome)
    assert isinstance(await other.first(), Evidence)


async def test_a_closed_store_tells_before_ask_returns(raw: RedisStore) -> None:
    await raw.close()
    told = Told()
    asking_of(raw).ask(NAME, TAG, told)
    (outcome,) = told.outcomes
    assert isinstance(outcome, StoreUnavailable)
    assert "no longer used" in str(outcome)


async def test_a_fault_of_ours_is_its_own_questions_alone(raw: RedisStore) -> None:
    """It is told in the turn of whoever reads the answers: all others would wait for nothing."""
    await raw.decide(NAME, TAG)
    # No marks are kept in such a shape.
    await raw._round_trip(("HSET", raw._key(NAME), "m", "x"))
    told, other = Told(), Told()
    asking_of(raw).ask(NAME, D1, told)
    asking_of(raw).ask(OTHER, D1, other)
    assert isinstance(await told.first(), struct.error)
    assert isinstance(await other.first(), Evidence)
    assert len(told.outcomes) == 1


# The long way


class Long:
    """Answers when the test lets it: `RedisAsking.store`."""

    def __init__(self, outcome: Evidence | BaseException) -> None:
        self.outcome = outcome
        self.go_on = asyncio.Event()
        self.entered = asyncio.Event()
        self.asked: list[tuple[Name, Tag | Digest]] = []
        self.cancelled = False

    async def decide(self, name: Name, reference: Tag | Digest) -> Evidence:
        self.asked.append((name, reference))
        self.entered.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


async def _long(raw: RedisStore, outcome: Evidence | BaseException) -> tuple[Long, Told, RedisQuestion]:
    """It has begun."""
    await raw.decide(NAME, TAG)
    await raw._round_trip(("SCRIPT", "FLUSH"))
    asking, told = asking_of(raw), Told()
    asking.store = long = Long(outcome)
    question = asking.ask(NAME, D1, told)
    async with asyncio.timeout(20):
        await long.entered.wait()
    return long, told, question


async def test_the_long_way_asks_the_same_and_its_evidence_is_told(raw: RedisStore) -> None:
    evidence = await raw.decide(NAME, D1)
    long, told, _ = await _long(raw, evidence)
    assert told.outcomes == []
    long.go_on.set()
    assert await told.first() is evidence
    assert long.asked == [(NAME, D1)]


@pytest.mark.parametrize("fault", [StoreUnavailable("gone"), ValueError("a fault of ours")])
async def test_what_the_long_way_raises_is_told_as_it_is(raw: RedisStore, fault: Exception) -> None:
    long, told, _ = await _long(raw, fault)
    long.go_on.set()
    assert await told.first() is fault


async def test_who_gives_up_on_the_long_way_hears_nothing_and_it_ends(raw: RedisStore) -> None:
    long, told, question = await _long(raw, ValueError("unheard"))
    question.give_up()
    for _ in range(3):
        await asyncio.sleep(0)
    assert long.cancelled
    assert told.outcomes == []


async def test_who_gives_up_when_the_long_way_has_just_ended_hears_nothing(raw: RedisStore) -> None:
    long, told, question = await _long(raw, await raw.decide(NAME, D1))
    long.go_on.set()
    while not (question._task is not None and question._task.done()):  # noqa: ASYNC110 - the loop's own turns
        await asyncio.sleep(0)
    question.give_up()
    for _ in range(3):
        await asyncio.sleep(0)
    assert told.outcomes == []


async def test_who_gave_up_takes_no_long_way(raw: RedisStore) -> None:
    """Its answer is under way by then, and says that the script is not known."""
    await raw._round_trip(("SCRIPT", "FLUSH"))
    asking, told = asking_of(raw), Told()
    asking.store = long = Long(ValueError("unheard"))
    question = asking.ask(NAME, D1, told)
    await asyncio.sleep(0)
    question.give_up()
    await raw.ping()
    # The connection tells nobody who gave up; a question would not mind it either.
    question.told([[None]])
    await asyncio.sleep(0)
    assert long.asked == []
    assert told.outcomes == []


async def test_a_server_of_a_cluster_that_has_all_of_it(tmp_path: Path) -> None:
    """The name and the site's generation are in two slots, so the script cannot be given both."""
    with RedisServer(tmp_path / "redis", "--cluster-enabled", "yes") as server:
        store = redis_store(server)
        await store._round_trip(("CLUSTER", "ADDSLOTSRANGE", 0, 16383))
        while b"cluster_state:ok" not in (await store._round_trip(("CLUSTER", "INFO")))[0]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        asking = asking_of(store)
        first = await asked(asking, NAME, D1)
        assert asking.apart
        await store.secondary_has(NAME, [D1])
        assert (await asked(asking, NAME, D1)).digest is DigestState.PRESENT
        assert (await asked(asking, NAME, TAG)).snapshot.generation == first.snapshot.generation
        await store.close()


async def test_giving_up_after_the_answer_changes_nothing(raw: RedisStore) -> None:
    told = Told()
    question = asking_of(raw).ask(NAME, D1, told)
    outcome = await told.first()
    question.give_up()
    question.give_up()
    await raw.ping()
    assert told.outcomes == [outcome]


# What is let go of


_OF_A_QUESTION = {
    "_Guarded",
    "Told",
    *(each.__name__ for each in (RedisQuestion, Evidence, StoreUnavailable, NoScript)),
}


@contextmanager
def rings() -> Iterator[list[object]]:
    """What of a question only the collector could find is in the list afterwards. (A connection that is lost may be
    left to it.)"""
    found: list[object] = []
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        found += [each for each in gc.garbage if type(each).__name__ in _OF_A_QUESTION]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


async def _answered(own_redis: RedisServer, raw: RedisStore) -> None:
    pass


async def _flushed(own_redis: RedisServer, raw: RedisStore) -> None:
    own_redis.ok("SCRIPT", "FLUSH")


async def _demoted(own_redis: RedisServer, raw: RedisStore) -> None:
    own_redis.ok("REPLICAOF", "127.0.0.1", "1")


async def _wrong(own_redis: RedisServer, raw: RedisStore) -> None:
    own_redis.command("DEL", "geo:{group/app}")
    own_redis.ok("SET", "geo:{group/app}", "not ours")


async def _gone(own_redis: RedisServer, raw: RedisStore) -> None:
    own_redis.kill()


async def _closed(own_redis: RedisServer, raw: RedisStore) -> None:
    await raw.close()


@pytest.mark.parametrize("trouble", [_answered, _flushed, _demoted, _wrong, _gone, _closed])
async def test_a_question_makes_no_rings(
    own_redis: RedisServer,
    raw: RedisStore,
    trouble: Callable[[RedisServer, RedisStore], Awaitable[None]],
) -> None:
    """The collector looks seldom: a store in trouble must not fill the memory."""
    store = GuardedStore(raw, budget=20.0, breaker=Breaker(failures=1000, pause=1.0))
    await raw.decide(NAME, D1)
    await trouble(own_redis, raw)
    with rings() as found:
        for _ in range(3):
            told = Told()
            asking = store.asking
            assert asking is not None
            asking.ask(NAME, D1, told)
            await told.first()
        await asyncio.sleep(0)
        # Until their deadlines the budget has them.
        store._budget._limits.clear()
        del told
    assert " ".join(type(each).__name__ for each in found) == ""


async def test_nor_does_one_that_is_slow(own_redis: RedisServer, raw: RedisStore) -> None:
    store = GuardedStore(raw, budget=0.02, breaker=Breaker(failures=1000, pause=1.0))
    await raw.decide(NAME, D1)
    own_redis.pause()
    asking = store.asking
    assert asking is not None
    with rings() as found:
        for _ in range(3):
            told = Told()
            asking.ask(NAME, D1, told)
            assert "no answer within 20 ms" in str(await told.first())
        own_redis.resume()
        await raw.ping()
        del told
    assert " ".join(type(each).__name__ for each in found) == ""
