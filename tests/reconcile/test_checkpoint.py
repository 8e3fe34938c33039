"""What a run keeps of itself: nothing is counted twice, whenever it is killed."""

from __future__ import annotations

from contextlib import suppress

import pytest

from extproc.evidence.memory import MemoryStore
from extproc.evidence.store import StoreUnavailable
from extproc.oci.reference import Name
from extproc.reconcile.checkpoint import FINISHED, OLDEST, RUNNING, Checkpoint, finished, running
from extproc.reconcile.summary import Counts

ONE = Counts(names=1, tags=2, same=1, behind=1, behind_examples=("a:b",))
NOW = 1_000_000.0


def names(first: int, last: int) -> list[Name]:
    return [Name(f"group/app{number}") for number in range(first, last)]


async def opened(store: MemoryStore, source: str = "catalog", now: float = NOW, *, fresh: bool = False) -> Checkpoint:
    return await Checkpoint.open(store, source, "a test", now, fresh=fresh)


async def kept(store: MemoryStore, count: int) -> None:
    """A run that did so many names, saved and was killed."""
    checkpoint = await opened(store)
    for name in names(0, count):
        checkpoint.add(name, ONE)
    await checkpoint.save()


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2500])
async def test_what_was_saved_is_there_again(count: int) -> None:
    store = MemoryStore(2.0)
    await kept(store, count)
    again = await opened(store, now=NOW + 5)
    assert (again.resumed, again.counts.names, again.counts.tags) == (count, count, 2 * count)
    assert all(name in again for name in names(0, count))
    assert not any(name in again for name in names(count, count + 50))
    # One that has done nothing is not continued.
    assert again.head.started == (NOW if count else NOW + 5)


async def test_saves_go_on_where_the_last_ended() -> None:
    store = MemoryStore(2.0)
    await kept(store, 990)
    second = await opened(store)
    for name in names(990, 1010):
        second.add(name, ONE)
        await second.save()
    third = await opened(store)
    assert all(name in third for name in names(0, 1010))
    assert (third.resumed, third.counts.names) == (1010, 1010)


async def test_killed_between_the_names_and_the_head() -> None:
    """The names are written first: what the head does not count is done again, and counted once."""
    store = MemoryStore(2.0)
    await kept(store, 5)
    head = await store.noted(RUNNING)
    await kept(store, 8)
    await store.note(RUNNING, head)
    again = await opened(store)
    assert (again.resumed, again.counts.names) == (5, 5)
    assert names(5, 6)[0] not in again


@pytest.mark.parametrize(
    ("source", "after", "fresh"),
    [
        pytest.param("store", 5.0, False, id="another source"),
        pytest.param("catalog", OLDEST + 1, False, id="too long ago"),
        pytest.param("catalog", -5.0, False, id="from the future"),
        pytest.param("catalog", 5.0, True, id="not wanted"),
    ],
)
async def test_what_is_not_continued(source: str, after: float, fresh: bool) -> None:
    store = MemoryStore(2.0)
    await kept(store, 1500)
    checkpoint = await opened(store, source, NOW + after, fresh=fresh)
    assert (checkpoint.resumed, checkpoint.counts, checkpoint.head.started) == (0, Counts(), NOW + after)
    head = await running(store)
    assert head is not None
    assert (head.source, head.done) == (source, 0)


async def test_a_run_over_another_source_displaces_nothing_before_it_has_done_a_name() -> None:
    store = MemoryStore(2.0)
    await kept(store, 1500)
    other = await opened(store, "file names", NOW + 5)
    assert other.displaced is not None
    assert (other.displaced.source, other.displaced.done) == ("catalog", 1500)
    await other.save()
    # Killed here, nothing is lost; and what had done nothing lends its start to nobody.
    third = await opened(store, "file names", NOW + 10)
    assert (third.resumed, third.head.started) == (0, NOW + 10)
    again = await opened(store, now=NOW + 15)
    assert (again.resumed, again.head.started, again.displaced) == (1500, NOW, None)
    assert all(name in again for name in names(0, 1500))


