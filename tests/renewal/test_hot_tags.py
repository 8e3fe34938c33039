"""Which tags are kept, and when each is due; times are plain numbers."""

from __future__ import annotations

import math

import pytest

from extproc.oci.reference import Name, Tag
from extproc.renewal.hot_tags import HotTags, Key


def key(number: int = 0) -> Key:
    return Name("g/app"), Tag(f"t{number}")


def taken(hot: HotTags, now: float) -> list[Key]:
    """All that are due, in their order."""
    found = []
    while (one := hot.take(now)) is not None:
        found.append(one)
    return found


def test_a_tag_is_due_at_its_time_and_then_nobody_elses() -> None:
    hot = HotTags(10, idle=100)
    hot.read(key(), 0, 5, leased=True)
    assert hot.next_due() == 5
    assert hot.take(4.9) is None
    assert hot.take(5) == key()
    assert hot.take(1000) is None
    assert hot.next_due() == math.inf


def test_the_earliest_comes_first() -> None:
    hot = HotTags(10, idle=100)
    for number, due in enumerate((9, 3, 6)):
        hot.read(key(number), 0, due, leased=True)
    assert taken(hot, 9) == [key(1), key(2), key(0)]


def test_the_tag_read_longest_ago_makes_room() -> None:
    hot = HotTags(2, idle=100)
    hot.read(key(1), 0, 5, leased=True)
    hot.read(key(2), 1, 5, leased=True)
    hot.read(key(1), 2, 5, leased=True)
    hot.read(key(3), 3, 5, leased=True)
    assert len(hot) == 2
    assert (key(1) in hot, key(2) in hot, key(3) in hot) == (True, False, True)
    assert taken(hot, 5) == [key(1), key(3)]


def test_a_tag_that_nobody_reads_is_forgotten() -> None:
    hot = HotTags(10, idle=100)
    hot.read(key(1), 0, 101, leased=True)
    hot.read(key(2), 1, 101, leased=True)
    assert taken(hot, 101) == [key(2)]
    assert len(hot) == 1


@pytest.mark.parametrize(
    ("leased", "due", "expected"),
    [
        pytest.param(True, 1, 5, id="a lease that holds changes nothing"),
        pytest.param(False, 1, 1, id="no lease: sooner"),
        pytest.param(False, 9, 5, id="no lease, but due before"),
    ],
)
def test_a_second_read(leased: bool, due: float, expected: float) -> None:
    hot = HotTags(10, idle=100)
    hot.read(key(), 0, 5, leased=True)
    hot.read(key(), 0, due, leased=leased)
    assert hot.next_due() == expected


def test_the_pause_grows_and_readers_do_not_cut_it_short() -> None:
    hot = HotTags(10, idle=1000)
    hot.read(key(), 0, 0, leased=False)
    pauses = []
    now = 0.0
    for _ in range(6):
        assert hot.take(now) == key()
        hot.again(key(), now, 1.0, longest=10.0)
        hot.read(key(), now, now, leased=False)
        pauses.append(hot.next_due() - now)
        now = hot.next_due()
    assert pauses == [1, 2, 4, 8, 10, 10]
    assert hot.take(now) == key()
    hot.done(key(), now + 50)
    hot.read(key(), now, now + 1, leased=False)
    assert hot.next_due() == now + 1


def test_a_pause_never_overflows() -> None:
    hot = HotTags(10, idle=math.inf)
    hot.read(key(), 0, 0, leased=False)
    for _ in range(3000):
        assert hot.take(math.inf) == key()
        hot.again(key(), 0, 1.0, longest=10.0)
    assert hot.next_due() == 10


def test_what_was_wished_during_a_look_counts_after_it() -> None:
    hot = HotTags(10, idle=100)
    hot.read(key(), 0, 0, leased=False)
    assert hot.take(0) == key()
    hot.want(key(), 1)
    hot.done(key(), 50)
    assert hot.next_due() == 1
    assert hot.take(1) == key()
    hot.want(key(), 2)
    hot.again(key(), 2, 10, longest=10)
    assert hot.next_due() == 2


def test_a_wish_is_for_hot_tags_or_for_others_once() -> None:
    hot = HotTags(10, idle=100)
    hot.want(key(1), 0)
    assert len(hot) == 0
    hot.want(key(1), 0, unread=True)
    assert hot.take(0) == key(1)
    hot.done(key(1), 50)
    assert len(hot) == 0


def test_a_wish_for_others_outlives_failures_and_becomes_a_readers() -> None:
    hot = HotTags(10, idle=100)
    hot.want(key(1), 0, unread=True)
    hot.want(key(2), 0, unread=True)
    assert taken(hot, 0) == [key(1), key(2)]
    hot.again(key(1), 0, 1, longest=10)
    hot.read(key(2), 0, 9, leased=True)
    hot.done(key(2), 50)
    assert taken(hot, 1) == [key(1)]
    hot.done(key(1), 50)
    assert (key(1) in hot, key(2) in hot) == (False, True)


def test_a_repeated_wish_during_the_look_is_not_lost() -> None:
    hot = HotTags(10, idle=100)
    hot.want(key(), 0, unread=True)
    assert hot.take(0) == key()
    hot.want(key(), 1, unread=True)
    hot.done(key(), 50)
    assert hot.take(1) == key()


def test_what_is_forgotten_during_a_look_stays_forgotten() -> None:
    hot = HotTags(10, idle=100)
    hot.read(key(), 0, 0, leased=False)
    assert hot.take(0) == key()
    hot.forget(key())
    hot.done(key(), 5)
    hot.again(key(), 0, 1, longest=10)
    hot.forget(key())
    assert (len(hot), hot.take(1000)) == (0, None)


def test_memory_is_bounded_whatever_comes() -> None:
    hot = HotTags(10, idle=1e9)
    for number in range(10_000):
        hot.read(key(number), number, 1e6 + number, leased=True)
        hot.want(key(number), number + 1e5)
    assert len(hot) == 10
    assert len(hot._heap) <= 4 * 10 + 64 + 1
    assert taken(hot, 1e6) == [key(number) for number in range(9_990, 10_000)]
