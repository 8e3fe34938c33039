"""One run at a time."""

from __future__ import annotations

import asyncio

import pytest

from extproc.evidence.memory import MemoryStore
from extproc.evidence.store import StoreUnavailable
from extproc.reconcile.claim import TOPIC, ClaimLost, ClaimTaken, claimed


class LossyStore(MemoryStore):
    """Its claims can be taken over, and its calls fail."""

    def __init__(self) -> None:
        super().__init__(2.0)
        self.away = False
        self.asked = asyncio.Event()

    async def claim(self, topic: str, owner: str, ttl: float) -> bool:
        self.asked.set()
        if self.away:
            raise StoreUnavailable("away")
        return await super().claim(topic, owner, ttl)

    async def release(self, topic: str, owner: str) -> None:
        if self.away:
            raise StoreUnavailable("away")
        await super().release(topic, owner)

    def take_over(self) -> None:
        self._claims[TOPIC] = ("somebody else", self._now() + 60_000_000)


async def test_two_cannot_hold_it() -> None:
    store = MemoryStore(2.0)
    async with claimed(store):
        with pytest.raises(ClaimTaken, match="another reconcile is running"):
            async with claimed(store):
                raise AssertionError
    async with claimed(store):
        pass


async def test_a_failed_run_frees_it() -> None:
    store = MemoryStore(2.0)
    with pytest.raises(ZeroDivisionError):
        async with claimed(store):
            _ = 1 / 0
    async with claimed(store):
        pass


async def test_a_timeout_of_the_run_itself_stays_one() -> None:
    with pytest.raises(TimeoutError):
        async with claimed(MemoryStore(2.0)):
            raise TimeoutError


async def test_it_is_renewed() -> None:
    store = LossyStore()
    async with claimed(store, ttl=0.05):
        for _ in range(3):
            store.asked.clear()
            await store.asked.wait()


async def test_a_run_whose_claim_another_took_ends() -> None:
    store = LossyStore()
    with pytest.raises(ClaimLost):
        async with claimed(store, ttl=0.05):
            store.take_over()
            await asyncio.Event().wait()
    with pytest.raises(ClaimTaken):  # it was not released: it is another's
        async with claimed(store):
            raise AssertionError


async def test_a_store_that_is_away_ends_nothing() -> None:
    store = LossyStore()
    async with claimed(store, ttl=0.05):
        store.away = True
        store.asked.clear()
        await store.asked.wait()


async def test_a_dead_holder_is_waited_for() -> None:
    store = MemoryStore(2.0)
    told = []

    async def tell() -> None:
        told.append("waiting")
        await store.release(TOPIC, "dead")

    assert await store.claim(TOPIC, "dead", 60)
    async with claimed(store, wait=60, on_wait=tell):
        assert told == ["waiting"]


async def test_not_for_ever() -> None:
    store = MemoryStore(2.0)
    assert await store.claim(TOPIC, "alive", 60)
    with pytest.raises(ClaimTaken):
        async with claimed(store, wait=0.01):
            raise AssertionError