@pytest.mark.parametrize(("before", "after"), [(5, 1), (5, 8), (1500, 3)])
async def test_with_its_first_name_done_it_has_the_place(before: int, after: int) -> None:
    store = MemoryStore(2.0)
    await kept(store, before)
    other = await opened(store, "file names", NOW + 5)
    for name in names(5000, 5000 + after):
        other.add(name, ONE)
    await other.save()
    assert other.displaced is None
    again = await opened(store, "file names", NOW + 10)
    assert (again.resumed, again.head.started) == (after, NOW + 5)
    assert [await store.noted(f"{RUNNING}-{number}") for number in (1, 2)] == [None, None]
    assert (await opened(store, now=NOW + 15)).resumed == 0


class Dying(MemoryStore):
    """Takes so many notes, and no more."""

    left = 1000

    async def note(self, topic: str, text: str | None) -> None:
        if self.left == 0:
            raise StoreUnavailable("killed")
        self.left -= 1
        await super().note(topic, text)


@pytest.mark.parametrize("writes", range(6))
async def test_killed_while_it_takes_the_place(writes: int) -> None:
    """Whatever was written last: no name counts as done for a run that did not do it."""
    store = Dying(2.0)
    await kept(store, 5)
    other = await opened(store, "file names", NOW + 5)
    for name in names(5000, 5008):
        other.add(name, ONE)
    store.left = writes
    with suppress(StoreUnavailable):
        await other.save()
    store.left = 1000
    again = await opened(store, now=NOW + 10)
    assert (again.resumed, names(0, 1)[0] in again) in [(5, True), (0, False)]
    assert names(5000, 5001)[0] not in again


async def test_a_run_that_did_nothing_leaves_nothing() -> None:
    store = MemoryStore(2.0)
    await (await opened(store)).close()
    assert await running(store) is None
    await kept(store, 5)
    before = await running(store)
    await (await opened(store, "file names", NOW + 5)).close()
    assert await running(store) == before
    # Nor does one that was stopped before its first save take a place that it did not have.
    stopped = await opened(store, "file names", NOW + 5)
    stopped.add(names(5000, 5001)[0], ONE)
    assert stopped.kept == ""
    await stopped.close()
    assert await running(store) == before
    # One that goes on keeps what it goes on from.
    continued = await opened(store, now=NOW + 5)
    assert continued.kept == ", 5 names are done and kept: the next run goes on from there"
    await continued.close()
    assert await running(store) == before


@pytest.mark.parametrize(
    ("topic", "text"),
    [
        pytest.param(RUNNING, "{", id="head"),
        pytest.param(RUNNING, '{"source": "catalog"}', id="half a head"),
        pytest.param(f"{RUNNING}-0", None, id="names gone"),
        pytest.param(f"{RUNNING}-0", "short", id="names cut"),
        pytest.param(f"{RUNNING}-0", "ä", id="not names"),
    ],
)
async def test_notes_that_cannot_be_read_begin_anew(topic: str, text: str | None) -> None:
    store = MemoryStore(2.0)
    await kept(store, 5)
    await store.note(topic, text)
    assert (await opened(store)).resumed == 0


async def test_the_end_leaves_the_summary_alone() -> None:
    store = MemoryStore(2.0)
    await kept(store, 2500)
    checkpoint = await opened(store)
    summary = await checkpoint.finish(NOW + 60)
    assert (summary.names, summary.started, summary.finished, summary.by) == (2500, NOW, NOW + 60, "a test")
    assert await finished(store) == summary
    assert [await store.noted(topic) for topic in (RUNNING, *(f"{RUNNING}-{n}" for n in range(4)))] == [None] * 5


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"names": "many"}'])
async def test_a_summary_that_cannot_be_read_is_none(text: str | None) -> None:
    store = MemoryStore(2.0)
    await store.note(FINISHED, text)
    assert await finished(store) is None


async def test_a_run_over_single_names_keeps_nothing() -> None:
    checkpoint = Checkpoint.unsaved("the command line", "a test", NOW)
    checkpoint.add(Name("group/app"), ONE)
    await checkpoint.save()
    assert (await checkpoint.finish(NOW)).names == 1
