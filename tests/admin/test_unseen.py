"""What the copy of an unseen write makes untrue, on a real store and with a recording one."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from extproc.admin.unseen import UnseenWrites
from extproc.evidence.backlog import Backlog
from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import DigestState, Invalidation, Observation
from extproc.oci.reference import Digest, Name, Tag
from tests.support.clock import Clock

NAME = Name("g/app")
DIGEST = Digest("sha256:" + "1" * 64)
BY_TAG = Invalidation(tag=Tag("latest"))
BY_DIGEST = Invalidation(all_leases=True, tombstone=DIGEST)


@dataclass
class Recording:
    """Remembers what was asked of it."""

    writes: list[tuple[Name, Invalidation, float]] = field(default_factory=list)
    marks: set[str] = field(default_factory=set)
    voided: int = 0

    async def begin_write(self, name: Name, mark: str, what: Invalidation, ttl: float) -> None:
        self.writes.append((name, what, ttl))
        self.marks.add(mark)

    async def void_leases(self) -> None:
        self.voided += 1


@pytest.mark.parametrize(
    ("method", "path", "what"),
    [
        pytest.param("PUT", "/v2/g/app/manifests/latest", BY_TAG, id="PUT by tag"),
        pytest.param("PUT", "/v2/g/app/manifests/latest?x=%2F", BY_TAG, id="with a query"),
        pytest.param("PUT", f"/v2/g/app/manifests/{DIGEST}", Invalidation(), id="PUT by digest"),
        pytest.param(
            "PUT", f"/v2/g/app/manifests/{DIGEST}?tag=a", Invalidation(all_leases=True), id="PUT that moves tags"
        ),
        pytest.param("DELETE", "/v2/g/app/manifests/latest", BY_TAG, id="DELETE by tag"),
        pytest.param("DELETE", "/v2/g/app/tags/reference/latest", BY_TAG, id="DELETE of GitLab's"),
        pytest.param("DELETE", f"/v2/g/app/manifests/{DIGEST}", BY_DIGEST, id="DELETE by digest"),
        pytest.param("DELETE", f"/v2/g/app/blobs/{DIGEST}", BY_DIGEST, id="DELETE of a blob"),
    ],
)
async def test_a_write_of_one_name(method: str, path: str, what: Invalidation) -> None:
    recording = Recording()
    unseen = UnseenWrites(recording, mark_ttl=125.0)
    await unseen.take(method, path)
    await unseen.take(method, path)
    assert recording.writes == [(NAME, what, 125.0)] * 2
    assert len(recording.marks) == 2
    assert recording.voided == 0


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("PUT", "/v2/g/%61pp/manifests/latest", id="escaped name"),
        pytest.param("PUT", "/%76%32/g/app/manifests/latest", id="escaped root"),
        pytest.param("DELETE", "/v2/g//app/manifests/latest", id="empty segment"),
        pytest.param("PUT", "/v2/g/x/../app/manifests/latest", id="dot segment"),
        pytest.param("PUT", "/v2/g/app/manifests/latest/", id="trailing slash"),
        pytest.param("PUT", "/v2/g/app/manifests/md5:1", id="unknown digest"),
        pytest.param("PUT", "/v2/g/app/manifests/\udcff", id="not ASCII"),
        pytest.param("DELETE", "/gitlab/v1/repositories/path/g/app/", id="GitLab's API"),
        pytest.param("PUT", "/", id="another path"),
        pytest.param("PUT", "", id="no path"),
    ],
)
async def test_a_write_that_cannot_be_read_voids_all_leases(method: str, path: str) -> None:
    recording = Recording()
    await UnseenWrites(recording, mark_ttl=1).take(method, path)
    assert (recording.writes, recording.voided) == ([], 1)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/v2/g/app/blobs/uploads/1?digest=x", id="upload session"),
        pytest.param("/v2/g/app/blobs/uploads/", id="upload start"),
        pytest.param("/v2/g/app/manifests/.bad", id="a reference that is none"),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_write_that_changes_no_evidence_touches_nothing(method: str, path: str) -> None:
    """The DELETE of an upload session cancels it: no delete."""
    recording = Recording()
    await UnseenWrites(recording, mark_ttl=1).take(method, path)
    assert (recording.writes, recording.voided) == ([], 0)


async def test_each_copy_is_counted() -> None:
    counted: list[int] = []
    unseen = UnseenWrites(Recording(), mark_ttl=1, count=lambda: counted.append(1))
    for path in ("/v2/g/app/manifests/latest", "/v2/g/%61pp/manifests/x", "/v2/g/app/blobs/uploads/1"):
        await unseen.take("PUT", path)
    assert len(counted) == 3


async def test_nothing_of_before_is_served_or_learned_until_the_write_must_be_over() -> None:
    clock = Clock()
    store = MemoryStore(absent_ttl=5, clock=clock)
    before = await store.decide(NAME, Tag("latest"))
    learned = Observation(DIGEST, tag=Tag("latest"), media_type="m", primary_has=True)
    assert await store.learn(NAME, before.snapshot, learned)
    await UnseenWrites(Backlog(store), mark_ttl=125).take("PUT", "/v2/g/app/manifests/latest")
    during = await store.decide(NAME, Tag("latest"))
    assert (during.lease, during.marked) == (None, True)
    assert not await store.learn(NAME, before.snapshot, learned)
    clock.advance(125.1)
    assert not (await store.decide(NAME, Tag("latest"))).marked


async def test_a_delete_leaves_a_tombstone() -> None:
    store = MemoryStore(absent_ttl=5, clock=Clock())
    await UnseenWrites(Backlog(store), mark_ttl=125).take("DELETE", f"/v2/g/app/manifests/{DIGEST}")
    assert (await store.decide(NAME, DIGEST)).digest is DigestState.DELETED


async def test_a_request_that_cannot_be_read_voids_all_leases() -> None:
    recording, counted = Recording(), []
    await UnseenWrites(recording, mark_ttl=125.0, count=lambda: counted.append(1)).unreadable()
    assert (recording.voided, recording.writes, counted) == (1, [], [1])
