"""One name compared: each rule of comparison.py and presence.py, on registries in memory and the memory store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import ContentKind, DigestState, Evidence, Invalidation, Lease, Observation
from extproc.oci.reference import Digest, Name, Tag
from extproc.reconcile.comparison import STEP, Comparison
from extproc.reconcile.summary import Counts
from extproc.registry.error import RegistryError
from tests.evidence.subject import Clock
from tests.reconcile.fake_site import FakeSite, digest
from tests.support.heads import INDEX
from tests.support.registry_client import MANIFEST

NAME = Name("group/app")
V1 = Tag("v1")
SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
DOWN = RegistryError("the secondary registry: it answered 500", 500)


@dataclass
class Sites:
    """Two sites and the store between them."""

    primary: FakeSite = field(default_factory=FakeSite)
    secondary: FakeSite = field(default_factory=FakeSite)
    clock: Clock = field(default_factory=Clock)
    store: MemoryStore = field(init=False)

    def __post_init__(self) -> None:
        self.store = MemoryStore(2.0, self.clock)

    def both(self, content: str, *tags: str) -> Digest:
        self.primary.put(NAME, content, *tags)
        return self.secondary.put(NAME, content, *tags)

    async def compare(self, *, blobs: bool = False) -> Counts:
        return await Comparison(NAME, self.store, self.primary, self.secondary, blobs=blobs).run()

    async def evidence(self, reference: Tag | Digest = V1) -> Evidence:
        return await self.store.decide(NAME, reference)

    async def lease(self, tag: Tag = V1) -> Lease | None:
        return (await self.evidence(tag)).lease

    async def state(self, of: Digest) -> DigestState:
        return (await self.evidence(of)).digest

    async def learn(self, *seen: Observation) -> None:
        assert await self.store.learn_all(NAME, (await self.evidence()).snapshot, seen)

    async def epoch(self) -> bytes:
        return (await self.evidence()).snapshot.epoch


@pytest.fixture(params=["bulk", "heads"])
def sites(request: pytest.FixtureRequest) -> Sites:
    """Both ways in which a registry lists its tags."""
    bulk = request.param == "bulk"
    return Sites(FakeSite(bulk=bulk), FakeSite(bulk=bulk))


def once(question: str, do: Callable[[], Awaitable[object]], times: int = 1) -> Callable[[str], Awaitable[None]]:
    """A hook that acts before the answer to a question that begins so, so many times."""
    left = times

    async def hook(asked: str) -> None:
        nonlocal left
        if asked.startswith(question) and left:
            left -= 1
            await do()

    return hook


# Findings


async def test_same(sites: Sites) -> None:
    held = sites.both("one", "v1")
    assert await sites.compare() == Counts(names=1, tags=1, same=1, leases=1, present=1)
    lease = await sites.lease()
    assert lease is not None
    assert (lease.digest, lease.media_type) == (held, MANIFEST)
    assert await sites.state(held) is DigestState.PRESENT


async def test_behind(sites: Sites) -> None:
    new = sites.primary.put(NAME, "new", "v1")
    sites.secondary.put(NAME, "old", "v1")
    found = await sites.compare()
    assert found == Counts(names=1, tags=1, behind=1, leases=1, behind_examples=("group/app:v1",))
    assert await sites.state(new) is DigestState.UNKNOWN


async def test_behind_but_the_digest_is_there(sites: Sites) -> None:
    """What counts is the digest, whatever the secondary's tag says."""
    new = sites.primary.put(NAME, "new", "v1")
    sites.secondary.put(NAME, "old", "v1")
    sites.secondary.put(NAME, "new")
    found = await sites.compare()
    assert (found.behind, found.present, found.incomplete) == (1, 1, 0)
    assert await sites.state(new) is DigestState.PRESENT


async def test_missing(sites: Sites) -> None:
    sites.both("one", "v1")
    sites.primary.put(NAME, "two", "v2")
    found = await sites.compare()
    assert (found.tags, found.same, found.missing, found.missing_examples) == (2, 1, 1, ("group/app:v2",))
    assert await sites.lease(Tag("v2")) is not None, "the primary said so, whatever the secondary has"


async def test_the_whole_name_is_missing(sites: Sites) -> None:
    sites.primary.put(NAME, "one", "v1", "v2")
    found = await sites.compare()
    assert (found.tags, found.missing, found.extra) == (2, 2, 0)


