"""After every step: what would each client get now, for everything it can ask, from each worker?

A read that starts and ends at this instant, decided by the real router on the store as it is, and judged as any
other. So a lease or a tombstone that is wrong is found when it is, not when somebody happens to read it. It leaves no
trace.
"""

from __future__ import annotations

from functools import cache

from extproc.evidence.model import Evidence, Observation, Snapshot
from extproc.oci.reference import Digest, Name, Tag
from extproc.routing.decision import Forward, Route
from extproc.routing.message import RequestHead
from extproc.routing.router import Routed
from tests.model.content import DIGESTS, NAMES, OLD_READER, ONE_AS_BLOB, READER, TAGS, Client
from tests.model.exchange import path_of
from tests.model.promises import Read
from tests.model.scheduler import at_once
from tests.model.site import Site
from tests.model.world import Reference
from tests.support.heads import request

_ASKS: tuple[tuple[Client, Reference], ...] = (
    *((client, tag) for tag in TAGS for client in (READER, OLD_READER)),
    *((READER, digest) for digest in DIGESTS),
    (READER, ONE_AS_BLOB),
)


class _Seen:
    """Facts read beforehand, so that a look changes nothing."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._known: dict[tuple[Name, Tag | Digest], Evidence] = {}

    async def decide(self, name: Name, reference: Tag | Digest) -> Evidence:
        key = (name, reference)
        if key not in self._known:
            self._known[key] = self._site.depot.peek(name, reference)
        return self._known[key]

    async def learn(self, name: Name, snapshot: Snapshot, seen: Observation) -> bool:
        raise AssertionError("a look learns nothing")


@cache
def _asked(name: Name) -> tuple[tuple[Client, Reference, RequestHead], ...]:
    return tuple(
        (client, reference, request("GET", path_of(name, reference), accept=client.accept, token=client.name))
        for client, reference in _ASKS
    )


def probe(site: Site) -> None:
    """Raises PromiseBroken."""
    turn = site.tick(quiet=True)
    facts = _Seen(site)
    for name in NAMES:
        if all(not version.content[name].digests for version in site.primary.versions):
            continue
        # Those that know of something that the store does not ask the primary, and find nothing stale.
        willing = [worker for worker in site.workers.values() if not worker.backlog.blocks(name)]
        if not willing:
            continue
        # Two of them decide alike: they differ in nothing else.
        router = willing[0].router_on(facts)
        for client, reference, head in _asked(name):
            routed = at_once(router.route(head))
            for worker in willing:
                _judge(site, routed, Read(client, name, reference, worker.name, turn, turn, site.clock.now))


def _judge(site: Site, routed: Routed, read: Read) -> None:
    decision = routed.decision
    assert isinstance(decision, Forward)
    if decision.stale is not None:
        # Should the primary fail now.
        by_digest = decision.stale if isinstance(read.reference, Tag) else read.reference
        answer = site.secondary.read(read.name, by_digest, read.client.accept)
        if answer.status == 200:
            read.pin = decision.stale if isinstance(read.reference, Tag) else None
            read.answer, read.site, read.ended, read.stale = answer, "secondary", read.started, True
            site.judge(read)
        return
    if decision.route is not Route.SECONDARY:
        return
    asked = decision.pin or read.reference
    answer, where = site.secondary.read(read.name, asked, read.client.accept), "secondary"
    if answer.status != 200:
        answer, where = site.primary.now.read(read.name, asked, read.client.accept), "primary"
    read.pin, read.answer, read.site, read.ended = decision.pin, answer, where, read.started
    site.judge(read)
