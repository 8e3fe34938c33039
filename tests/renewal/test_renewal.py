"""Renewal on a real store in memory and with the real router; the primary is a table of tags."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import structlog

from extproc.evidence.backlog import Backlog
from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import Evidence, Invalidation, Lease, Observation
from extproc.evidence.store import StoreUnavailable
from extproc.oci.reference import Digest, Name, Tag
from extproc.registry.error import RegistryError
from extproc.renewal.hot_tags import HotTags
from extproc.renewal.renewal import Outcome, Renewal
from extproc.routing.decision import Forward
from extproc.routing.policy import Policy
from extproc.routing.router import Router
from tests.support.clock import Clock
from tests.support.heads import INDEX, request, response

NAME = Name("g/app")
TAG = Tag("latest")
KEY = (NAME, TAG)
D1 = Digest("sha256:" + "1" * 64)
D2 = Digest("sha256:" + "2" * 64)
STALE_AFTER = 60.0


@dataclass(frozen=True)
class Resolved:
    digest: Digest
    media_type: str = INDEX


async def nothing() -> None:
    """Nothing happens meanwhile."""


@dataclass
class Primary:
    """Answers from `tags`; what happens while it is asked is `meanwhile`."""

    tags: dict[tuple[Name, Tag], Resolved] = field(default_factory=dict)
    error: Exception | None = None
    asked: list[tuple[Name, Tag]] = field(default_factory=list)
    meanwhile: Callable[[], object] = nothing

    async def resolve(self, name: Name, reference: Tag) -> Resolved | None:
        self.asked.append((name, reference))
        answer = self.tags.get((name, reference))
        await self.meanwhile()  # type: ignore[misc]
        if self.error is not None:
            raise self.error
        return answer


@dataclass
class Site:
    """One worker that renews, its store and its clock."""

    clock: Clock = field(default_factory=Clock)
    primary: Primary = field(default_factory=lambda: Primary({KEY: Resolved(D1)}))
    limit: int = 10
    blocked: set[Name] = field(default_factory=set)
    outcomes: Counter[Outcome] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.store = MemoryStore(absent_ttl=5, clock=self.clock)
        self.hot = HotTags(self.limit, idle=600)
        self.renewal = self.worker(self.hot)

    def worker(self, hot: HotTags, *, fraction: float = 0.65) -> Renewal:
        return Renewal(
            store=self.store,
            primary=self.primary,
            max_staleness=STALE_AFTER,
            hot=hot,
            rate=1e6,
            blocks=self.blocked.__contains__,
            count=lambda outcome: self.outcomes.update([outcome]),
            clock=self.clock,
            draw=lambda low, high: min(max(fraction, low), high),
        )

    async def lease(self, tag: Tag = TAG) -> Lease | None:
        return (await self.store.decide(NAME, tag)).lease

    async def read(self, tag: Tag = TAG) -> Lease | None:
        """A reader comes; who finds no lease learns one, as the router does."""
        evidence = await self.store.decide(NAME, tag)
        self.renewal.tag_read(NAME, tag, evidence.lease)
        return evidence.lease

    async def learn(self, digest: Digest = D1, tag: Tag = TAG) -> None:
        snapshot = (await self.store.decide(NAME, tag)).snapshot
        assert await self.store.learn(NAME, snapshot, Observation(digest, tag=tag, media_type=INDEX))

    async def look_at_due(self) -> list[Outcome]:
        """What `run` does, now."""
        found = []
        while (key := self.hot.take(self.clock())) is not None:
            found.append(await self.renewal.look(*key))
        return found


async def warmed(**parts: object) -> Site:
    """A tag with a lease of age 0, and a reader who saw it."""
    site = Site(**parts)  # type: ignore[arg-type]
    await site.learn()
    await site.read()
    return site


# When


@pytest.mark.parametrize(("fraction", "age"), [(0.6, 36), (0.65, 39), (0.7, 42), (0.0, 36), (1.0, 42)])
async def test_a_lease_is_renewed_at_the_drawn_age(fraction: float, age: float) -> None:
    site = Site()
    site.renewal = site.worker(site.hot, fraction=fraction)
    await site.learn()
    site.clock.advance(10)
    await site.read()
    site.clock.advance(age - 10 - 0.1)
    assert await site.look_at_due() == []
    site.clock.advance(0.2)
    assert await site.look_at_due() == [Outcome.RENEWED]
    lease = await site.lease()
    assert lease is not None
    assert lease.age == 0


async def test_a_tag_that_is_read_never_grows_stale() -> None:
    site = await warmed()
    for _ in range(600):
        site.clock.advance(1)
        await site.look_at_due()
        lease = await site.read()
        assert lease is not None
        assert lease.age <= 0.7 * STALE_AFTER + 1
    assert len(site.primary.asked) == 600 // 40


async def test_a_tag_that_nobody_reads_any_more_is_let_go() -> None:
    site = await warmed()
    for _ in range(1000):
        site.clock.advance(1)
        await site.look_at_due()
    assert len(site.hot) == 0
    assert len(site.primary.asked) == 600 // 39
    lease = await site.lease()
    assert lease is not None
    assert lease.age > STALE_AFTER


async def test_a_read_without_a_lease_gets_its_chance_to_teach_first() -> None:
    site = Site()
    await site.read()
    assert await site.look_at_due() == []
    site.clock.advance(1)
    assert await site.look_at_due() == [Outcome.RENEWED]
    # Where the reader has taught, nothing is asked.
    other = Tag("other")
    await site.read(other)
    await site.learn(tag=other)
    site.clock.advance(1)
    assert await site.look_at_due() == [Outcome.CURRENT]
    assert site.primary.asked == [KEY]


async def test_a_stale_lease_that_was_read_is_renewed_soon() -> None:
    site = Site()
    await site.learn()
    site.clock.advance(STALE_AFTER + 1)
    await site.read()
    site.clock.advance(1)
    assert await site.look_at_due() == [Outcome.RENEWED]


async def test_of_several_workers_one_asks() -> None:
    site = await warmed()
    hot = HotTags(10, idle=600)
    other = site.worker(hot, fraction=0.7)
    other.tag_read(NAME, TAG, await site.lease())
    for _ in range(30):
        site.clock.advance(1)
        await site.read()
        other.tag_read(NAME, TAG, await site.lease())
    site.clock.advance(9)
    assert await site.look_at_due() == [Outcome.RENEWED]
    site.clock.advance(3)
    assert hot.take(site.clock()) == KEY
    assert await other.look(NAME, TAG) is Outcome.CURRENT
    assert hot.next_due() == pytest.approx(site.clock() + 42 - 3)
    assert len(site.primary.asked) == 1


async def test_workers_draw_apart() -> None:
    site = Site()
    dues = set()
    for number in range(20):
        hot = HotTags(10, idle=600)
        renewal = Renewal(
            store=site.store,
            primary=site.primary,
            max_staleness=STALE_AFTER,
            hot=hot,
            rate=1,
            blocks=site.blocked.__contains__,
            clock=site.clock,
            draw=random.Random(number).uniform,
        )
        renewal.tag_read(NAME, TAG, Lease(D1, INDEX, 0.0))
        dues.add(hot.next_due() - site.clock())
    assert len(dues) == 20
    assert all(36 <= due <= 42 for due in dues)


# What is learned


async def test_the_lease_is_dated_from_before_the_question() -> None:
    site = await warmed()
    site.clock.advance(40)

    async def slow() -> None:
        site.clock.advance(7)

    site.primary.meanwhile = slow
    assert await site.look_at_due() == [Outcome.RENEWED]
    lease = await site.lease()
    assert lease is not None
    assert lease.age == 7


async def test_a_moved_tag_is_followed() -> None:
    site = await warmed()
    site.primary.tags[KEY] = Resolved(D2, INDEX + "; charset=utf-8")
    site.clock.advance(40)
    assert await site.look_at_due() == [Outcome.RENEWED]
    assert await site.lease() == Lease(D2, INDEX, 0.0)


async def test_a_write_during_the_question_wins() -> None:
    site = await warmed()
    site.clock.advance(40)

    async def write() -> None:
        await site.store.begin_write(NAME, "m", Invalidation(tag=TAG), 125)
        await site.store.end_write(NAME, "m", Invalidation(tag=TAG))

    site.primary.meanwhile = write
    assert await site.look_at_due() == [Outcome.SUPERSEDED]
    assert await site.lease() is None
    site.primary.meanwhile = nothing
    site.primary.tags[KEY] = Resolved(D2)
    site.clock.advance(1)
    assert await site.look_at_due() == [Outcome.RENEWED]
    lease = await site.lease()
    assert lease is not None
    assert lease.digest == D2


async def test_nothing_is_asked_or_learned_under_a_mark() -> None:
    site = await warmed()
    await site.store.begin_write(NAME, "m", Invalidation(tag=TAG), 50)
    site.renewal.tag_written(NAME, TAG)
    outcomes = []
    for _ in range(49):
        outcomes += await site.look_at_due()
        site.clock.advance(1)
    assert set(outcomes) == {Outcome.SUPERSEDED}
    assert len(outcomes) < 8
    assert site.primary.asked == []
    assert await site.lease() is None
    site.clock.advance(20)
    assert await site.look_at_due() == [Outcome.RENEWED]


async def test_another_tags_write_does_not_make_a_young_lease_due() -> None:
    site = await warmed()
    await site.store.begin_write(NAME, "m", Invalidation(tag=Tag("other")), 50)
    site.renewal.tag_written(NAME, TAG)
    assert await site.look_at_due() == [Outcome.CURRENT]


@pytest.mark.parametrize("when", ["before", "during"])
async def test_nothing_is_learned_while_an_invalidation_waits_for_the_store(when: str) -> None:
    site = await warmed()
    site.clock.advance(40)

    async def block() -> None:
        site.blocked.add(NAME)

    if when == "before":
        await block()
    else:
        site.primary.meanwhile = block
    assert await site.look_at_due() == [Outcome.SUPERSEDED]
    assert len(site.primary.asked) == (when == "during")
    lease = await site.lease()
    assert lease is not None
    assert lease.age == 40
    site.blocked.clear()
    site.primary.meanwhile = nothing
    site.clock.advance(1)
    assert await site.look_at_due() == [Outcome.RENEWED]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(None, id="404"),
        pytest.param(Resolved(D1, "application/vnd.docker.distribution.manifest.v1+prettyjws"), id="schema 1"),
        pytest.param(Resolved(D1, ""), id="no type"),
    ],
)
async def test_what_no_lease_may_carry_is_forgotten(answer: Resolved | None) -> None:
    site = await warmed()
    site.primary.tags = {KEY: answer} if answer else {}
    site.clock.advance(40)
    assert await site.look_at_due() == [Outcome.GONE]
    assert len(site.hot) == 0
    lease = await site.lease()
    assert lease is not None
    assert lease.age == 40


async def test_a_tombstone_is_lifted_by_the_primarys_answer_as_by_any_other() -> None:
    site = await warmed()
    await site.store.primary_changed(NAME, Invalidation(all_leases=True, tombstone=D1))
    site.clock.advance(40)
    assert await site.look_at_due() == [Outcome.RENEWED]
    assert (await site.store.inspect(NAME)).digests == {}


# What was dropped


async def test_a_push_through_here_is_renewed_at_once() -> None:
    site = await warmed()
    await site.store.begin_write(NAME, "m", Invalidation(tag=TAG), 125)
    site.primary.tags[KEY] = Resolved(D2)
    await site.store.end_write(NAME, "m", Invalidation(tag=TAG))
    site.renewal.tag_written(NAME, TAG)
    assert await site.look_at_due() == [Outcome.RENEWED]
    lease = await site.lease()
    assert lease is not None
    assert lease.digest == D2


async def test_a_push_of_a_tag_that_nobody_reads_is_not() -> None:
    site = Site()
    site.renewal.tag_written(NAME, TAG)
    site.clock.advance(100)
    assert await site.look_at_due() == []


async def test_a_dropped_lease_is_renewed_at_once_and_once_where_nobody_reads() -> None:
    site = Site()
    await site.learn()
    changed = await site.store.primary_changed(NAME, Invalidation(tag=TAG))
    assert changed.lease_dropped
    site.renewal.on_lease_dropped(NAME, TAG)
    assert await site.look_at_due() == [Outcome.RENEWED]
    assert len(site.hot) == 0


async def test_a_dropped_lease_is_found_at_the_next_look() -> None:
    site = await warmed()
    await site.store.primary_changed(NAME, Invalidation(all_leases=True))
    site.clock.advance(40)
    assert await site.look_at_due() == [Outcome.RENEWED]


# Faults


async def test_a_store_that_is_away_is_asked_again() -> None:
    class Away(MemoryStore):
        away = False

        async def decide(self, name: Name, reference: Tag | Digest) -> Evidence:
            if self.away:
                raise StoreUnavailable("on purpose")
            return await super().decide(name, reference)

    site = Site()
    site.store = Away(absent_ttl=5, clock=site.clock)
    site.renewal = site.worker(site.hot)
    await site.learn()
    await site.read()
    site.store.away = True
    site.clock.advance(40)
    assert await site.look_at_due() == [Outcome.STORE_AWAY]
    assert site.primary.asked == []
    site.store.away = False
    site.clock.advance(1)
    assert await site.look_at_due() == [Outcome.RENEWED]


async def test_a_primary_that_fails_is_told_once_and_left_alone_ever_longer() -> None:
    site = Site(limit=100)
    site.primary.error = RegistryError("the primary answered 503 for g/app")
    with structlog.testing.capture_logs() as logs:
        for number in range(50):
            site.renewal.tag_read(NAME, Tag(f"t{number}"), None)
        pauses: list[float] = []
        for _ in range(100_000):
            if len(pauses) == 12:
                break
            site.clock.advance(0.5)
            before = site.renewal._patience.left_alone_until
            if site.clock() < before or (key := site.hot.take(site.clock())) is None:
                continue
            assert await site.renewal.look(*key) is Outcome.FAILED
            if site.renewal._patience.left_alone_until != before:
                pauses.append(site.renewal._patience.left_alone_until - site.clock())
        assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60]
        assert [line["log_level"] for line in logs] == ["error"]
        assert logs[0]["event"].startswith("leases are not renewed")
        assert logs[0]["detail"] == "the primary answered 503 for g/app"
        site.primary.error = None
        site.clock.advance(100)
        site.hot.want((NAME, Tag("t1")), site.clock(), unread=True)
        await site.look_at_due()
        assert [line["event"] for line in logs[1:]] == ["leases are renewed again"]
    assert site.renewal._patience.left_alone_until < site.clock()


async def test_one_refused_name_holds_up_no_other() -> None:
    site = Site()
    secret = Name("g/secret")

    async def refuse() -> None:
        site.primary.error = RegistryError("refused", 403) if site.primary.asked[-1][0] == secret else None

    site.primary.meanwhile = refuse
    with structlog.testing.capture_logs() as logs:
        for _ in range(200):
            site.renewal.tag_read(NAME, TAG, await site.lease())
            site.renewal.tag_read(secret, TAG, None)
            await site.look_at_due()
            site.clock.advance(1)
            assert site.renewal._patience.left_alone_until < site.clock()
    assert [line["log_level"] for line in logs] == ["warning"]
    assert (logs[0]["repository"], logs[0]["detail"]) == (secret, "refused")
    assert site.outcomes[Outcome.RENEWED] >= 200 // 42
    assert 3 <= site.outcomes[Outcome.FAILED] <= 10


async def test_an_account_that_is_refused_everywhere_is_told_and_asks_ever_less() -> None:
    site = Site(limit=1000)
    site.primary.error = RegistryError("the issuer answered 401", 401)
    with structlog.testing.capture_logs() as logs:
        for number in range(1000):
            site.renewal.tag_read(Name(f"g/n{number}"), TAG, None)
        for _ in range(600):
            site.clock.advance(1)
            while (
                site.clock() >= site.renewal._patience.left_alone_until
                and (key := site.hot.take(site.clock())) is not None
            ):
                await site.renewal.look(*key)
    assert [line["log_level"] for line in logs] == ["warning", "error"]
    assert len(site.primary.asked) < 25, "an issuer bans who asks with a wrong password"


async def test_an_answer_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extproc.renewal.renewal.ANSWER_WITHIN", 0.01)
    site = await warmed()
    site.clock.advance(40)
    site.primary.meanwhile = asyncio.Event().wait
    assert await site.look_at_due() == [Outcome.FAILED]


# The task


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - a state, not an event
            await asyncio.sleep(0)


async def stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_it_wakes_for_what_becomes_due() -> None:
    site = Site()
    task = asyncio.create_task(site.renewal.run())
    await asyncio.sleep(0)
    site.renewal.on_lease_dropped(NAME, TAG)
    await until(lambda: site.outcomes[Outcome.RENEWED] == 1)
    # Asleep until a due time, it is woken by an earlier one.
    await site.read()
    await asyncio.sleep(0)
    site.renewal.on_lease_dropped(NAME, Tag("other"))
    await until(lambda: site.outcomes[Outcome.GONE] == 1)
    await stopped(task)


async def test_it_wakes_by_itself() -> None:
    site = Site()
    real = asyncio.get_running_loop().time
    hot = HotTags(10, idle=600)
    renewal = Renewal(
        store=site.store,
        primary=site.primary,
        max_staleness=0.1,
        hot=hot,
        rate=1000,
        blocks=site.blocked.__contains__,
        clock=real,
    )
    task = asyncio.create_task(renewal.run())
    renewal.tag_read(NAME, TAG, None)
    await until(lambda: len(site.primary.asked) >= 1)
    await stopped(task)


async def test_so_many_at_once_and_no_more() -> None:
    site = Site(limit=100)
    gate = asyncio.Event()
    site.primary.meanwhile = gate.wait
    task = asyncio.create_task(site.renewal.run())
    for number in range(20):
        site.renewal.on_lease_dropped(NAME, Tag(f"t{number}"))
    await until(lambda: len(site.primary.asked) == 4)
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(site.primary.asked) == 4
    gate.set()
    await until(lambda: site.outcomes[Outcome.GONE] == 20)
    await stopped(task)


async def test_so_many_a_second_and_no_more() -> None:
    site = Site(limit=100)
    site.renewal = Renewal(
        store=site.store,
        primary=site.primary,
        max_staleness=STALE_AFTER,
        hot=site.hot,
        rate=100,
        blocks=site.blocked.__contains__,
        clock=site.clock,
    )
    loop = asyncio.get_running_loop()
    times: list[float] = []

    async def note() -> None:
        times.append(loop.time())

    site.primary.meanwhile = note
    task = asyncio.create_task(site.renewal.run())
    for number in range(10):
        site.renewal.on_lease_dropped(NAME, Tag(f"t{number}"))
    await until(lambda: len(times) == 10)
    await stopped(task)
    assert times[-1] - times[0] >= 0.08


async def test_cancelled_in_the_middle_of_a_question() -> None:
    site = Site()
    gate = asyncio.Event()
    site.primary.meanwhile = gate.wait
    task = asyncio.create_task(site.renewal.run())
    site.renewal.on_lease_dropped(NAME, TAG)
    await until(lambda: site.primary.asked)
    await stopped(task)
    assert await site.lease() is None


async def test_a_fault_of_ours_ends_one_tag_only() -> None:
    site = Site()
    site.primary.error = ZeroDivisionError("a bug")
    with structlog.testing.capture_logs() as logs:
        task = asyncio.create_task(site.renewal.run())
        site.renewal.on_lease_dropped(NAME, TAG)
        await until(lambda: logs)
        site.primary.error = None
        site.renewal.on_lease_dropped(NAME, TAG)
        await until(lambda: site.outcomes[Outcome.RENEWED] == 1)
        await stopped(task)
    assert [line["event"] for line in logs] == ["renewal of a tag failed"]


# With the router


async def test_with_the_router_only_the_first_read_pays_the_wan() -> None:
    site = Site()
    router = Router(
        verifier=None,
        facts=site.store,
        writes=Backlog(site.store),
        policy=Policy(max_staleness=STALE_AFTER),
        now=site.clock,
        interest=site.renewal,
    )
    reasons: Counter[str] = Counter()

    async def exchange(method: str = "GET") -> None:
        routed = await router.route(request(method, "/v2/g/app/manifests/latest"))
        assert isinstance(routed.decision, Forward)
        reasons[routed.decision.reason.value] += 1
        if routed.wants_response:
            await router.observe(routed, response(200, "primary", digest=site.primary.tags[KEY].digest))

    for _ in range(300):
        await exchange()
        site.clock.advance(1)
        await site.look_at_due()
    assert reasons == {"tag-unverified": 1, "tag-verified": 299}
    reasons.clear()
    await exchange("PUT")
    site.primary.tags[KEY] = Resolved(D2)
    await site.look_at_due()
    await exchange()
    assert reasons == {"write": 1, "tag-verified": 1}
    routed = await router.route(request("GET", "/v2/g/app/manifests/latest"))
    assert isinstance(routed.decision, Forward)
    assert routed.decision.pin == D2


def test_every_outcome_is_explained() -> None:
    page = (Path(__file__).parents[2] / "docs" / "renewal.md").read_text()
    assert [outcome.value for outcome in Outcome if f"| `{outcome.value}` |" not in page] == []


async def test_a_push_that_was_told_before_it_moved_the_tag_is_looked_at_again() -> None:
    """distribution tells a push first: what the primary answers until the tag has moved leaves no lease."""
    site = await warmed()
    changed = await site.store.primary_changed(NAME, Invalidation(tag=TAG), pushed=D2)
    assert changed.lease_dropped
    site.renewal.on_lease_dropped(NAME, TAG)
    assert await site.look_at_due() == [Outcome.SUPERSEDED]
    assert await site.lease() is None

    site.primary.tags[KEY] = Resolved(D2)
    site.clock.advance(1.1)
    assert await site.look_at_due() == [Outcome.RENEWED]
    lease = await site.lease()
    assert lease is not None
    assert lease.digest == D2