async def test_extra(sites: Sites) -> None:
    sites.both("one", "v1")
    sites.secondary.put(NAME, "two", "v2", "v3")
    assert await sites.compare() == Counts(
        names=1, tags=1, same=1, extra=2, leases=1, present=1, extra_examples=("group/app:v2", "group/app:v3")
    )


async def test_a_tag_that_names_what_the_secondary_lost(sites: Sites) -> None:
    held = sites.both("one", "v1")
    del sites.secondary.manifests[NAME, held]
    found = await sites.compare()
    # A bulk listing still tells the tag; a HEAD of it is 404.
    assert (found.same, found.missing) == ((1, 0) if sites.secondary.bulk else (0, 1))
    assert found.present == 0
    assert await sites.state(held) is DigestState.UNKNOWN


async def test_many_pages(sites: Sites) -> None:
    for number in range(3 * STEP + 5):
        sites.both(f"content {number}", f"v{number}")
    sites.primary.page = sites.secondary.page = STEP + 3
    found = await sites.compare()
    assert (found.tags, found.same, found.leases, found.present) == (53, 53, 53, 53)


async def test_tags_of_one_digest_are_looked_for_once() -> None:
    sites = Sites()
    held = sites.primary.put(NAME, "one", *(f"v{number}" for number in range(40)))
    sites.secondary.put(NAME, "one")
    found = await sites.compare()
    assert (found.tags, found.missing, found.present) == (40, 40, 1)
    assert sites.secondary.questions("resolve") == [f"resolve {NAME} {held}"]


async def test_a_head_that_served_the_digest_needs_no_second_one() -> None:
    sites = Sites()
    sites.both("one", "v1")
    await sites.compare()
    assert sites.secondary.questions("resolve") == [f"resolve {NAME} v1"]


# Leases


async def test_a_lease_is_as_old_as_the_snapshot_before_the_primary_was_asked(sites: Sites) -> None:
    sites.both("one", "v1")

    async def pass_time() -> None:
        sites.clock.now += 5

    sites.primary.before = once("tags" if sites.primary.bulk else "resolve", pass_time)
    await sites.compare()
    lease = await sites.lease()
    assert lease is not None
    assert lease.age >= 5


async def test_no_lease_for_another_media_type(sites: Sites) -> None:
    held = sites.primary.put(NAME, "old format", "v1", media_type=SCHEMA1)
    sites.secondary.put(NAME, "old format", "v1", media_type=SCHEMA1)
    found = await sites.compare()
    assert (found.same, found.leases) == (1, 0)
    assert await sites.lease() is None
    assert await sites.state(held) is DigestState.PRESENT


async def test_a_bulk_listing_without_media_types_is_asked_for_each_tag() -> None:
    sites = Sites(FakeSite(bulk=True), FakeSite(bulk=True))
    sites.primary.media_types_listed = sites.secondary.media_types_listed = False
    sites.both("one", "v1")
    found = await sites.compare()
    assert (found.same, found.leases) == (1, 1)
    assert f"resolve {NAME} v1" in sites.primary.asked


async def test_a_bulk_listing_needs_no_question_for_a_tag() -> None:
    sites = Sites(FakeSite(bulk=True), FakeSite(bulk=True))
    held = sites.both("one", "v1")
    await sites.compare()
    assert sites.primary.asked == [f"tags {NAME} 0"]
    assert sites.secondary.asked == [f"tags {NAME} 0", f"resolve {NAME} {held}"]


# Writes meanwhile


async def test_nothing_is_learned_while_this_process_keeps_an_invalidation(sites: Sites) -> None:
    """The copy of a write that nobody saw, not taken by the store yet: the primary's answer may be from before."""
    held = sites.both("one", "v1")
    told: list[bool] = []

    def kept_from_the_second_look_on(name: Name) -> bool:
        told.append(bool(told))
        return told[-1]

    for blocks in (lambda name: True, kept_from_the_second_look_on):
        comparison = Comparison(NAME, sites.store, sites.primary, sites.secondary, blobs=False, blocks=blocks)
        found = await comparison.run()
        assert (found.same, found.busy, found.leases, found.present) == (1, 1, 0, 0)
        assert await sites.lease() is None
        assert await sites.state(held) is DigestState.UNKNOWN


