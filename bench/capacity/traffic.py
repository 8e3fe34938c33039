"""What happens to one name: clients pull and push, at this site and at the primary, and replication follows.

One event after the other, by its time. A request is decided when it is sent and teaches when its answer comes, some
milliseconds later, so requests overlap as they do in life. Clients ask for one thing after the other.

Pushes begin an hour before the window, so that what is still on its way to the secondary is right from the start; and
requests a minute before, for a lease is not older than that.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Awaitable, Callable
from itertools import count

from bench.capacity.books import Books
from bench.capacity.clock import Clock
from bench.capacity.popularity import Sampled
from bench.capacity.repository import Image, Push, Repository, name_of
from bench.capacity.workload import Workload
from extproc.auth.grant import Access, Grant
from extproc.evidence.model import Invalidation
from extproc.evidence.store import Store
from extproc.oci.media_type import LEASED_MEDIA_TYPES
from extproc.oci.reference import Digest, Tag
from extproc.routing.decision import Forward, Route
from extproc.routing.message import RequestHead, ResponseHead
from extproc.routing.reason import Reason
from extproc.routing.router import Routed, Router

BEFORE = 3600.0
WARM = 60.0
"""Seconds before the window from which pushes happen, and from which requests do."""
_ACCEPT = (", ".join(sorted(LEASED_MEDIA_TYPES)),)
_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_UPLOAD_ID = "5c0a1d6e-6f0a-4d54-9d6e-2f9a4a1f0b11"

Step = Callable[[], Awaitable[None]]


class Bearer:
    """`Verifier` that lets everybody do what they came for; what tokens cost is measured by cost.py."""

    def __init__(self) -> None:
        self.grant = Grant(frozenset(), 0.0)

    def verify(self, authorization: object, now: float) -> Grant:
        return self.grant


def grant(name: str, *actions: str) -> Grant:
    return Grant(frozenset(Access("repository", name, action) for action in actions), float("inf"))


def head(method: str, path: str) -> RequestHead:
    return RequestHead(method, path, ("Bearer t",), _ACCEPT, method in ("GET", "HEAD"))


class Traffic:
    """One name's part of a day."""

    def __init__(
        self,
        workload: Workload,
        sampled: Sampled,
        *,
        clock: Clock,
        store: Store,
        router: Router,
        bearer: Bearer,
        notifications: bool,
    ) -> None:
        self._workload = workload
        self._sampled = sampled
        self._clock = clock
        self._store = store
        self._router = router
        self._bearer = bearer
        self._notifications = notifications
        self._chance = random.Random(f"{workload.seed} {workload.names} {sampled.first}")
        self._repository = Repository(name_of(sampled.first), workload, self._chance)
        name = self._repository.name
        self._puller, self._pusher = grant(name, "pull"), grant(name, "pull", "push")
        self._events: list[tuple[float, int, Step]] = []
        self._order = count()
        self.books = Books()

    async def run(self) -> Books:
        """The counts of the window."""
        workload, sampled = self._workload, self._sampled
        self._every(sampled.pulls, -WARM, self._pull)
        self._every(sampled.pushes, -BEFORE, self._push_here)
        self._every(sampled.pushes * workload.elsewhere, -BEFORE, self._push_elsewhere)
        while self._events:
            at, _, step = heapq.heappop(self._events)
            if at >= sampled.window:
                break
            self._clock.now = Clock.START + at
            await step()
        return self.books

    @property
    def _now(self) -> float:
        """Seconds since the window's beginning."""
        return self._clock.now - Clock.START

    @property
    def _counts(self) -> bool:
        return self._now >= 0

    def _at(self, when: float, step: Step) -> None:
        heapq.heappush(self._events, (when, next(self._order), step))

    def _every(self, rate: float, since: float, step: Step) -> None:
        """At random, `rate` times a second: Poisson."""
        due = since

        def plan() -> None:
            nonlocal due
            due += self._chance.expovariate(rate)
            self._at(due, again)

        async def again() -> None:
            plan()
            await step()

        plan()

    # Clients

    async def _pull(self) -> None:
        tag = self._repository.some_tag()
        path = f"/v2/{self._repository.name}/manifests/{tag}"
        self._bearer.grant = self._puller
        routed = await self._router.route(head("HEAD", path))
        current = self._repository.digest_of(tag)
        asked = routed.decision.pin if isinstance(routed.decision, Forward) and routed.decision.pin else current
        after = self._answer(routed, asked, 0)
        if self._counts and asked != current:
            self.books.stale += 1
        image = self._repository.image(asked)
        if self._chance.random() >= self._workload.unchanged:
            missing = [each for each in image.layers if self._chance.random() < self._workload.missing]
            self._at(after, lambda: self._get("manifests", (image.manifest, image.config, *missing)))

    async def _get(self, kind: str, digests: tuple[Digest, ...]) -> None:
        asked, *others = digests
        self._bearer.grant = self._puller
        routed = await self._router.route(head("GET", f"/v2/{self._repository.name}/{kind}/{asked}"))
        after = self._answer(routed, asked, self._repository.size(asked))
        if others:
            self._at(after, lambda: self._get("blobs", tuple(others)))

    async def _push_here(self) -> None:
        pushed = self._repository.push(self._now)
        self._replicate(pushed)
        if self._now < -WARM:
            return
        name, image = self._repository.name, pushed.image
        self._bearer.grant = self._pusher
        for blob in (*image.layers, image.config):
            routed = await self._router.route(head("HEAD", f"/v2/{name}/blobs/{blob}"))
            self._answer(routed, blob, 0)
        uploads = f"/v2/{name}/blobs/uploads/"
        for blob in image.fresh[:-1]:
            for method, path in (
                ("POST", uploads),
                ("PATCH", uploads + _UPLOAD_ID),
                ("PUT", f"{uploads}{_UPLOAD_ID}?digest={blob}"),
            ):
                self._wrote(await self._router.route(head(method, path)))
        routed = await self._router.route(head("PUT", f"/v2/{name}/manifests/{pushed.tag}"))
        self._wrote(routed)
        self._at(
            self._now + self._workload.primary_latency,
            lambda: self._router.observe(routed, _answered("primary", image.manifest, 201)),
        )

    # The primary and replication

    async def _push_elsewhere(self) -> None:
        self._replicate(self._repository.push(self._now))

    def _replicate(self, pushed: Push) -> None:
        if not self._notifications:
            return
        for due, tell in ((self._now, self._tell_pushed), (pushed.arrives, self._tell_arrived)):
            told = due + self._workload.notified_after
            if told >= -WARM:
                self._at(told, lambda tell=tell: tell(pushed.tag, pushed.image))  # type: ignore[misc]

    async def _tell_pushed(self, tag: Tag, image: Image) -> None:
        """As extproc/notification/effect.py reads it."""
        self._told()
        await self._store.primary_changed(self._repository.name, Invalidation(tag=tag), pushed=image.manifest)

    async def _tell_arrived(self, tag: Tag, image: Image) -> None:
        """The secondary is pushed to by replication: a manifest's notification names its config and layers."""
        self._told()
        await self._store.secondary_has(self._repository.name, (image.manifest, image.config, *image.layers))

    def _told(self) -> None:
        if self._counts:
            self.books.kinds["notification"] += 1

    # The books

    def _answer(self, routed: Routed, asked: Digest, size: int) -> float:
        """Note a read's answer, and let it teach when it is there. Gives when that is."""
        decision = routed.decision
        if not isinstance(decision, Forward):
            raise TypeError(f"{routed.operation} is refused: {decision}")
        tried = decision.route is Route.SECONDARY
        local = tried and self._repository.secondary_has(asked, self._now)
        latency = self._workload.secondary_latency if tried else 0.0
        if not local:
            latency += self._workload.primary_latency
        if self._counts:
            self.books.read(decision.reason, size, local=local)
            self.books.fell_back += tried and not local
            self.books.kinds[_kind(routed)] += 1
        if routed.wants_response:
            response = _answered("secondary" if local else "primary", asked, 200, attempts=2 if tried > local else 1)
            self._at(self._now + latency, lambda: self._router.observe(routed, response))
        return self._now + latency

    def _wrote(self, routed: Routed) -> None:
        if self._counts:
            self.books.writes += 1
            self.books.kinds["write" if routed.wants_response else "no look-up"] += 1


def _kind(routed: Routed) -> str:
    """A read, by what it costs."""
    if not routed.looked_up:
        return "no look-up"
    what = "tag" if isinstance(routed.operation.reference, Tag) else "digest"
    return f"{what}, learned" if routed.wants_response else what


def _answered(site: str, digest: Digest, status: int, attempts: int = 1) -> ResponseHead:
    return ResponseHead(status, digest, _MANIFEST_TYPE, site, attempts)


def reasons_of_reads() -> tuple[str, ...]:
    """Those that a read of this traffic may have."""
    return tuple(
        each.value
        for each in (
            Reason.TAG_VERIFIED,
            Reason.TAG_UNVERIFIED,
            Reason.TAG_STALE,
            Reason.DIGEST_PRESENT,
            Reason.DIGEST_UNKNOWN,
            Reason.DIGEST_ABSENT,
            Reason.PUSH_TOKEN,
        )
    )
