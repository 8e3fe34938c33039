"""Between the wire's messages and ours: no other module sees a protobuf message.

Rules (envoy/service/ext_proc/v3/external_processor.proto, and seen on a real Envoy: tests/processor/captures)
1. Bytes that are not a ProcessingRequest of a known kind raise WireError, and nothing raises anything else.
2. A value is read from `raw_value`, else `value`, and written to `raw_value`: Envoy takes a `value` for empty.
3. Envoy ignores `clear_route_cache` without a header mutation in the same reply.
4. Which site answered is read from the endpoint's metadata alone: no header, so nothing that a client or a
   registry sends, can name a site.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import Final

from google.protobuf import text_format
from google.protobuf.message import DecodeError

from extproc.processor import wire_pb2 as wire
from extproc.processor.usual_head import usual_head
from extproc.routing.message import RequestHead, ResponseHead

_ATTRIBUTES: Final = "envoy.filters.http.ext_proc"
"""The key that the filter's own attributes come under."""
_ATTEMPTS: Final = "upstream.request_attempt_count"
_HOST_METADATA: Final = "xds.upstream_host_metadata"
_NAMESPACE: Final = "geo"
_SITE: Final = "site"
_PROMOTED: Final = "promoted"
"""Beside the site: the secondary's registry in the primary's place. What it says proves nothing of either."""
_MOST_ATTEMPTS: Final = 2**32
_OF_REQUEST: Final = {b":method": 0, b":path": 1, b"authorization": 2, b"accept": 3, b"traceparent": 4}
_OF_RESPONSE: Final = {b":status": 0, b"docker-content-digest": 1, b"content-type": 2}
_LONGEST_CACHED: Final = 512
"""Characters: a client chooses its query, and must not fill the cache with 60 KB each."""


class WireError(ValueError):
    """The bytes are not a ProcessingRequest that names its phase."""


class OtherPhase(Enum):
    """A phase without a message of its own here. `decode` gives the bodies and trailers."""

    REQUEST_HEADERS = "request_headers"
    RESPONSE_HEADERS = "response_headers"
    REQUEST_BODY = "request_body"
    RESPONSE_BODY = "response_body"
    REQUEST_TRAILERS = "request_trailers"
    RESPONSE_TRAILERS = "response_trailers"


Message = RequestHead | ResponseHead | OtherPhase


def decode(data: bytes) -> Message:
    """One message of the stream. Raises WireError for undecodable bytes and for a phase not known here."""
    usual = usual_head(data)
    if usual is not None:
        return usual
    try:
        request = wire.ProcessingRequest.FromString(data)
    except DecodeError as error:
        raise WireError(f"not a ProcessingRequest: {error}") from error
    phase = request.WhichOneof("request")
    if phase == "request_headers":
        return _request_head(request.request_headers)
    if phase == "response_headers":
        return _response_head(request)
    if phase is None:
        raise WireError("a ProcessingRequest without a phase")
    return OtherPhase(phase)


def encode_route(set_headers: Iterable[tuple[str, str]], remove: Iterable[str] = (), *, observe: bool) -> bytes:
    """The reply to a request's head: change its headers and choose its route anew.

    Give at least one change, or Envoy keeps the route it had. With `observe` the response head of just this
    exchange comes too. The filter needs `allow_mode_override`; an entry of its `allowed_override_modes` must be
    the whole resulting mode, with the trailer modes spelled out.
    """
    changes, removed = tuple(set_headers), tuple(remove)
    short = sum(len(value) for _, value in changes) <= _LONGEST_CACHED
    return (_route if short else _route.__wrapped__)(changes, removed, observe)


def encode_continue(phase: OtherPhase, set_headers: Sequence[tuple[str, str]] = ()) -> bytes:
    """The reply that passes a phase on, unchanged but for `set_headers` (of a body: its message's headers)."""
    return _continue(phase, set_headers) if set_headers else _UNCHANGED[phase]


