"""When leases are renewed, on a real store in memory and with the real router."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from extproc.evidence.backlog import Backlog
from extproc.evidence.model import Lease
from extproc.oci.reference import Tag
from extproc.renewal.hot_tags import HotTags
from extproc.renewal.renewal import Outcome, Renewal
from extproc.routing.decision import Forward
from extproc.routing.policy import Policy
from extproc.routing.router import Router
from tests.renewal.site import D1, D2, KEY, NAME, STALE_AFTER, TAG, Resolved, Site, warmed
from tests.support.heads import INDEX, request, response


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
