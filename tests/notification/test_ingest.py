"""Events into a store: what they do there, in which order, and what is told when the store fails."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import Arrived, Changed, DigestState, Invalidation, Observation
from extproc.evidence.store import StoreUnavailable
from extproc.notification.envelope import parse_envelope
from extproc.notification.event import Action, Site
from extproc.notification.ingest import Ingest, Outcome
from extproc.oci.reference import Digest, Name, Tag
from tests.notification.envelopes import (
    BLOB,
    D1,
    D2,
    D3,
    GITLAB_DATABASE_DELETE,
    GITLAB_RENAME,
    INDEX,
    MANIFEST,
    NAME,
    NAME_DELETE,
    TAG,
    envelope,
    event,
)
from tests.support.clock import Clock

OTHER = Name("g/other")


@dataclass
class Heard:
    """A recorder."""

    counts: Counter[tuple[Site, Action, Outcome]] = field(default_factory=Counter)
    delays: list[tuple[Site, float]] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)

    def counted(self, site: Site, action: Action, outcome: Outcome) -> None:
        self.counts[site, action, outcome] += 1

    def delayed(self, site: Site, seconds: float) -> None:
        self.delays.append((site, seconds))

    def arrived(self, seconds: float) -> None:
        self.lags.append(seconds)


@dataclass
class Rig:
    """A memory store behind an ingest; the wall clock of the ingest is the store's."""

    clock: Clock = field(default_factory=Clock)
    heard: Heard = field(default_factory=Heard)
    dropped: list[tuple[Name, Tag]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = MemoryStore(absent_ttl=5, clock=self.clock)
        self.ingest = Ingest(
            self.store,
            self.heard,
            on_lease_dropped=lambda name, tag: self.dropped.append((name, tag)),
            now=self.clock,
        )

    async def primary(self, *events: dict[str, Any]) -> None:
        await self.ingest.take(Site.PRIMARY, parse_envelope(envelope(*events)))

    async def secondary(self, *events: dict[str, Any]) -> None:
        await self.ingest.take(Site.SECONDARY, parse_envelope(envelope(*events)))

    async def lease(self, tag: Tag = TAG, digest: Digest = D1, name: Name = NAME) -> None:
        snapshot = (await self.store.decide(name, tag)).snapshot
        seen = Observation(digest, tag=tag, media_type=MANIFEST, primary_has=True)
        assert await self.store.learn(name, snapshot, seen)

    async def leased(self, tag: Tag = TAG, name: Name = NAME) -> bool:
        return (await self.store.decide(name, tag)).lease is not None

    async def state(self, digest: Digest, name: Name = NAME) -> DigestState:
        return (await self.store.decide(name, digest)).digest

    async def primary_serves(self, digest: Digest, name: Name = NAME) -> None:
        """A digest read that the primary answered with 200."""
        snapshot = (await self.store.decide(name, digest)).snapshot
        assert await self.store.learn(name, snapshot, Observation(digest, primary_has=True))


# The primary tells


async def test_a_push_drops_its_tags_lease_and_no_other() -> None:
    rig = Rig()
    await rig.lease()
    await rig.lease(Tag("other"))
    await rig.primary(event("push", tag=TAG, digest=D2, mediaType=MANIFEST))
    assert not await rig.leased()
    assert await rig.leased(Tag("other"))
    assert rig.dropped == [(NAME, TAG)]


async def test_a_push_of_an_unread_tag_tells_no_dropped_lease() -> None:
    rig = Rig()
    await rig.primary(event("push", tag=TAG, digest=D2, mediaType=MANIFEST))
    assert rig.dropped == []


async def test_what_was_asked_before_a_push_is_not_learned_after_it() -> None:
    rig = Rig()
    snapshot = (await rig.store.decide(NAME, TAG)).snapshot
    await rig.primary(event("push", digest=D2, mediaType=MANIFEST))
    seen = Observation(D1, tag=TAG, media_type=MANIFEST, primary_has=True)
    assert not await rig.store.learn(NAME, snapshot, seen)


async def test_a_blob_changes_nothing() -> None:
    rig = Rig()
    await rig.lease()
    snapshot = (await rig.store.decide(NAME, TAG)).snapshot
    for action in ("push", "mount", "pull"):
        await rig.primary(event(action, digest=D1, mediaType=BLOB))
    assert (await rig.store.decide(NAME, TAG)).snapshot.epoch == snapshot.epoch
    assert await rig.leased()


async def test_a_delete_by_digest_takes_every_tag_though_none_is_told() -> None:
    """GitLab's registry with its metadata database."""
    rig = Rig()
    await rig.lease()
    await rig.lease(Tag("other"))
    await rig.secondary(event("push", digest=D1, mediaType=MANIFEST))
    await rig.primary(GITLAB_DATABASE_DELETE)
    assert not await rig.leased()
    assert not await rig.leased(Tag("other"))
    assert await rig.state(D1) is DigestState.DELETED


async def test_only_the_primarys_own_answer_lifts_what_a_delete_left() -> None:
    rig = Rig()
    await rig.primary(event("delete", digest=D1))
    await rig.secondary(event("push", digest=D1, mediaType=MANIFEST))
    await rig.primary(event("push", tag=TAG, digest=D1, mediaType=MANIFEST))
    await rig.secondary(event("push", digest=D2, mediaType=MANIFEST, references=[{"digest": D1}]))
    await rig.secondary(event("delete", digest=D1))
    assert await rig.state(D1) is DigestState.DELETED
    await rig.primary_serves(D1)
    assert await rig.state(D1) is DigestState.UNKNOWN


async def test_a_push_that_is_told_after_the_delete_that_followed_it() -> None:
    rig = Rig()
    await rig.primary(event("delete", digest=D1), event("push", tag=TAG, digest=D1, mediaType=MANIFEST))
    assert await rig.state(D1) is DigestState.DELETED


async def test_a_whole_name() -> None:
    rig = Rig()
    await rig.lease()
    await rig.lease(name=OTHER)
    await rig.secondary(event("push", digest=D1, mediaType=MANIFEST))
    await rig.primary(NAME_DELETE)
    assert not await rig.leased()
    assert await rig.state(D1) is await rig.state(D3) is DigestState.DELETED
    assert await rig.leased(name=OTHER)
    await rig.primary_serves(D1)
    assert (await rig.state(D1), await rig.state(D3)) == (DigestState.UNKNOWN, DigestState.DELETED)


async def test_a_rename_takes_all_names_below_both_paths_and_no_neighbour() -> None:
    rig = Rig()
    gone = [Name(f"foo/{path}/project{below}") for path in ("foo", "bar") for below in ("", "/a", "/a/b")]
    kept = [Name("foo/foo/project-2"), Name("foo/foo"), Name("x/foo/foo/project/a")]
    for name in (*gone, *kept):
        await rig.lease(name=name)
        await rig.secondary(event("push", name, digest=D1, mediaType=MANIFEST))
    await rig.primary(GITLAB_RENAME)
    for name in gone:
        assert not await rig.leased(name=name)
        assert await rig.state(D1, name) is DigestState.DELETED
    for name in kept:
        assert await rig.leased(name=name)
        assert await rig.state(D1, name) is DigestState.PRESENT


async def test_many_renames_walk_the_names_once() -> None:
    rig = Rig()
    walks = 0
    pages = rig.store.pages

    def counted() -> AsyncIterator[Sequence[Name]]:
        nonlocal walks
        walks += 1
        return pages()

    rig.store.pages = counted  # type: ignore[method-assign]
    renames = [{"action": "rename", "target": {"rename": {"from": f"a{n}", "to": f"b{n}"}}} for n in range(50)]
    await rig.lease(name=Name("a7/below"))
    await rig.primary(*renames)
    assert walks == 1
    assert not await rig.leased(name=Name("a7/below"))


# The secondary tells


async def test_a_manifest_is_there_with_its_parts_and_an_index_alone() -> None:
    rig = Rig()
    await rig.secondary(
        event("push", digest=D1, mediaType=MANIFEST, references=[{"digest": D2}]),
        event("push", OTHER, digest=D1, mediaType=INDEX, references=[{"digest": D2}]),
    )
    assert await rig.state(D1) is await rig.state(D2) is DigestState.PRESENT
    assert await rig.state(D1, OTHER) is DigestState.PRESENT
    assert await rig.state(D2, OTHER) is DigestState.UNKNOWN


async def test_a_delete_there_takes_presence_and_nothing_else() -> None:
    rig = Rig()
    await rig.lease()
    await rig.secondary(event("push", digest=D1, mediaType=MANIFEST))
    await rig.secondary(event("delete", tag=TAG), event("delete", digest=D1), NAME_DELETE, GITLAB_RENAME)
    assert await rig.state(D1) is DigestState.UNKNOWN
    assert await rig.leased()


async def test_events_of_one_name_keep_their_order() -> None:
    rig = Rig()
    push, delete = event("push", digest=D1, mediaType=MANIFEST), event("delete", digest=D1)
    await rig.secondary(push, delete)
    assert await rig.state(D1) is DigestState.UNKNOWN
    await rig.secondary(delete, push)
    assert await rig.state(D1) is DigestState.PRESENT


async def test_the_lag_of_replication() -> None:
    rig = Rig()
    push = event("push", tag=TAG, digest=D1, mediaType=MANIFEST)
    await rig.primary(push)
    rig.clock.advance(42)
    taken = await rig.ingest.take(Site.SECONDARY, parse_envelope(envelope(push, push)))
    assert rig.heard.lags == [pytest.approx(42)]
    assert [(name, arrived.digest) for name, arrived in taken.arrived] == [(NAME, D1)]


async def test_many_digests_are_told_in_parts() -> None:
    store = Hindered()
    references = [{"digest": f"sha256:{number:064x}"} for number in range(1200)]
    body = envelope(event("push", digest=D1, mediaType=MANIFEST, references=references))
    await Ingest(store, Heard()).take(Site.SECONDARY, parse_envelope(body))
    assert [len(digests) for digests in store.had] == [500, 500, 201]


# Counted


async def test_each_event_is_counted_with_its_outcome_and_its_delay() -> None:
    rig = Rig()
    at = parse_envelope(envelope(event("pull")))[0].at
    assert at is not None
    rig.clock.now = at + 3
    untimed = {**event("push", tag=TAG), "timestamp": ""}
    await rig.primary(event("pull"), untimed, {"action": "restore"}, event("delete", digest=D1))
    rig.clock.now = at - 3
    await rig.secondary(event("pull"))
    assert rig.heard.counts == {
        (Site.PRIMARY, Action.PULL, Outcome.IGNORED): 1,
        (Site.PRIMARY, Action.PUSH, Outcome.APPLIED): 1,
        (Site.PRIMARY, Action.OTHER, Outcome.UNKNOWN): 1,
        (Site.PRIMARY, Action.DELETE, Outcome.APPLIED): 1,
        (Site.SECONDARY, Action.PULL, Outcome.IGNORED): 1,
    }
    assert rig.heard.delays == [(Site.PRIMARY, 3.0), (Site.PRIMARY, 3.0), (Site.SECONDARY, 0.0)]


# A store that fails or is slow


@dataclass
class Hindered:
    """A store that notes what it is asked, and fails for one name or holds every call until told."""

    fails: Name | None = None
    fault: type[Exception] = StoreUnavailable
    held: asyncio.Event | None = None
    had: list[Sequence[Digest]] = field(default_factory=list)
    now: int = 0
    most: int = 0
    calls: list[Name] = field(default_factory=list)
    crowded: asyncio.Event = field(default_factory=asyncio.Event)
    """Sixteen at once."""

    async def _call(self, name: Name) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        if self.now == 16:
            self.crowded.set()
        try:
            await asyncio.sleep(0)
            if self.held is not None:
                await self.held.wait()
            if name == self.fails:
                raise self.fault("no answer")
            self.calls.append(name)
        finally:
            self.now -= 1

    async def primary_changed(self, name: Name, what: Invalidation, *, pushed: Digest | None = None) -> Changed:
        await self._call(name)
        return Changed()

    async def primary_dropped(self, name: Name) -> None:
        await self._call(name)

    async def secondary_has(self, name: Name, digests: Iterable[Digest]) -> Sequence[Arrived]:
        self.had.append(tuple(digests))
        await self._call(name)
        return ()

    async def secondary_lost(self, name: Name, digest: Digest) -> None:
        await self._call(name)

    async def pages(self) -> Any:
        yield [Name("foo/foo/project/a"), OTHER]


EVERY_KIND = [
    pytest.param(Site.PRIMARY, event("push", OTHER, tag=TAG), id="push"),
    pytest.param(Site.PRIMARY, event("delete", OTHER), id="whole name"),
    pytest.param(Site.PRIMARY, {"action": "rename", "target": {"rename": {"from": "g", "to": "h"}}}, id="below"),
    pytest.param(Site.SECONDARY, event("push", OTHER, digest=D1), id="present"),
    pytest.param(Site.SECONDARY, event("delete", OTHER, digest=D1), id="lost"),
]


@pytest.mark.parametrize(("site", "sent"), EVERY_KIND)
async def test_one_event_that_the_store_did_not_take_fails_the_envelope(site: Site, sent: dict[str, Any]) -> None:
    heard = Heard()
    events = parse_envelope(envelope(event("push", digest=D1, tag="a"), sent, event("pull")))
    with pytest.raises(StoreUnavailable, match="no answer"):
        await Ingest(Hindered(fails=OTHER), heard).take(site, events)
    assert set(heard.counts) == {(site, each.action, Outcome.UNAVAILABLE) for each in events}
    assert sum(heard.counts.values()) == 3
    assert heard.delays == []


async def test_after_a_failure_the_rest_is_not_tried() -> None:
    store = Hindered(fails=NAME)
    events = [event("push", tag="a"), *(event("push", f"other/{number}", tag="a") for number in range(100))]
    with pytest.raises(StoreUnavailable):
        await Ingest(store, Heard()).take(Site.PRIMARY, parse_envelope(envelope(*events)))
    assert len(store.calls) <= 16


async def test_a_fault_of_ours_is_not_taken_for_the_stores() -> None:
    store = Hindered(fails=OTHER, fault=ZeroDivisionError)
    with pytest.raises(ExceptionGroup) as raised:
        await Ingest(store, Heard()).take(Site.PRIMARY, parse_envelope(envelope(event("delete", OTHER))))
    assert raised.group_contains(ZeroDivisionError)


async def test_names_go_beside_each_other_but_not_too_many_at_once() -> None:
    store = Hindered(held=asyncio.Event())
    ingest = Ingest(store, Heard())
    senders = [
        asyncio.create_task(
            ingest.take(
                Site.PRIMARY,
                parse_envelope(envelope(*(event("push", f"{sender}/{number}", tag="a") for number in range(30)))),
            )
        )
        for sender in ("x", "y")
    ]
    await store.crowded.wait()
    assert store.held is not None
    store.held.set()
    await asyncio.gather(*senders)
    assert (store.most, len(store.calls)) == (16, 60)


async def test_each_effect_may_be_repeated() -> None:
    rig = Rig()
    sent = [
        event("push", tag=TAG, digest=D2, mediaType=MANIFEST),
        event("delete", digest=D1),
        event("delete", OTHER),
    ]
    await rig.primary(*sent)
    before = await rig.store.inspect(NAME), await rig.store.inspect(OTHER)
    await rig.primary(*sent, *sent)
    assert (await rig.store.inspect(NAME), await rig.store.inspect(OTHER)) == before
