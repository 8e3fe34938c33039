"""What people see. The documents are made by the reports of a real store."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import DigestState, Invalidation, Observation
from extproc.oci.reference import Digest, Name, Tag
from extproc.reconcile.checkpoint import Checkpoint
from extproc.reconcile.summary import Counts
from extproc.status.reports import Reports
from extproc.status.table import print_name, print_site
from extproc.status.words import short, span
from tests.support.clock import Clock
from tests.support.heads import INDEX

APP = Name("group/subgroup/a-project-with-a-long-name/" + "x" * 120)
D1, D2 = (Digest(f"sha256:{digit * 64}") for digit in "12")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(printed: Callable[..., None], document: dict[str, Any], stream: io.StringIO | None = None) -> list[str]:
    stream = stream or io.StringIO()
    printed(document, stream)
    return stream.getvalue().splitlines()


class Site:
    def __init__(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore(absent_ttl=60, clock=self.clock)
        self.reports = Reports(self.store, url="redis://store:6379/0", max_staleness=60, now=self.clock)

    async def lease(self, name: Name, tag: str, digest: Digest, *, here: bool) -> None:
        snapshot = (await self.store.decide(name, Tag(tag))).snapshot
        secondary = DigestState.PRESENT if here else DigestState.UNKNOWN
        seen = Observation(digest, tag=Tag(tag), media_type=INDEX, secondary=secondary, primary_has=True)
        assert await self.store.learn(name, snapshot, seen)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.0, "0.0 s"),
        (0.44, "0.4 s"),
        (9.99, "10.0 s"),
        (42.4, "42 s"),
        (60, "1 min"),
        (185, "3 min 5 s"),
        (3600, "1 h"),
        (3661, "1 h 1 min"),
        (86400 * 2 + 3600 * 4 + 59, "2 d 4 h"),
        (59.6, "1 min"),
    ],
)
def test_span(seconds: float | None, text: str) -> None:
    assert span(seconds) == text


def test_short() -> None:
    assert short(D1) == "sha256:111111111111"
    assert short("sha512:" + "a" * 128) == "sha512:aaaaaaaaaaaa"


async def test_a_site() -> None:
    site = Site()
    await site.lease(APP, "latest", D1, here=True)
    site.clock.advance(61)
    await site.lease(APP, "v2", D2, here=False)
    await site.store.primary_changed(Name("a/b"), Invalidation(tag=Tag("t")), pushed=D1)
    await site.store.primary_dropped(Name("a/c"))
    checkpoint = await Checkpoint.open(site.store, "catalog", "serve", site.clock())
    checkpoint.add(APP, Counts(names=1, tags=9, same=8, missing=1, errors=1))
    site.clock.advance(4)
    await checkpoint.finish(site.clock())
    site.clock.advance(3)
    printed = lines(print_site, await site.reports.site(2))
    assert printed[0].startswith("store      redis://store:6379/0 answers in ")
    assert printed[1:8] == [
        "names      2, and more that were not read",
        "leases     1 fresh, 1 older than 1 min; the oldest is 1 min 8 s old",
        "behind     2 manifests not known to be here; 1 of pushes that were told, for up to 7.0 s",
        "digests    1 present, 0 absent, 0 deleted",
        "writes     0 under way, or not known to have ended",
        "lag        none seen: no push was followed from the primary to here",
        "reconcile  3.0 s ago, in 4.0 s: 1 name, 9 tags; 8 same, 0 behind, 1 missing, 0 extra, "
        "1 name not wholly read",
    ]
    assert printed[8] == ""
    assert printed[9].split() == ["most", "behind", "behind", "awaited", "longest", "wait"]
    # Whole, however long, and on one line where there is no terminal.
    assert any(line.startswith(APP) for line in printed[10:])
    await site.store.secondary_has(Name("a/b"), [D1])
    assert any(
        line.startswith("lag        7.0 s in the median") for line in lines(print_site, await site.reports.site())
    )
    assert any(", 1 dropped" in line for line in lines(print_site, await site.reports.site()))


async def test_an_interrupted_run() -> None:
    site = Site()
    await Checkpoint.open(site.store, "catalog", "serve", site.clock())
    site.clock.advance(90)
    printed = lines(print_site, await site.reports.site())
    assert "reconcile  no run has finished" in printed
    assert (
        "reconcile  under way, or interrupted: names from catalog, 0 done, began 1 min 30 s ago, by serve" in printed
    )


def test_a_store_that_is_away() -> None:
    store = {
        "url": "redis://h",
        "available": False,
        "round_trip": None,
        "detail": "the store is away: redis://h: gone",
    }
    document = {"role": "secondary", "store": store, "max_staleness": 60.0, "evidence": None, "reconcile": None}
    assert lines(print_site, document) == ["store  is away: redis://h: gone"]
    store["detail"] = f"the store refused us: {'x' * 500}"
    assert lines(print_site, document) == [f"store  refused us: {'x' * 500}"]


@pytest.mark.parametrize("promoted", [True, False])
async def test_the_role(promoted: bool) -> None:
    reports = Reports(MemoryStore(absent_ttl=60), url="memory://", max_staleness=60, promoted=lambda: promoted)
    document = await reports.site()
    assert document["role"] == ("primary" if promoted else "secondary")
    (first, *_) = lines(print_site, document)
    assert first.startswith("role       primary: " if promoted else "store      memory://")


async def test_a_name() -> None:
    site = Site()
    name = Name("g/app")
    await site.lease(name, "latest", D1, here=True)
    site.clock.advance(61)
    await site.lease(name, "v2", D2, here=False)
    await site.store.begin_write(name, "m", Invalidation(tag=Tag("x")), 125)
    await site.store.primary_changed(name, Invalidation(), pushed=D2)
    for number in range(25):
        gone = Digest(f"sha256:{number:064x}")
        await site.store.primary_changed(name, Invalidation(tombstone=gone))
    printed = lines(print_name, await site.reports.name(name))
    assert printed[:6] == [
        "name      g/app",
        "leases    1 fresh, 1 older than 1 min; the oldest is 1 min 1 s old",
        "behind    1 manifest not known to be here; 1 of pushes that were told, for up to 0.0 s",
        "digests   1 present, 0 absent, 25 deleted",
        "writes    1 under way; taken for ended in 2 min 5 s at the latest",
        "last lag  –",
    ]
    tags = [line.split() for line in printed if line.startswith(("latest", "v2"))]
    assert tags == [
        ["latest", "sha256:111111111111", "1", "min", "1", "s", "too", "old", "present"],
        ["v2", "sha256:222222222222", "0.0", "s", "fresh", "unknown"],
    ]
    assert "and 5 more: -o json" in printed


async def test_a_dropped_name() -> None:
    site = Site()
    await site.store.primary_dropped(APP)
    printed = lines(print_name, await site.reports.name(APP))
    assert any(line.startswith("dropped   renamed or deleted on the primary") for line in printed)


async def test_nothing() -> None:
    assert lines(print_name, await Site().reports.name(Name("a/b"))) == ["nothing is held of a/b"]


async def test_colour_only_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    site = Site()
    await site.lease(Name("a/b"), "latest", D1, here=True)
    document = await site.reports.name(Name("a/b"))
    assert "\x1b[" in "".join(lines(print_name, document, Terminal()))
    assert "\x1b[" not in "".join(lines(print_name, document))
