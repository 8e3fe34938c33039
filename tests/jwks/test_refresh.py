"""When keys are fetched again, and for how long old ones count."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from extproc.auth.keys import KeyDocument
from extproc.jwks.fetch import JwksUnavailable
from extproc.jwks.refresh import Pace, Refresh
from tests.auth.issuer import jwk
from tests.support.clock import Clock

URL = "https://issuer.example.com/keys"
ONE = KeyDocument(URL, json.dumps({"keys": [jwk("rsa")]}).encode())
TWO = KeyDocument(URL, json.dumps({"keys": [jwk("rsa"), jwk("p256")]}).encode())
USELESS = KeyDocument(URL, b'{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}')
LONG = 3600.0


class Issuer:
    """Answers each fetch as told, the last answer again and again; tells of each."""

    def __init__(self, *answers: KeyDocument | JwksUnavailable) -> None:
        self.answers = list(answers)
        self.fetches = 0
        self.seen: list[KeyDocument | None] = []
        self.outcomes: list[bool] = []
        self.asked = asyncio.Event()

    async def fetch(self) -> KeyDocument:
        self.fetches += 1
        self.asked.set()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, JwksUnavailable):
            raise answer
        return answer

    def refresh(self, pace: Pace, clock: Clock | None = None) -> Refresh:
        return Refresh(
            self.fetch,
            pace=pace,
            on_change=self.seen.append,
            on_fetch=self.outcomes.append,
            clock=clock or Clock(0),
        )


@asynccontextmanager
async def kept(refresh: Refresh) -> AsyncIterator[None]:
    keeping = asyncio.create_task(refresh.keep())
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def turns() -> None:
    """Whatever can run, runs."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_has_changed_is_handed_on() -> None:
    issuer = Issuer(ONE, ONE, TWO, TWO)
    refresh = issuer.refresh(Pace())
    for _ in range(4):
        await refresh.once()
    assert issuer.seen == [ONE, TWO]
    assert issuer.outcomes == [True] * 4


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(JwksUnavailable("away"), id="no answer"),
        pytest.param(USELESS, id="no usable key"),
        pytest.param(KeyDocument(URL, b"<html>"), id="no JWKS"),
        pytest.param(KeyDocument(URL, b'{"keys": 5}'), id="no list"),
    ],
)
async def test_a_broken_answer_changes_nothing_and_is_said_once(fault: KeyDocument | JwksUnavailable) -> None:
    issuer = Issuer(ONE, fault, fault, ONE)
    refresh = issuer.refresh(Pace())
    with capture_logs() as logs:
        await refresh.once()
        await refresh.once()
        assert refresh.fault
        await refresh.once()
        assert [line["log_level"] for line in logs] == ["error"]
        await refresh.once()
    assert not refresh.fault
    assert [line["log_level"] for line in logs] == ["error", "info"]
    assert issuer.seen == [ONE]
    assert issuer.outcomes == [True, False, False, True]


async def test_the_last_good_set_counts_until_it_is_too_old_and_the_next_good_one_again() -> None:
    clock = Clock(0)
    issuer = Issuer(ONE, JwksUnavailable("away"), JwksUnavailable("away"), JwksUnavailable("away"), ONE)
    refresh = issuer.refresh(Pace(max_age=100), clock)
    await refresh.once()
    clock.now = 100
    await refresh.once()
    assert issuer.seen == [ONE]
    clock.now = 100.1
    await refresh.once()
    await refresh.once()
    assert issuer.seen == [ONE, None]
    await refresh.once()
    assert issuer.seen == [ONE, None, ONE]


async def test_an_unknown_kid_makes_it_look_again() -> None:
    issuer = Issuer(ONE, TWO)
    refresh = issuer.refresh(Pace(refresh=LONG, min_interval=0.01))
    await refresh.once()
    issuer.asked.clear()
    async with kept(refresh):
        refresh.unknown_kid()
        await asyncio.wait_for(issuer.asked.wait(), 10)
        await turns()
    assert issuer.seen == [ONE, TWO]


async def test_threat_a_flood_of_unknown_kids_does_not_flood_the_issuer() -> None:
    issuer = Issuer(ONE)
    refresh = issuer.refresh(Pace(refresh=2 * LONG, min_interval=LONG))
    await refresh.once()
    async with kept(refresh):
        for _ in range(10_000):
            refresh.unknown_kid()
        await turns()
        assert issuer.fetches == 1


async def test_a_flood_makes_one_fetch_for_each_interval() -> None:
    issuer = Issuer(ONE)
    refresh = issuer.refresh(Pace(refresh=LONG, min_interval=0.01))
    await refresh.once()
    async with kept(refresh):
        for fetches in (2, 3):
            issuer.asked.clear()
            for _ in range(1000):
                refresh.unknown_kid()
            await asyncio.wait_for(issuer.asked.wait(), 10)
            await turns()
            assert issuer.fetches == fetches  # all of the flood was answered by the one


async def test_without_tokens_it_looks_again_after_the_refresh_time() -> None:
    issuer = Issuer(ONE)
    refresh = issuer.refresh(Pace(refresh=0.02, min_interval=0.01))
    async with kept(refresh):
        await asyncio.wait_for(issuer.asked.wait(), 10)


async def test_after_a_failure_it_looks_again_after_the_least_interval() -> None:
    issuer = Issuer(JwksUnavailable("away"), ONE)
    refresh = issuer.refresh(Pace(refresh=LONG, min_interval=0.01))
    await refresh.once()
    issuer.asked.clear()
    async with kept(refresh):
        await asyncio.wait_for(issuer.asked.wait(), 10)
        await turns()
    assert issuer.seen == [ONE]
