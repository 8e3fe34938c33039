"""Both ways to ask a guarded store, by a task and without one, come to the same whatever the store does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from extproc.evidence.breaker import Breaker
from extproc.evidence.guarded import GuardedStore
from extproc.evidence.guarded_asking import NOT_YET
from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import DigestState, Evidence, Snapshot
from extproc.evidence.store import StoreUnavailable
from extproc.oci.reference import Digest, Name, Tag
from tests.evidence.subject import D1, NAME, TAG, Clock, asked

KNOWN = Evidence(Snapshot(b"e", b"g", 1), False, None, DigestState.PRESENT, 0.0)
AWAY = StoreUnavailable("redis://h: gone")
FAULT = ValueError("a fault of ours")
Then = Callable[[Evidence | Exception], None]
PAUSE, QUARANTINE = 10.0, 3.0
"""Seconds. The quarantine is the shorter one: what follows a pause tells whether it began anew."""


class Hung:
    """A question without an answer."""

    def __init__(self) -> None:
        self.given_up = 0

    def give_up(self) -> None:
        self.given_up += 1


class Both(MemoryStore):
    """Answers either way what `outcome` is; None: not at all."""

    def __init__(self) -> None:
        super().__init__(60.0)
        self.outcome: Evidence | Exception | None = None
        self.references: list[tuple[Name, Tag | Digest]] = []
        self.hung: list[Hung] = []

    async def decide(self, name: Name, reference: Tag | Digest) -> Evidence:
        self.references.append((name, reference))
        if self.outcome is None:
            await asyncio.Event().wait()
        if isinstance(self.outcome, Exception):
            raise self.outcome
        assert self.outcome is not None
        return self.outcome

    @property
    def asking(self) -> Both:
        return self

    def ask(self, name: Name, reference: Tag | Digest, then: Then) -> Hung:
        self.references.append((name, reference))
        question = Hung()
        if self.outcome is None:
            self.hung.append(question)
        else:
            asyncio.get_running_loop().call_soon(then, self.outcome)
        return question


Way = Callable[[GuardedStore, Name, Tag | Digest], Awaitable[Evidence]]


async def by_a_task(store: GuardedStore, name: Name, reference: Tag | Digest) -> Evidence:
    return await store.decide(name, reference)


async def without_one(store: GuardedStore, name: Name, reference: Tag | Digest) -> Evidence:
    return await asked(store.asking, name, reference)


class Rig:
    def __init__(self, way: Way) -> None:
        self.way = way
        self.inner = Both()
        self.clock = Clock()
        self.breaker = Breaker(failures=2, pause=PAUSE)
        self.changes: list[tuple[bool, str]] = []
        self.store = GuardedStore(
            self.inner,
            budget=0.01,
            breaker=self.breaker,
            quarantine=QUARANTINE,
            clock=self.clock,
            on_change=lambda available, detail: self.changes.append((available, detail)),
        )

    async def said(self, outcome: Evidence | Exception | None, reference: Tag | Digest = D1) -> str:
        """What comes of a call, the inner store's answer being that."""
        self.inner.outcome = outcome
        try:
            evidence = await self.way(self.store, NAME, reference)
        except StoreUnavailable as error:
            return str(error)
        except Exception as error:
            return repr(error)
        assert evidence is outcome
        return "known"


@pytest.fixture(params=[by_a_task, without_one])
async def rig(request: pytest.FixtureRequest) -> Rig:
    return Rig(request.param)


