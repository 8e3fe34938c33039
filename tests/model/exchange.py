"""One request through this site, as Envoy carries it, in steps that the model can order at will.

    ROUTING     the worker's `route` runs; the store's gates hold it
    FORWARDED   on its way to a site. When it arrives, the site acts and answers
    ANSWERED    the answer is on its way back
    OBSERVING   the worker's `observe` runs
    DONE        the client has its answer, or nothing

Envoy's rules (design §3, §4, §6; extproc/bootstrap/routes.py)
1. A processor that dies or is too slow before it decided: the request goes on unseen. It may be tried at another
   worker first (fact 10).
2. Unseen: reads to the primary; a DELETE by digest is refused; another write goes to the primary, with a copy to us.
3. A processor that dies or is too slow after that: the answer goes on unobserved.
4. Secondary first: what it does not serve with 200 the primary is asked for, by the same path.
5. A push may be told before its tag moves (distribution).
6. A write's stream is ended `write_timeout` after its start. What the primary has of it by then, it may still do.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from extproc.oci.reference import Digest, Name, Tag
from extproc.routing.decision import Forward, Refuse, Route
from extproc.routing.message import RequestHead, ResponseHead
from extproc.routing.router import Routed
from tests.model.content import LAYER, AsBlob, Client
from tests.model.ledger import Write
from tests.model.promises import Read
from tests.model.world import NO_ANSWER, Answer, Reference
from tests.support.heads import request

if TYPE_CHECKING:
    from tests.model.process import Worker


def path_of(name: Name, reference: Reference) -> str:
    if isinstance(reference, AsBlob):
        return f"/v2/{name}/blobs/{reference.digest}"
    kind = "blobs" if reference == LAYER else "manifests"
    return f"/v2/{name}/{kind}/{reference}"


class Phase(Enum):
    ROUTING = auto()
    FORWARDED = auto()
    ANSWERED = auto()
    OBSERVING = auto()
    DONE = auto()


@dataclass(frozen=True, slots=True)
class Change:
    """What a write asks for."""

    method: str
    reference: Reference
    content: Digest | None = None
    """Of a PUT: the manifest in its body."""
    tag: Tag | None = None
    """Of a PUT by digest: the tag that its query names."""
    refused: bool = False
    """The primary will not do it."""
    told_first: bool = False
    """The primary tells of it a step before it does it, as distribution does with the tag of a push."""


@dataclass(eq=False)
class Exchange:
    """State only; `Gateway` moves it."""

    label: str
    client: Client
    name: Name
    reference: Reference
    started_at: float
    read: Read | None = None
    change: Change | None = None
    write: Write | None = None
    phase: Phase = Phase.ROUTING
    worker: Worker | None = None
    """None once no processor has a hand in it."""
    routed: Routed | None = None
    deciding: asyncio.Task[Routed] | None = None
    observing: asyncio.Task[None] | None = None
    attempts: int = 0
    told: bool = False
    """Of a push that is told first: whether it has been."""
    answer: Answer = NO_ANSWER
    site: str = ""

    @property
    def path(self) -> str:
        query = f"?tag={self.change.tag}" if self.change and self.change.tag else ""
        return path_of(self.name, self.reference) + query

    @property
    def head(self) -> RequestHead:
        method = self.change.method if self.change else "GET"
        return request(method, self.path, accept=self.client.accept, token=self.client.name)

    @property
    def decision(self) -> Forward | Refuse | None:
        return self.routed.decision if self.routed else None

    @property
    def asked(self) -> Reference:
        """What a site is asked for."""
        decision = self.decision
        pin = decision.pin if isinstance(decision, Forward) else None
        return pin or self.reference

    @property
    def goes_to(self) -> str:
        decision = self.decision
        first = isinstance(decision, Forward) and decision.route is Route.SECONDARY and self.attempts == 0
        return "secondary" if first else "primary"

    @property
    def response(self) -> ResponseHead:
        return ResponseHead(
            self.answer.status, self.answer.digest or "", self.answer.media_type, self.site, self.attempts
        )

    def __str__(self) -> str:
        return f"{self.label} ({self.phase.name.lower()})"