async def test_under_a_mark_nothing_is_learned(sites: Sites) -> None:
    held = sites.both("one", "v1")
    await sites.store.begin_write(NAME, "mark", Invalidation(tag=V1), 60)
    found = await sites.compare()
    assert (found.same, found.busy, found.leases, found.present) == (1, 1, 0, 0)
    assert found.busy_examples == (NAME,)
    assert await sites.lease() is None
    assert await sites.state(held) is DigestState.UNKNOWN


async def test_a_name_that_changed_meanwhile_is_asked_again(sites: Sites) -> None:
    sites.both("one", "v1")

    async def push() -> None:
        sites.both("two", "v1")
        await sites.store.primary_changed(NAME, Invalidation(tag=V1))

    sites.primary.before = once("tags" if sites.primary.bulk else "resolve", push)
    found = await sites.compare()
    lease = await sites.lease()
    assert (found.busy, found.tags, found.leases) == (0, 1, 1)
    assert lease is not None
    assert lease.digest == digest("two")
    assert f"resolve {NAME} v1" in sites.primary.asked


async def test_a_name_that_changes_all_the_time_is_busy(sites: Sites) -> None:
    held = sites.both("one", "v1")

    async def push() -> None:
        await sites.store.primary_changed(NAME, Invalidation(tag=V1))

    sites.primary.before = sites.secondary.before = once("", push, times=1000)
    found = await sites.compare()
    assert (found.same, found.busy, found.leases, found.present) == (1, 1, 0, 0)
    assert await sites.lease() is None
    assert await sites.state(held) is DigestState.UNKNOWN


async def test_a_tag_deleted_between_listing_and_head_is_not_there() -> None:
    sites = Sites()
    sites.both("one", "v1")
    sites.both("two", "v2")
    await sites.compare()

    async def delete() -> None:
        del sites.primary.listed[NAME][Tag("v2")]

    sites.primary.before = once(f"resolve {NAME}", delete)
    found = await sites.compare()
    assert (found.tags, found.same, found.extra, found.dropped) == (1, 1, 1, 1)
    assert await sites.lease(Tag("v2")) is None


# Digests


@pytest.fixture
def index(sites: Sites) -> tuple[Sites, Digest, list[Digest]]:
    """An index of two children, whole at both sites."""
    for site in (sites.primary, sites.secondary):
        children = [site.put(NAME, "amd64"), site.put(NAME, "arm64")]
        top = site.put(NAME, "index", "v1", children=children)
    return sites, top, children


async def test_an_index_with_its_children_is_present(index: tuple[Sites, Digest, list[Digest]]) -> None:
    sites, top, children = index
    found = await sites.compare()
    assert (found.same, found.present, found.incomplete) == (1, 3, 0)
    assert [await sites.state(each) for each in (top, *children)] == [DigestState.PRESENT] * 3
    lease = await sites.lease()
    assert lease is not None
    assert lease.media_type == INDEX


async def test_an_index_without_a_child_is_not(index: tuple[Sites, Digest, list[Digest]]) -> None:
    sites, top, children = index
    del sites.secondary.manifests[NAME, children[1]]
    found = await sites.compare()
    assert (found.same, found.present, found.incomplete) == (1, 1, 1)
    assert found.incomplete_examples == ("group/app:v1",)
    states = [await sites.state(each) for each in (top, *children)]
    assert states == [DigestState.UNKNOWN, DigestState.PRESENT, DigestState.UNKNOWN]


async def test_an_index_held_present_that_lost_a_child_is_forgotten(
    index: tuple[Sites, Digest, list[Digest]],
) -> None:
    sites, top, children = index
    await sites.compare()
    del sites.secondary.manifests[NAME, children[0]]
    found = await sites.compare()
    assert found.dropped == 2
    states = [await sites.state(each) for each in (top, *children)]
    assert states == [DigestState.UNKNOWN, DigestState.UNKNOWN, DigestState.PRESENT]


async def test_an_index_within_an_index(sites: Sites) -> None:
    for site in (sites.primary, sites.secondary):
        inner = site.put(NAME, "inner", children=[site.put(NAME, "amd64")])
        outer = site.put(NAME, "outer", "v1", children=[inner])
    assert (await sites.compare()).present == 3
    del sites.secondary.manifests[NAME, digest("amd64")]
    assert (await sites.compare()).incomplete == 1
    assert await sites.state(outer) is DigestState.UNKNOWN