def encode_answer(status: int, headers: Iterable[tuple[str, str]], body: bytes, details: str) -> bytes:
    """The reply that answers the client here and ends the stream.

    Give the body to a HEAD as well: Envoy sends its type and length and leaves the body out (RFC 9110 §9.3.2);
    with no body it drops the content type too.
    `details` appears in the access log as `%RESPONSE_CODE_DETAILS%`.
    """
    return wire.ProcessingResponse(
        immediate_response=wire.ImmediateResponse(
            status=wire.HttpStatus(code=status),
            headers=_mutation(headers, ()),
            body=body,
            details=details,
        )
    ).SerializeToString()


@lru_cache(maxsize=1024)
def _route(set_headers: tuple[tuple[str, str], ...], remove: tuple[str, ...], observe: bool) -> bytes:
    # Routes and reasons are few and tags are asked for again and again: from the cache this costs a tenth.
    return wire.ProcessingResponse(
        request_headers=wire.HeadersResponse(
            response=wire.CommonResponse(
                header_mutation=_mutation(set_headers, remove),
                clear_route_cache=True,
            )
        ),
        mode_override=_OBSERVE if observe else None,
    ).SerializeToString()


def _request_head(message: wire.HttpHeaders) -> RequestHead:
    method, path, authorization, accept, traceparent = _values(message, _OF_REQUEST)
    return RequestHead(
        ",".join(method), ",".join(path), authorization, accept, message.end_of_stream, ",".join(traceparent)
    )


def _response_head(request: wire.ProcessingRequest) -> ResponseHead:
    status, digest, content_type = _values(request.response_headers, _OF_RESPONSE)
    # A protobuf map makes an empty message of what it does not have: no attribute, no site and no attempts.
    fields = request.attributes[_ATTRIBUTES].fields
    attempts = fields[_ATTEMPTS].number_value
    return ResponseHead(
        _status(",".join(status)),
        ",".join(digest),
        ",".join(content_type),
        _site(fields[_HOST_METADATA].string_value),
        int(attempts) if 0 <= attempts < _MOST_ATTEMPTS else 0,
    )


def _values(message: wire.HttpHeaders, wanted: Mapping[bytes, int]) -> list[tuple[str, ...]]:
    """Of each wanted header, in their order."""
    found: list[tuple[str, ...]] = [()] * len(wanted)
    for header in message.headers.headers:
        key = header.key
        place = wanted.get(key)
        if place is None:
            place = wanted.get(key.lower())
        if place is not None:
            found[place] += ((header.raw_value or header.value).decode("latin-1"),)
    return found


def _status(text: str) -> int:
    return int(text) if len(text) == 3 and text.isascii() and text.isdigit() else 0


@lru_cache(maxsize=256)
def _site(text: bytes) -> str:
    """`filter_metadata.geo.site` of a core.Metadata in protobuf's text format; "" where there is none, or beside
    `promoted`.

    A parser and no pattern, for other values of the metadata may hold any text, a look-alike included.
    Endpoints are few, so nearly every call is answered by the cache.
    """
    metadata = wire.Metadata()
    try:
        text_format.Parse(text.decode("ascii"), metadata, allow_unknown_field=True)
    except (text_format.ParseError, ValueError, RecursionError):
        return ""
    fields = metadata.filter_metadata[_NAMESPACE].fields
    return "" if _PROMOTED in fields else fields[_SITE].string_value.decode(errors="replace")


def _mutation(set_headers: Iterable[tuple[str, str]], remove: Sequence[str]) -> wire.HeaderMutation:
    return wire.HeaderMutation(
        set_headers=[
            wire.HeaderValueOption(
                header=wire.HeaderValue(key=name.encode("ascii"), raw_value=value.encode("latin-1")),
                append_action=wire.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
            )
            for name, value in set_headers
        ],
        remove_headers=remove,
    )


def _continue(phase: OtherPhase, set_headers: Sequence[tuple[str, str]]) -> bytes:
    reply = wire.ProcessingResponse()
    part = getattr(reply, phase.value)
    part.SetInParent()
    if set_headers:
        trailers = isinstance(part, wire.TrailersResponse)
        (part if trailers else part.response).header_mutation.CopyFrom(_mutation(set_headers, ()))
    return reply.SerializeToString()


_OBSERVE: Final = wire.ProcessingMode(response_header_mode=wire.ProcessingMode.SEND)
_UNCHANGED: Final = {phase: _continue(phase, ()) for phase in OtherPhase}
