"""A store, a primary or an account that fails."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import Evidence
from extproc.evidence.store import StoreUnavailable
from extproc.oci.reference import Digest, Name, Tag
from extproc.registry.error import RegistryError
from extproc.renewal.renewal import Outcome
from tests.renewal.site import NAME, TAG, Site, warmed


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
