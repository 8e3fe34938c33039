"""What a run keeps of itself: nothing is counted twice, whenever it is killed."""

from __future__ import annotations

import pytest

from extproc.evidence.memory import MemoryStore
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
    assert again.head.started == NOW


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
