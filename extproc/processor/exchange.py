"""The phases of one ext_proc stream, sans-IO: bytes in, a question or a reply out.

Rules (Envoy's ext_proc.proto)
1. Exactly one reply per message, of the message's own kind, or an immediate response that ends the stream.
2. The first message is the request's head; at most one response head follows.
3. Phases we never asked for are passed on unchanged, be it a response head, a body or trailers: Envoy may be
   configured to send them.
4. Anything else is a ProtocolError: the stream fails and Envoy sends the request to the primary.
"""

from __future__ import annotations

from enum import Enum, auto
from functools import lru_cache
from typing import NamedTuple

from extproc.auth.challenge import Challenge
from extproc.evidence.model import ContentKind
from extproc.processor.codec import OtherPhase, decode, encode_continue, encode_route
from extproc.processor.refusal import REASON_HEADER, encode_refusal
from extproc.routing.decision import Forward, Refuse, Route, content_kind
from extproc.routing.message import RequestHead, ResponseHead
from extproc.routing.reason import Reason
from extproc.routing.router import Routed

ROUTE_HEADER = "x-geo-route"
STALE_HEADER = "x-geo-stale"
"""The path by which the secondary may be asked where the primary fails."""


class ProtocolError(Exception):
    """The peer sent a message that this phase does not allow."""


class ObserveWanted(NamedTuple):
    """Learn from this answer, then call `observed`."""

    routed: Routed
    head: ResponseHead


Event = RequestHead | ObserveWanted | bytes
"""A question to the driver, or the reply itself. A request's head: decide on it, then call `routed`."""


class _Phase(Enum):
    START = auto()
    ROUTING = auto()
    FORWARDED = auto()
    OBSERVING = auto()
    ANSWERED = auto()
    OVER = auto()


class Exchange:
    """One stream's state. Drive it: `receive`, answer its question, send the bytes it gives."""

    __slots__ = ("_challenge", "_head", "_phase", "_routed", "_show_reason")

    def __init__(self, challenge: Challenge, *, show_reason: bool = True) -> None:
        """`show_reason`: whether an answer made here carries `x-geo-reason`; Envoy sees to all other answers."""
        self._challenge = challenge
        self._show_reason = show_reason
        self._phase = _Phase.START
        self._head: RequestHead | None = None
        self._routed: Routed | None = None

    def receive(self, data: bytes) -> Event:
        """One message of the peer. Raises ProtocolError, and codec.WireError for undecodable bytes."""
        message, phase = decode(data), self._phase
        if isinstance(message, RequestHead):
            if phase is _Phase.START:
                self._phase, self._head = _Phase.ROUTING, message
                return message
        elif isinstance(message, ResponseHead):
            if phase is _Phase.FORWARDED and self._routed is not None:
                if not self._routed.wants_response:
                    self._phase = _Phase.ANSWERED
                    return encode_continue(OtherPhase.RESPONSE_HEADERS)
                self._phase = _Phase.OBSERVING
                return ObserveWanted(self._routed, message)
        elif phase is _Phase.FORWARDED or phase is _Phase.ANSWERED:
            return encode_continue(message)
        raise ProtocolError(f"{type(message).__name__} in phase {phase.name}")

    def routed(self, routed: Routed) -> bytes:
        """The reply to the request's head."""
        if self._phase is not _Phase.ROUTING or self._head is None:
            raise AssertionError("no request head is waiting for its route")
        self._routed = routed
        if isinstance(routed.decision, Refuse):
            self._phase = _Phase.OVER
            return encode_refusal(routed.decision, self._challenge, show_reason=self._show_reason)
        self._phase = _Phase.FORWARDED
        return _forward(routed, routed.decision, self._head)

    def observed(self) -> bytes:
        """The reply to the response's head."""
        if self._phase is not _Phase.OBSERVING:
            raise AssertionError("no response head is waiting to be passed on")
        self._phase = _Phase.ANSWERED
        return encode_continue(OtherPhase.RESPONSE_HEADERS)


@lru_cache(maxsize=256)
def _encode_plain(route: Route, reason: Reason, observe: bool) -> bytes:
    return encode_route([(ROUTE_HEADER, route.word), (REASON_HEADER, reason.word)], observe=observe)


def _forward(routed: Routed, decision: Forward, head: RequestHead) -> bytes:
    if decision.pin is None and decision.stale is None:
        return _encode_plain(decision.route, decision.reason, routed.wants_response)
    headers = [(ROUTE_HEADER, decision.route.word), (REASON_HEADER, decision.reason.word)]
    if decision.pin is not None:
        query = head.path.partition("?")[1:]
        path = f"/v2/{routed.operation.name}/manifests/{decision.pin}"
        headers.append((":path", path + "".join(query)))
    if decision.stale is not None:
        what = "blobs" if content_kind(routed.operation) is ContentKind.BLOB else "manifests"
        headers.append((STALE_HEADER, f"/v2/{routed.operation.name}/{what}/{decision.stale}"))
    return encode_route(headers, observe=routed.wants_response)