async def test_indexes_nested_without_end_are_not_followed(sites: Sites) -> None:
    for site in (sites.primary, sites.secondary):
        inner = site.put(NAME, "bottom")
        for level in range(2000):
            inner = site.put(NAME, f"level {level}", children=[inner])
        site.put(NAME, "top", "v1", children=[inner])
    found = await sites.compare()
    assert (found.incomplete, found.present) == (1, 0)
    assert len(sites.secondary.questions("manifest")) < 12


BLOBS = (digest("config"), digest("layer"))


@pytest.mark.parametrize(
    ("there", "looked", "state"),
    [
        pytest.param(BLOBS, True, DigestState.PRESENT, id="all there"),
        pytest.param(BLOBS[:1], True, DigestState.UNKNOWN, id="a layer lacks"),
        pytest.param(BLOBS[1:], True, DigestState.UNKNOWN, id="the config lacks"),
        pytest.param((), False, DigestState.PRESENT, id="not looked for"),
    ],
)
async def test_blobs(sites: Sites, there: tuple[Digest, ...], looked: bool, state: DigestState) -> None:
    for site in (sites.primary, sites.secondary):
        held = site.put(NAME, "one", "v1", blobs=BLOBS)
    sites.secondary.blobs = {(NAME, blob) for blob in there}
    found = await sites.compare(blobs=looked)
    assert await sites.state(held) is state
    assert found.incomplete == (state is DigestState.UNKNOWN)
    for blob in BLOBS:
        assert (await sites.state(blob) is DigestState.PRESENT) == (blob in there)


async def test_a_blob_that_many_share_is_looked_for_once(sites: Sites) -> None:
    for number in range(20):
        for site in (sites.primary, sites.secondary):
            site.put(NAME, f"content {number}", f"v{number}", blobs=BLOBS)
    sites.secondary.blobs = {(NAME, blob) for blob in BLOBS}
    found = await sites.compare(blobs=True)
    assert found.present == 22
    assert len(sites.secondary.questions("blob")) == 2


async def test_absence_is_not_kept(sites: Sites) -> None:
    """It would count for seconds, and an answer of a whole run is older than that."""
    held = sites.primary.put(NAME, "one", "v1")
    await sites.compare()
    assert await sites.state(held) is DigestState.UNKNOWN
    await sites.learn(Observation(held, secondary=DigestState.PRESENT))
    assert (await sites.compare()).dropped == 1
    assert await sites.state(held) is DigestState.UNKNOWN


# Tombstones


async def test_a_tombstone_of_what_the_primary_serves_is_lifted(sites: Sites) -> None:
    held = sites.both("one", "v1")
    await sites.store.primary_changed(NAME, Invalidation(tombstone=held))
    await sites.compare()
    assert await sites.state(held) is DigestState.PRESENT


async def test_a_tombstone_of_a_child_is_lifted(index: tuple[Sites, Digest, list[Digest]]) -> None:
    sites, _, children = index
    await sites.store.primary_changed(NAME, Invalidation(tombstone=children[0]))
    await sites.compare()
    assert await sites.state(children[0]) is DigestState.PRESENT


async def test_a_listing_lifts_no_tombstone() -> None:
    """The listing tells the tag still; the manifest is not served any more."""
    sites = Sites(FakeSite(bulk=True), FakeSite(bulk=True))
    held = sites.both("one", "v1")
    del sites.primary.manifests[NAME, held]
    await sites.store.primary_changed(NAME, Invalidation(tombstone=held))
    assert (await sites.compare()).same == 1
    assert await sites.state(held) is DigestState.DELETED


async def test_a_tombstone_of_a_blob_is_lifted_where_the_primary_has_it(sites: Sites) -> None:
    for site in (sites.primary, sites.secondary):
        site.put(NAME, "one", "v1", blobs=BLOBS)
        site.blobs = {(NAME, blob) for blob in BLOBS}
    sites.primary.blobs.discard((NAME, BLOBS[1]))
    for blob in BLOBS:
        await sites.store.primary_changed(NAME, Invalidation(tombstone=blob))
    await sites.compare(blobs=True)
    assert [await sites.state(blob) for blob in BLOBS] == [DigestState.PRESENT, DigestState.DELETED]


