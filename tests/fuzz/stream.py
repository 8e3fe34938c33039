"""Sequences of ext_proc messages through `Stream` and a real router, with a store in memory.

An input is frames with `%%` lines between them; the store lives from the first to the last. Each begins with a word:

    stream                a new stream; the first frame needs none
    request METHOD PATH   a request's head, with a header on each further line
    answer STATUS SITE    a response's head from that site, with headers; `answer 200 primary 2`: on attempt 2
    raw                   the bytes after the line, as they are: another phase, or no message at all
    token                 from here on a token is needed (once, first)

What must hold for each message: the declared errors and no other; one reply, of the message's own kind; nothing but
GET and HEAD goes to the secondary, and a tag only as a digest that the primary has answered in this input.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from google.protobuf.message import DecodeError

from extproc.auth.challenge import Challenge
from extproc.auth.token import TokenVerifier
from extproc.evidence.backlog import Backlog
from extproc.evidence.memory import MemoryStore
from extproc.processor import wire_pb2 as wire
from extproc.processor.codec import WireError
from extproc.processor.exchange import ProtocolError
from extproc.processor.stream import Stream
from extproc.routing.policy import Policy
from extproc.routing.reason import Reason
from extproc.routing.router import Router
from tests.fuzz.keys import key_set
from tests.fuzz.loop import run
from tests.fuzz.token import AUDIENCE, ISSUER, NOW
from tests.support.clock import Clock
from tests.support.recorded import Recorder

_SEPARATOR: Final = b"\n%%\n"
_MOST_FRAMES: Final = 32
_CHALLENGE: Final = Challenge("https://issuer.example.com/jwt/auth", AUDIENCE)
_REASONS: Final = {reason.value for reason in Reason}
_PINNED: Final = re.compile(r"/v2/(.+)/manifests/(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})", re.ASCII)
_UNPRINTABLE: Final = re.compile(rb"[^ -~]")
_SHORTEST_SECRET: Final = 12
"""Bytes: shorter ones are in an answer by chance."""


@dataclass
class _Site:
    """One worker with its store, and what the primary has named so far."""

    token: bool
    recorder: Recorder = field(default_factory=Recorder)
    named: set[tuple[bytes, bytes]] = field(default_factory=set)
    """Path without query, and the digest that some primary answered to it."""

    def __post_init__(self) -> None:
        store = MemoryStore(absent_ttl=5, clock=Clock())
        verifier = TokenVerifier(key_set(), issuer=ISSUER, audience=AUDIENCE) if self.token else None
        self._router = Router(verifier=verifier, facts=store, writes=Backlog(store), policy=Policy(), now=Clock(NOW))

    def stream(self) -> _Watched:
        return _Watched(self, Stream(self._router, _CHALLENGE, self.recorder))


@dataclass
class _Watched:
    """One stream, and what it may still do."""

    site: _Site
    stream: Stream
    head: dict[bytes, bytes] | None = None
    """The request's, as it was sent."""
    over: bool = False
    """Answered by us: Envoy sends nothing more on it, and we would take nothing more."""
    failed: bool = False
    """By an error, with which the transport ends it."""
    answered: bool = False

    def receive(self, data: bytes) -> str:
        """The reason of a decision, or what else became of the message."""
        if self.failed:
            return "failed"
        kind, message = _kind(data)
        decided = len(self.site.recorder.decisions)
        try:
            replying = self.stream.receive(data)
            reply = replying if isinstance(replying, bytes) else run(replying)
        except WireError:
            assert kind == "", f"a message of kind {kind} is not taken for one"
            self.failed = True
            return "wire-error"
        except ProtocolError:
            first, again = self.head is None, kind == "request_headers"
            assert self.over or first != again or (kind == "response_headers" and self.answered)
            self.failed = True
            return "protocol-error"
        assert message is not None and not self.over, "an answer to a message that is none, or comes too late"
        assert isinstance(reply, bytes)
        response = wire.ProcessingResponse.FromString(reply)
        if response.WhichOneof("response") == "immediate_response":
            assert kind == "request_headers"
            return self._refused(_headers(message.request_headers), response.immediate_response, reply)
        assert response.WhichOneof("response") == kind, "the reply is of another kind"
        if kind == "request_headers":
            assert len(self.site.recorder.decisions) == decided + 1
            self.head = _headers(message.request_headers)
            return self._forwarded(self.head, response)
        assert len(self.site.recorder.decisions) == decided
        assert reply == _untouched(kind), "a phase that is not ours was changed"
        if kind == "response_headers":
            self.answered = True
            self._named(_headers(message.response_headers))
        return kind

    def _refused(self, head: dict[bytes, bytes], answer: wire.ImmediateResponse, reply: bytes) -> str:
        self.head, self.over = head, True
        assert answer.status.code in {400, 401, 503}
        headers = _options(answer.headers)
        assert headers[b"x-geo-reason"].decode() in _REASONS
        assert (b"www-authenticate" in headers) == (answer.status.code == 401)
        assert not any(_UNPRINTABLE.search(value) for value in headers.values()), "no header can carry that"
        assert answer.body.isascii()
        secret = head.get(b"authorization", b"")
        if len(secret) >= _SHORTEST_SECRET and secret not in head.get(b":path", b""):
            assert secret not in reply, "a credential comes back"
        return headers[b"x-geo-reason"].decode()

    def _forwarded(self, head: dict[bytes, bytes], response: wire.ProcessingResponse) -> str:
        common = response.request_headers.response
        assert common.clear_route_cache and not common.header_mutation.remove_headers
        headers = _options(common.header_mutation)
        route, reason = headers.pop(b"x-geo-route"), headers.pop(b"x-geo-reason").decode()
        assert reason in _REASONS
        assert route in {b"primary", b"secondary"}
        if route == b"secondary":
            assert head.get(b":method") in {b"GET", b"HEAD"}, "nothing but reads goes to the secondary"
        path, _, query = head.get(b":path", b"").partition(b"?")
        pinned = headers.pop(b":path", None)
        if pinned is None:
            assert route == b"primary" or b"/manifests/" not in path or b":" in path.rpartition(b"/")[2]
        else:
            assert route == b"secondary"
            new, _, rest = pinned.partition(b"?")
            assert rest == query, "the query is passed on untouched"
            match = _PINNED.fullmatch(new.decode("latin-1"))
            assert match is not None
            assert path.startswith(f"/v2/{match[1]}/manifests/".encode()), "another name"
            assert (path, match[2].encode()) in self.site.named, "a digest that the primary never named"
        assert not headers, "a header that is not ours to set"
        return reason

    def _named(self, answer: dict[bytes, bytes]) -> None:
        if self.head is not None:
            path = self.head.get(b":path", b"").partition(b"?")[0]
            self.site.named.add((path, answer.get(b"docker-content-digest", b"")))


