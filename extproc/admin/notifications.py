"""POST /notifications/primary and /notifications/secondary: where the registries tell what happened.

    403  no secret is configured: nothing is taken
    401  the secret is wrong or missing; nothing of the body is read
    415  not a notification's content type, or compressed
    413  larger than `notifications.max_body`
    408  it came too slowly
    400  it cannot be read, or its body broke off; nothing of it is applied, and the body says why
    503  the store did not take all of it, or too many are being taken: send it again
    200  the store has taken all of it

A registry sends again what is not answered with 2xx, so nothing is acknowledged early, and repeats do no harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

import structlog
from aiohttp import web
from opentelemetry.semconv.attributes.http_attributes import HTTP_REQUEST_METHOD
from opentelemetry.trace import SpanKind

from extproc.evidence.store import StoreUnavailable
from extproc.notification.envelope import NotificationInvalid, parse_envelope
from extproc.notification.event import Event, Site
from extproc.notification.secret import Secret
from extproc.oci.media_type import bare_media_type
from extproc.telemetry import names
from extproc.telemetry.seldom import Seldom
from extproc.telemetry.work import Work

log = structlog.get_logger()

_CONTENT_TYPES: Final = frozenset(
    {
        "application/vnd.docker.distribution.events.v1+json",
        "application/vnd.docker.distribution.events.v2+json",
        "application/json",
    }
)
_AT_ONCE: Final = 16
"""Requests whose body is held. A registry sends one after another; each of its processes is a sender."""
_BODY_WITHIN: Final = 10.0
"""Seconds for a body to arrive."""
_BESIDE: Final = 64 * 1024
"""Bytes of a body from which on it is read in a thread. At the default cap, 4 MiB, manifests with references take
60 ms, of which a thread leaves 13 to the loop: `json` gives nobody else a turn, what follows it does. A body made to
be slow (300,000 keys) takes 100 ms either way, but only who has the secret is read at all. Measured with Python 3.11.
"""
_RETRY_AFTER: Final = "1"
_NOT_CONFIGURED: Final = (
    "notifications are not taken: set notifications.secret_file to a file with the secret that the registries send, "
    "and restart"
)


class EventSink(Protocol):
    """Takes all events, or raises StoreUnavailable."""

    async def take(self, site: Site, events: Sequence[Event]) -> object: ...


class Refusals(Protocol):
    """Counts what is not taken."""

    def refused(self, site: Site, status: int) -> None: ...


class _Refused(Exception):
    """The request is answered with `status` and, where it helps the sender, `reason`."""

    def __init__(self, status: int, reason: str = "", **headers: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class NotificationEndpoint:
    """Answers the requests to both addresses."""

    def __init__(
        self,
        sink: EventSink,
        *,
        secret: Secret | None,
        max_body: int,
        refusals: Refusals,
        work: Work | None = None,
        body_within: float = _BODY_WITHIN,
        seldom: Seldom | None = None,
    ) -> None:
        """`max_body` in bytes, `body_within` in seconds. Without a secret everything is refused. `work`: for
        spans of what is let in."""
        self._sink = sink
        self._secret = secret
        self._max_body = max_body
        self._refusals = refusals
        self._work = work or Work.untraced()
        self._body_within = body_within
        self._seldom = seldom or Seldom()
        self._held = 0

    async def primary(self, request: web.BaseRequest) -> web.Response:
        return await self._answer(Site.PRIMARY, request)

    async def secondary(self, request: web.BaseRequest) -> web.Response:
        return await self._answer(Site.SECONDARY, request)

    async def _answer(self, site: Site, request: web.BaseRequest) -> web.Response:
        try:
            self._admit(request)
            # Only now: a stranger's trace context counts for nothing.
            with self._work.span(
                f"{names.NOTIFICATION_SPAN}/{site.value}",
                {names.SITE: site.value, HTTP_REQUEST_METHOD: request.method},
                kind=SpanKind.SERVER,
                traceparent=request.headers.get("traceparent", ""),
            ):
                events = await self._take(site, request)
        except NotificationInvalid as error:
            return self._refuse(site, request, _Refused(400, str(error)))
        except StoreUnavailable:
            # The store's own lines say why.
            unavailable = _Refused(503, "the store did not take it; send it again", Retry_After=_RETRY_AFTER)
            return self._refuse(site, request, unavailable, logged=False)
        except _Refused as refused:
            return self._refuse(site, request, refused)
        return web.json_response({"taken": len(events)})

    async def _take(self, site: Site, request: web.BaseRequest) -> Sequence[Event]:
        """Raises NotificationInvalid, StoreUnavailable and _Refused."""
        self._held += 1
        try:
            body = await self._body(request)
            large = len(body) >= _BESIDE
            events = await asyncio.to_thread(parse_envelope, body) if large else parse_envelope(body)
            await self._sink.take(site, events)
        finally:
            self._held -= 1
        return events

    def _admit(self, request: web.BaseRequest) -> None:
        """Before anything of the body is read. Raises _Refused."""
        if request.method != "POST":
            raise _Refused(405, "send notifications with POST", Allow="POST")
        if self._secret is None:
            raise _Refused(403, _NOT_CONFIGURED)
        offered = request.headers.getall("Authorization", [])
        if len(offered) != 1 or not self._secret.admits(offered[0]):
            raise _Refused(401, WWW_Authenticate="Bearer")
        content_type = bare_media_type(request.headers.get("Content-Type", ""))
        if content_type not in _CONTENT_TYPES:
            raise _Refused(415, f"the content type is none of {', '.join(sorted(_CONTENT_TYPES))}")
        if {coding.lower() for coding in request.headers.getall("Content-Encoding", [])} - {"identity"}:
            raise _Refused(415, "the body is compressed; send it as it is", Accept_Encoding="identity")
        if request.content_length is not None and request.content_length > self._max_body:
            raise self._too_large()
        if self._held >= _AT_ONCE:
            raise _Refused(503, "too many are being taken; send it again", Retry_After=_RETRY_AFTER)

    async def _body(self, request: web.BaseRequest) -> bytes:
        """At most `max_body` bytes of it are held. Raises _Refused."""
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_within):
                async for chunk in request.content.iter_any():
                    if len(body) + len(chunk) > self._max_body:
                        raise self._too_large()
                    body += chunk
        except TimeoutError as error:
            raise _Refused(408, f"the body did not arrive within {self._body_within:g} s") from error
        except ConnectionError as error:
            raise _Refused(400, "the body broke off") from error
        return bytes(body)

    def _too_large(self) -> _Refused:
        return _Refused(413, f"the body is larger than notifications.max_body, {self._max_body} bytes")

    def _refuse(
        self, site: Site, request: web.BaseRequest, refused: _Refused, *, logged: bool = True
    ) -> web.Response:
        self._refusals.refused(site, refused.status)
        left_out = self._seldom.left_out((site, refused.status)) if logged else None
        if left_out is not None:
            log.warning(
                "notification refused",
                site=site.value,
                status=refused.status,
                reason=refused.reason or "secret",
                left_out=left_out,
            )
        body = {"error": refused.reason} if refused.reason else None
        response = (
            web.Response(status=refused.status, headers=refused.headers)
            if body is None
            else web.json_response(body, status=refused.status, headers=refused.headers)
        )
        if not request.content.is_eof():
            # What is still to come is not waited for.
            response.force_close()
        return response
