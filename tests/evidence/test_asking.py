"""Look-ups that no task waits for: within the budget, behind the breaker, told once. That they find what `decide`
finds is tried with all rules of the store (`asked` in conftest.py)."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable

import pytest

from extproc.evidence.breaker import Breaker
from extproc.evidence.guarded import GuardedStore
from extproc.evidence.guarded_asking import NOT_YET
from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import DigestState, Evidence, Snapshot
from extproc.evidence.redis import RedisStore, connect
from extproc.evidence.store import StoreUnavailable
from extproc.oci.reference import Digest, Name, Tag
from extproc.settings import Store
from tests.evidence.subject import D1, NAME, OTHER, TAG, Clock, asked
from tests.support.redis_server import RedisServer

KNOWN = Evidence(Snapshot(b"e", b"g", 1), False, None, DigestState.PRESENT, 0.0)
AWAY = StoreUnavailable("redis://h: gone")
Then = Callable[[Evidence | Exception], None]


class Question:
    def __init__(self, then: Then) -> None:
        self.then = then
        self.given_up = False

    def give_up(self) -> None:
        self.given_up = True


class Inner(MemoryStore):
    """Can be asked, and answers when and what the test tells it to."""

    def __init__(self) -> None:
        super().__init__(60.0)
        self.questions: list[Question] = []
        self.at_once: Evidence | Exception | None = None

    @property
    def asking(self) -> Inner:
        return self

    def ask(self, name: Name, reference: Tag | Digest, then: Then) -> Question:
        self.questions.append(Question(then))
        if self.at_once is not None:
            then(self.at_once)
        return self.questions[-1]


class Rig:
    def __init__(self, *, budget: float = 60.0, quarantine: float = 0.0) -> None:
        self.inner = Inner()
        self.clock = Clock()
        self.breaker = Breaker(failures=2, pause=10.0)
        self.changes: list[tuple[bool, str]] = []
        self.store = GuardedStore(
            self.inner,
            budget=budget,
            breaker=self.breaker,
            quarantine=quarantine,
            clock=self.clock,
            on_change=lambda available, detail: self.changes.append((available, detail)),
        )
        self.asking = self.store.asking
        self.told: list[Evidence | Exception] = []

    @property
    def state(self) -> str:
        return self.breaker.state.value

    def ask(self) -> None:
        assert self.asking is not None
        self.asking.ask(NAME, D1, self.told.append)

    def answer(self, outcome: Evidence | Exception) -> None:
        self.inner.questions[-1].then(outcome)

    def fail(self) -> None:
        self.ask()
        self.answer(AWAY)


@pytest.fixture
async def rig() -> Rig:
    return Rig()


async def test_the_answer_is_told_in_the_turn_in_which_it_comes(rig: Rig) -> None:
    rig.ask()
    assert rig.told == []
    rig.answer(KNOWN)
    assert rig.told == [KNOWN]


@pytest.mark.parametrize("outcome", [KNOWN, AWAY])
async def test_an_answer_may_come_before_ask_returns(rig: Rig, outcome: Evidence | Exception) -> None:
    rig.inner.at_once = outcome
    rig.ask()
    assert rig.told == [outcome]


async def test_failures_open_the_breaker_and_the_store_is_left_alone(rig: Rig) -> None:
    rig.fail()
    assert rig.state == "closed"
    rig.fail()
    assert rig.state == "open"
    assert rig.changes == [(False, str(AWAY))]
    rig.ask()
    assert len(rig.inner.questions) == 2
    assert isinstance(rig.told[-1], StoreUnavailable)
    assert "left alone" in str(rig.told[-1])


async def test_an_answer_between_two_failures_counts(rig: Rig) -> None:
    rig.fail()
    rig.ask()
    rig.answer(KNOWN)
    rig.fail()
    assert rig.state == "closed"


async def test_the_probe_closes_the_breaker(rig: Rig) -> None:
    rig.fail()
    rig.fail()
    rig.clock.now += 10
    rig.ask()
    assert rig.state == "half-open"
    rig.ask()
    assert len(rig.inner.questions) == 3, "one probe at a time"
    rig.answer(KNOWN)
    assert rig.state == "closed"
    assert rig.changes == [(False, str(AWAY)), (True, "answers again")]


async def test_a_probe_that_fails_opens_it_again(rig: Rig) -> None:
    rig.fail()
    rig.fail()
    rig.clock.now += 10
    rig.fail()
    assert rig.state == "open"
    rig.clock.now += 9
    rig.ask()
    assert len(rig.inner.questions) == 3


async def test_a_store_that_is_back_is_not_believed_at_once() -> None:
    rig = Rig(quarantine=5.0)
    rig.fail()
    rig.ask()
    rig.answer(KNOWN)
    assert str(rig.told[-1]) == NOT_YET
    rig.clock.now += 5
    rig.ask()
    rig.answer(KNOWN)
    assert rig.told[-1] == KNOWN


async def test_other_errors_surface(rig: Rig) -> None:
    fault = RuntimeError("ours")
    rig.ask()
    rig.answer(fault)
    assert rig.told == [fault]
    rig.fail()
    assert rig.state == "open", "it counts"


async def test_a_budget_that_is_spent() -> None:
    rig = Rig(budget=0.0)
    rig.ask()
    rig.ask()
    while len(rig.told) < 2:  # noqa: ASYNC110 - the loop's own turns
        await asyncio.sleep(0)
    assert [str(outcome) for outcome in rig.told] == ["no answer within 0 ms"] * 2
    assert all(question.given_up for question in rig.inner.questions)
    assert rig.state == "open"
    for question in rig.inner.questions:
        question.then(KNOWN)
    assert len(rig.told) == 2, "told once"
    assert rig.state == "open"


async def test_what_comes_after_the_deadline_counts_no_more() -> None:
    rig = Rig(budget=0.0)
    rig.ask()
    while not rig.told:  # noqa: ASYNC110 - the loop's own turns
        await asyncio.sleep(0)
    rig.answer(AWAY)
    assert rig.state == "closed", "one question, one failure"


async def test_an_answer_before_the_deadline_is_the_only_one() -> None:
    rig = Rig(budget=0.0)
    rig.ask()
    rig.answer(KNOWN)
    for _ in range(5):
        await asyncio.sleep(0)
    assert rig.told == [KNOWN]
    assert not rig.inner.questions[0].given_up


async def test_nothing_of_a_question_is_kept_until_its_deadline(rig: Rig) -> None:
    class Asker:
        def hear(self, outcome: Evidence | Exception) -> None:
            pass

    asker = Asker()
    seen = weakref.ref(asker)
    gc.disable()
    try:
        assert rig.asking is not None
        rig.asking.ask(NAME, D1, asker.hear)
        rig.answer(KNOWN)
        rig.inner.questions.clear()
        del asker
        assert seen() is None
    finally:
        gc.enable()


async def test_what_cannot_be_asked_so() -> None:
    store = GuardedStore(MemoryStore(60.0), budget=1.0, breaker=Breaker(failures=1, pause=1.0))
    assert store.asking is None


# In Redis


@pytest.mark.parametrize(
    "url", ["redis+sentinel://127.0.0.1:1/master", "redis+cluster://127.0.0.1:1"], ids=["sentinel", "cluster"]
)
async def test_only_one_connection_is_asked_so(url: str) -> None:
    store = connect(Store(url=url), absent_ttl=1.0)
    assert store.asking is None
    await store.close()


@pytest.mark.parametrize("reference", [D1, TAG])
async def test_a_script_that_is_not_known(own_redis: RedisServer, raw: RedisStore, reference: Digest | Tag) -> None:
    first = await asked(raw.asking, NAME, reference)
    await raw._round_trip(("SCRIPT", "FLUSH"))
    again = await asked(raw.asking, NAME, reference)
    assert again.snapshot.epoch == first.snapshot.epoch
    assert again.digest is DigestState.UNKNOWN


async def test_a_site_without_a_generation(raw: RedisStore) -> None:
    await raw.decide(NAME, D1)
    await raw._round_trip(("DEL", raw._site))
    assert (await asked(raw.asking, NAME, D1)).snapshot.generation


async def test_a_server_that_is_gone(own_redis: RedisServer, raw: RedisStore) -> None:
    await asked(raw.asking, NAME, D1)
    own_redis.kill()
    with pytest.raises(StoreUnavailable, match=r"Broken|closed|reset"):
        await asked(raw.asking, NAME, D1)
    own_redis.start()
    assert (await asked(raw.asking, NAME, D1)).digest is DigestState.UNKNOWN


async def test_a_master_that_was_demoted(own_redis: RedisServer, raw: RedisStore) -> None:
    await raw.decide(NAME, D1)
    await raw._round_trip(("REPLICAOF", "127.0.0.1", "1"))
    with pytest.raises(StoreUnavailable, match="ReadOnlyError"):
        await asked(raw.asking, NAME, D1)
    await raw._round_trip(("REPLICAOF", "NO", "ONE"))
    assert (await asked(raw.asking, NAME, D1)).digest is DigestState.UNKNOWN


async def test_who_gives_up_before_it_is_sent_asks_nothing(raw: RedisStore) -> None:
    told: list[Evidence | Exception] = []
    asking = raw.asking
    assert asking is not None
    await raw.decide(OTHER, D1)
    asking.ask(NAME, D1, told.append).give_up()
    await raw.ping()
    assert told == []
    assert (await raw._round_trip(("EXISTS", raw._key(NAME)))) == [0]


async def test_who_gives_up_on_the_long_way_ends_it(raw: RedisStore) -> None:
    told: list[Evidence | Exception] = []
    asking = raw.asking
    assert asking is not None
    await raw._round_trip(("SCRIPT", "FLUSH"))
    before = asyncio.all_tasks()
    question = asking.ask(NAME, D1, told.append)
    while not (long_way := asyncio.all_tasks() - before):  # noqa: ASYNC110 - the loop's own turns
        await asyncio.sleep(0)
    question.give_up()
    await asyncio.gather(*long_way, return_exceptions=True)
    assert all(task.cancelled() for task in long_way)
    assert told == []