@pytest.mark.parametrize("there_as", ContentKind)
async def test_threat_a_tombstone_is_lifted_for_what_the_primary_served_alone(
    sites: Sites, there_as: ContentKind
) -> None:
    """A manifest that was also pushed as a blob: the one says nothing of the other."""
    held = sites.both("both", *(["v1"] if there_as is ContentKind.MANIFEST else []))
    if there_as is ContentKind.BLOB:
        sites.both("one", "v1")
        for site in (sites.primary, sites.secondary):
            site.put(NAME, "one", "v1", blobs=[held])
            site.blobs = {(NAME, held)}
        sites.primary.manifests.pop((NAME, held))
    await sites.store.primary_changed(NAME, Invalidation(tombstone=held))
    for _ in range(2):  # and again, with one of the two deleted
        sites.primary.bulk = sites.secondary.bulk = False
        await sites.compare(blobs=True)
        known = (await sites.store.inspect(NAME)).digests[held]
        assert known.state_as(there_as) is DigestState.PRESENT
        assert known.state_as(there_as.other) is DigestState.DELETED


async def test_threat_what_is_deleted_as_a_blob_is_lifted_by_the_primarys_blob_alone(sites: Sites) -> None:
    """Both sites list a manifest that is also its tag's config."""
    (config, _) = BLOBS
    for site in (sites.primary, sites.secondary):
        site.put(NAME, "one", "v1", blobs=[config])
        site.blobs = {(NAME, config)}
    await sites.store.primary_changed(NAME, Invalidation(tombstone=config))
    begun = await sites.evidence(config)
    seen = Observation(config, primary_has=True, kind=ContentKind.MANIFEST)
    assert await sites.store.learn_all(NAME, begun.snapshot, [seen])
    sites.primary.blobs.clear()
    await sites.compare(blobs=True)
    assert (await sites.store.inspect(NAME)).digests[config].state_as(ContentKind.BLOB) is DigestState.DELETED
    sites.primary.blobs = {(NAME, config)}
    await sites.compare(blobs=True)
    assert (await sites.store.inspect(NAME)).digests[config].state_as(ContentKind.BLOB) is DigestState.PRESENT


async def test_a_dropped_name_that_is_there_again_is_warm_again(
    index: tuple[Sites, Digest, list[Digest]],
) -> None:
    sites, top, children = index
    await sites.store.primary_dropped(NAME)
    await sites.compare()
    assert [await sites.state(each) for each in (top, *children)] == [DigestState.PRESENT] * 3


# Drops


async def test_the_lease_of_a_tag_that_is_gone_is_dropped(sites: Sites) -> None:
    sites.both("one", "v1")
    sites.both("two", "v2")
    await sites.compare()
    del sites.primary.listed[NAME][V1]
    found = await sites.compare()
    assert (found.dropped, found.extra) == (1, 1)
    assert await sites.lease() is None
    assert await sites.lease(Tag("v2")) is not None


async def test_the_lease_of_a_tag_that_is_there_after_all_is_kept(sites: Sites) -> None:
    """Pushed and read after its page was listed."""
    sites.both("one", "v1")
    late = sites.primary.put(NAME, "two")
    await sites.learn(Observation(late, tag=Tag("v2"), media_type=MANIFEST))
    epoch = await sites.epoch()

    async def push() -> None:
        sites.primary.put(NAME, "two", "v2")

    sites.primary.before = once(f"resolve {NAME} v2", push)
    found = await sites.compare()
    assert found.dropped == 0
    assert await sites.lease(Tag("v2")) is not None
    assert await sites.epoch() == epoch


async def test_the_lease_of_a_tag_that_no_lease_may_name_any_more_is_dropped(sites: Sites) -> None:
    sites.both("one", "v1")
    await sites.compare()
    sites.primary.put(NAME, "old format", "v1", media_type=SCHEMA1)
    found = await sites.compare()
    assert found.dropped == 1
    assert await sites.lease() is None


async def test_a_name_that_the_primary_does_not_know_is_dropped(sites: Sites) -> None:
    held = sites.both("one", "v1")
    await sites.compare()
    sites.primary.listed.clear()
    sites.primary.manifests.clear()
    found = await sites.compare()
    assert found == Counts(
        names=1, gone=1, extra=1, dropped=1, gone_examples=(NAME,), extra_examples=("group/app:v1",)
    )
    assert await sites.lease() is None
    assert await sites.state(held) is DigestState.DELETED
    assert (await sites.compare()).dropped == 0, "once is enough"