SLOW = "no answer within 10 ms"
LEFT_ALONE = "left alone after failures; the last: "
Step = tuple[float, Evidence | Exception | None, str]
"""Seconds that pass, what the store would answer, what is said."""
STORIES: dict[str, list[Step]] = {
    "an answer": [(0, KNOWN, "known"), (0, KNOWN, "known")],
    "an error is no news yet, but makes distrust": [
        (0, AWAY, str(AWAY)),
        (0, KNOWN, NOT_YET),
        (QUARANTINE - 0.5, KNOWN, NOT_YET),
        (0.5, KNOWN, "known"),
    ],
    "a fault of ours does likewise": [(0, FAULT, repr(FAULT)), (0, KNOWN, NOT_YET), (QUARANTINE, KNOWN, "known")],
    "what is slow is believed": [(0, None, SLOW), (0, KNOWN, "known")],
    "slowness opens the breaker": [(0, None, SLOW), (0, None, SLOW), (0, KNOWN, LEFT_ALONE + SLOW)],
    "errors open it": [(0, AWAY, str(AWAY)), (0, AWAY, str(AWAY)), (0, KNOWN, LEFT_ALONE + str(AWAY))],
    "faults open it": [(0, FAULT, repr(FAULT)), (0, FAULT, repr(FAULT)), (0, KNOWN, LEFT_ALONE + str(FAULT))],
    "an answer between two failures": [(0, None, SLOW), (0, KNOWN, "known"), (0, None, SLOW), (0, KNOWN, "known")],
    "until the pause is over": [
        (0, None, SLOW),
        (0, None, SLOW),
        (PAUSE - 0.5, KNOWN, LEFT_ALONE + SLOW),
        (0.5, KNOWN, NOT_YET),
    ],
    "a probe's answer begins the quarantine": [
        (0, None, SLOW),
        (0, None, SLOW),
        (PAUSE, KNOWN, NOT_YET),
        (QUARANTINE - 0.5, KNOWN, NOT_YET),
        (0.5, KNOWN, "known"),
    ],
    "a probe's failure opens it again": [
        (0, None, SLOW),
        (0, None, SLOW),
        (PAUSE, AWAY, str(AWAY)),
        (PAUSE - 0.5, KNOWN, LEFT_ALONE + str(AWAY)),
        (0.5, KNOWN, NOT_YET),
    ],
    "a probe's slowness opens it again": [
        (0, AWAY, str(AWAY)),
        (0, AWAY, str(AWAY)),
        (PAUSE, None, SLOW),
        (PAUSE - 0.5, KNOWN, LEFT_ALONE + SLOW),
        (0.5, KNOWN, NOT_YET),
    ],
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
async def test_both_ways_tell_the_same_story(rig: Rig, story: list[Step]) -> None:
    said = []
    for seconds, outcome, _ in story:
        rig.clock.now += seconds
        said.append(await rig.said(outcome))
    assert said == [says for _, _, says in story]


async def test_one_report_for_each_change(rig: Rig) -> None:
    for seconds, outcome in ((0, AWAY), (0, AWAY), (0, AWAY), (PAUSE, AWAY), (PAUSE, KNOWN), (0, KNOWN)):
        rig.clock.now += seconds
        await rig.said(outcome)
    assert rig.changes == [(False, str(AWAY)), (True, "answers again")]


async def test_what_is_asked_of_the_store_is_what_was_asked(rig: Rig) -> None:
    await rig.said(KNOWN, D1)
    await rig.said(KNOWN, TAG)
    assert rig.inner.references == [(NAME, D1), (NAME, TAG)]


async def test_a_breaker_that_is_open_asks_nothing(rig: Rig) -> None:
    await rig.said(AWAY)
    await rig.said(AWAY)
    rig.inner.references.clear()
    await rig.said(KNOWN)
    assert rig.inner.references == []


async def test_both_ways_share_breaker_and_distrust() -> None:
    rig = Rig(by_a_task)
    await rig.said(AWAY)
    rig.way = without_one
    assert await rig.said(AWAY) == str(AWAY)
    rig.way = by_a_task
    assert await rig.said(KNOWN) == LEFT_ALONE + str(AWAY)
    rig.clock.now += PAUSE
    rig.way = without_one
    assert await rig.said(KNOWN) == NOT_YET
    rig.way = by_a_task
    assert await rig.said(KNOWN) == NOT_YET
    rig.clock.now += QUARANTINE
    assert await rig.said(KNOWN) == "known"


async def test_an_answer_counts_as_the_store_stands_when_it_comes() -> None:
    """What it said was asked of a store in good repute; another call has found it away meanwhile."""
    rig = Rig(without_one)
    told: list[Evidence | Exception] = []
    thens: list[Then] = []
    rig.inner.ask = lambda name, reference, then: thens.append(then) or Hung()  # type: ignore[method-assign, func-returns-value]
    asking = rig.store.asking
    assert asking is not None
    asking.ask(NAME, D1, told.append)
    asking.ask(NAME, D1, told.append)
    thens[0](AWAY)
    thens[1](KNOWN)
    assert [str(outcome) for outcome in told] == [str(AWAY), NOT_YET]


async def test_what_is_slow_is_given_up_once() -> None:
    rig = Rig(without_one)
    await asyncio.gather(rig.said(None), rig.said(None), rig.said(None))
    assert [question.given_up for question in rig.inner.hung] == [1, 1, 1]


async def test_a_late_answer_of_a_probe_closes_nothing() -> None:
    rig = Rig(without_one)
    await rig.said(None)
    await rig.said(None)
    rig.clock.now += PAUSE
    thens: list[Then] = []
    rig.inner.ask = lambda name, reference, then: thens.append(then) or Hung()  # type: ignore[method-assign, func-returns-value]
    assert await rig.said(None) == SLOW
    thens[0](KNOWN)
    assert rig.breaker.state.value == "open"
    assert rig.changes == [(False, SLOW)]


async def test_who_answers_because_it_is_given_up_is_not_heard() -> None:
    """The answer and the end of the budget in one turn: told once."""

    class Spiteful(Hung):
        def __init__(self, then: Then) -> None:
            super().__init__()
            self.then = then

        def give_up(self) -> None:
            self.then(KNOWN)

    rig = Rig(without_one)
    rig.inner.ask = lambda name, reference, then: Spiteful(then)  # type: ignore[method-assign]
    # `asked` minds to be told twice.
    assert await rig.said(None) == SLOW
    assert await rig.said(None) == SLOW
    assert rig.breaker.state.value == "open"


async def test_all_that_are_asked_have_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(without_one)
    loop = asyncio.get_running_loop()
    timers: list[float] = []
    call_at = loop.call_at

    def counting(when: float, *arguments: object) -> asyncio.TimerHandle:
        timers.append(when)
        return call_at(when, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "call_at", counting)
    asking = rig.store.asking
    assert asking is not None
    told: list[Evidence | Exception] = []
    rig.inner.outcome = KNOWN
    for _ in range(100):
        asking.ask(NAME, D1, told.append)
    await asyncio.sleep(0)
    assert (len(told), len(timers)) == (100, 1)


async def test_each_has_the_whole_budget_though_they_share_a_timer() -> None:
    rig = Rig(without_one)
    loop = asyncio.get_running_loop()

    async def seconds_until_slow() -> float:
        begun = loop.time()
        assert await rig.said(None) == SLOW
        return loop.time() - begun

    first = asyncio.create_task(seconds_until_slow())
    begun = loop.time()
    while loop.time() < begun + 0.004:  # noqa: ASYNC110 - a part of the first one's budget
        await asyncio.sleep(0)
    second = asyncio.create_task(seconds_until_slow())
    assert await first >= 0.01
    assert await second >= 0.01