def check(data: bytes) -> str:
    frames = data.split(_SEPARATOR)[:_MOST_FRAMES]
    site = _Site(token=frames[0] == b"token")
    stream, outcomes = site.stream(), []
    for frame in frames[site.token :]:
        if frame == b"stream":
            stream = site.stream()
        else:
            outcomes.append(stream.receive(_message(frame)))
    return " ".join(outcomes)


def _message(frame: bytes) -> bytes:
    """The wire's bytes for one frame; what is no frame is sent as it is."""
    line, _, rest = frame.partition(b"\n")
    match line.split(b" "):
        case [b"request", method, path]:
            pseudo = [(b":method", method), (b":path", path)]
            return wire.ProcessingRequest(request_headers=_http(pseudo, rest)).SerializeToString()
        case [b"answer", status, site, *attempts] if site.isalpha() and len(attempts) < 2:
            metadata = (
                b'filter_metadata { key: "geo" value { fields { key: "site" value { string_value: "%b" } } } }' % site
            )
            number = float(attempts[0]) if attempts and attempts[0].isdigit() and len(attempts[0]) < 5 else 1.0
            fields = {
                "xds.upstream_host_metadata": wire.Value(string_value=metadata),
                "upstream.request_attempt_count": wire.Value(number_value=number),
            }
            return wire.ProcessingRequest(
                response_headers=_http([(b":status", status)], rest),
                attributes={"envoy.filters.http.ext_proc": wire.Struct(fields=fields)},
            ).SerializeToString()
        case [b"raw"]:
            return rest
        case _:
            return frame


def _http(pseudo: list[tuple[bytes, bytes]], lines: bytes) -> wire.HttpHeaders:
    pairs = [line.partition(b": ")[::2] for line in lines.split(b"\n") if line]
    headers = [wire.HeaderValue(key=key, raw_value=value) for key, value in (*pseudo, *pairs)]
    return wire.HttpHeaders(headers=wire.HeaderMap(headers=headers))


def _kind(data: bytes) -> tuple[str, wire.ProcessingRequest | None]:
    try:
        message = wire.ProcessingRequest.FromString(data)
    except DecodeError:
        return "", None
    kind = message.WhichOneof("request")
    return (kind, message) if kind else ("", None)


def _headers(message: wire.HttpHeaders) -> dict[bytes, bytes]:
    """By lower-case name; the lines of one name joined by commas, as Envoy joins them."""
    found: dict[bytes, list[bytes]] = {}
    for header in message.headers.headers:
        found.setdefault(header.key.lower(), []).append(header.raw_value or header.value)
    return {key: b",".join(values) for key, values in found.items()}


def _options(mutation: wire.HeaderMutation) -> dict[bytes, bytes]:
    options = [option.header for option in mutation.set_headers]
    assert len({header.key for header in options}) == len(options), "a header is set twice"
    assert not any(header.value for header in options), "Envoy reads raw_value"
    return {header.key: header.raw_value for header in options}


@cache
def _untouched(kind: str) -> bytes:
    reply = wire.ProcessingResponse()
    getattr(reply, kind).SetInParent()
    return reply.SerializeToString()
