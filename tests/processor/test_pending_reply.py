"""A reply that is still to come: heard once, in the turn in which it is told."""

from __future__ import annotations

import asyncio

import pytest

from extproc.processor.pending_reply import PendingReply


def test_who_asked_before_hears_it_at_once() -> None:
    reply, heard = PendingReply(), list[bytes | Exception]()
    reply.then(heard.append)
    assert not reply.over
    reply.tell(b"it")
    assert heard == [b"it"]
    assert reply.over


def test_who_asks_later_hears_it_at_once() -> None:
    reply, heard = PendingReply(), list[bytes | Exception]()
    reply.tell(b"it")
    reply.then(heard.append)
    assert heard == [b"it"]


def test_it_is_told_once() -> None:
    reply, heard = PendingReply(), list[bytes | Exception]()
    reply.then(heard.append)
    reply.tell(b"it")
    reply.tell(b"more")
    assert heard == [b"it"]


def test_who_has_gone_hears_nothing() -> None:
    reply, heard = PendingReply(), list[bytes | Exception]()
    reply.then(heard.append)
    reply.give_up()
    assert reply.over
    reply.tell(b"it")
    assert heard == []


async def test_it_can_be_awaited_before_it_is_told() -> None:
    reply = PendingReply()
    asyncio.get_running_loop().call_soon(reply.tell, b"it")
    assert await reply == b"it"


async def test_it_can_be_awaited_when_it_was_told() -> None:
    reply = PendingReply()
    reply.tell(b"it")
    assert await reply == b"it"


async def test_what_went_wrong_is_raised_where_it_is_awaited() -> None:
    reply = PendingReply()
    reply.tell(ValueError("wrong"))
    with pytest.raises(ValueError, match="wrong"):
        await reply


async def test_whoever_awaits_it_may_be_cancelled_and_it_is_told_to_nobody() -> None:
    reply = PendingReply()

    async def wait() -> bytes:
        return await reply

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert reply.over
    reply.tell(b"late")