async def test_a_name_that_nobody_knows_leaves_nothing_behind(sites: Sites) -> None:
    """Such as one that was mistyped."""
    assert await sites.compare() == Counts(names=1, gone=1, gone_examples=(NAME,))
    assert [name async for name in sites.store.names()] == []
    sites.primary.put(NAME, "one", "v1")
    assert (await sites.compare()).leases == 1


async def test_an_unknown_name_of_which_something_is_held_is_dropped(sites: Sites) -> None:
    sites.primary.put(NAME, "one", "v1")
    await sites.compare()
    sites.primary.listed.clear()
    sites.primary.manifests.clear()
    assert await sites.compare() == Counts(names=1, gone=1, dropped=1, gone_examples=(NAME,))
    assert (await sites.store.inspect(NAME)).dropped


async def test_a_name_of_which_the_primary_tells_nothing_leaves_nothing_behind(sites: Sites) -> None:
    sites.primary.refused["tags"] = DOWN
    with pytest.raises(RegistryError):
        await sites.compare()
    assert [name async for name in sites.store.names()] == []


async def test_a_name_without_tags_whose_content_is_served_is_not_dropped(sites: Sites) -> None:
    """distribution says NAME_UNKNOWN for it too."""
    held = sites.both("one", "v1")
    await sites.compare()
    sites.primary.listed.clear()
    found = await sites.compare()
    assert (found.gone, found.dropped) == (0, 1), "the lease, for the tag is gone"
    assert await sites.lease() is None
    assert await sites.state(held) is DigestState.PRESENT


@pytest.mark.parametrize("question", ["tags", "resolve"])
async def test_what_is_refused_drops_nothing(sites: Sites, question: str) -> None:
    """A service account without rights looks like absence to a careless reader."""
    held = sites.both("one", "v1")
    await sites.compare()
    if question == "resolve":
        sites.primary.listed.clear()
    sites.primary.refused[question] = RegistryError("the primary registry: it answered 401 (DENIED)", 401)
    with pytest.raises(RegistryError, match="DENIED"):
        await sites.compare()
    assert await sites.lease() is not None
    assert await sites.state(held) is DigestState.PRESENT


# Errors


async def test_one_tag_that_cannot_be_read(sites: Sites) -> None:
    sites.both("one", "v1")
    sites.both("two", "v2")
    sites.secondary.refused |= {f"resolve {NAME} {reference}": DOWN for reference in ("v2", digest("two"))}
    found = await sites.compare()
    assert (found.tags, found.same, found.unread, found.extra, found.errors) == (2, 1, 1, 0, 1)
    assert found.error_examples == (f"{NAME}: {DOWN}",)
    assert await sites.lease() is not None


async def test_a_secondary_that_answers_nothing_ends_the_name_at_once(sites: Sites) -> None:
    for number in range(5 * STEP):
        sites.both(f"content {number}", f"v{number}")
    sites.secondary.refused["resolve"] = DOWN
    with pytest.raises(RegistryError, match="500"):
        await sites.compare()
    assert len(sites.secondary.questions("resolve")) <= STEP


# Again


async def test_a_second_run_changes_nothing_but_ages(index: tuple[Sites, Digest, list[Digest]]) -> None:
    sites, _, _ = index
    sites.both("one", "one")
    sites.primary.put(NAME, "new", "behind")
    sites.secondary.put(NAME, "old", "behind")
    sites.secondary.put(NAME, "extra", "extra")
    sites.primary.put(NAME, "partly", "partly", children=[digest("amd64"), digest("lacks")])
    sites.secondary.put(NAME, "partly", "partly", children=[digest("amd64"), digest("lacks")])
    first = await sites.compare()
    sites.clock.now += 10
    before, epoch = await sites.store.inspect(NAME), await sites.epoch()
    assert await sites.compare() == first
    after = await sites.store.inspect(NAME)
    assert await sites.epoch() == epoch
    assert {tag: lease.digest for tag, lease in after.leases.items()} == {
        tag: lease.digest for tag, lease in before.leases.items()
    }
    assert {held: known.state for held, known in after.digests.items()} == {
        held: known.state for held, known in before.digests.items()
    }
    assert {lease.age for lease in before.leases.values()} == {10.0}
    assert {lease.age for lease in after.leases.values()} == {0.0}
