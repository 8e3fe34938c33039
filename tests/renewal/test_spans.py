"""A look at a lease is a trace of its own, with a link to who read the tag."""

from __future__ import annotations

import pytest

from extproc.oci.reference import Tag
from extproc.renewal import renewal
from extproc.renewal.renewal import Outcome
from tests.renewal.site import NAME, Site


async def test_a_look_is_linked_to_the_exchange_that_read_the_tag() -> None:
    site = Site()
    with site.traced.work.span("exchange"):
        await site.read()
    site.clock.advance(1)
    assert await site.look_at_due() == [Outcome.RENEWED]
    look = site.traced.spans["geo_extproc.renewal"]
    assert look.parent is None
    assert [link.context for link in look.links] == [site.traced.spans["exchange"].context]
    assert dict(look.attributes or {}) == {"geo.repository": NAME, "geo.outcome": "renewed"}


async def test_one_that_no_traced_exchange_asked_for_has_none() -> None:
    site = Site()
    await site.read()
    site.clock.advance(1)
    await site.look_at_due()
    assert list(site.traced.spans["geo_extproc.renewal"].links) == []


async def test_an_exchange_is_linked_to_once() -> None:
    site = Site()
    with site.traced.work.span("exchange"):
        await site.read()
    for _ in range(2):
        site.clock.advance(60)
        await site.look_at_due()
    looks = [span for span in site.traced.all if span.name == "geo_extproc.renewal"]
    assert [len(look.links) for look in looks] == [1, 0]


async def test_so_many_exchanges_are_remembered_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewal, "_MOST_READERS", 2)
    site = Site()
    with site.traced.work.span("exchange"):
        for number in range(5):
            await site.read(Tag(f"v{number}"))
    site.clock.advance(1)
    await site.look_at_due()
    looks = [span for span in site.traced.all if span.name == "geo_extproc.renewal"]
    assert sorted(len(look.links) for look in looks) == [0, 0, 0, 1, 1]
