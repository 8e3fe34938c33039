"""Spans of what no exchange waits for: key fetches, notifications, reconcile, renewals; and of our requests in it.

Each begins a trace of its own, sampled as the settings say. What belongs to an exchange without being a part of it
has a link to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Final

import aiohttp
from opentelemetry.context import Context
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE
from opentelemetry.semconv.attributes.server_attributes import SERVER_ADDRESS, SERVER_PORT
from opentelemetry.semconv.attributes.url_attributes import URL_FULL
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NoOpTracer,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from extproc.telemetry.sampling import NoSampling, Sampling

_PROPAGATOR: Final = TraceContextTextMapPropagator()
Attributes = Mapping[str, AttributeValue]


class Work:
    """Makes them with one tracer."""

    def __init__(self, tracer: Tracer, sampling: Sampling) -> None:
        self._tracer = tracer
        self._sampling = sampling

    @classmethod
    def untraced(cls) -> Work:
        return cls(NoOpTracer(), NoSampling())

    @contextmanager
    def span(
        self,
        name: str,
        attributes: Attributes | None = None,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        traceparent: str = "",
        cause: SpanContext | None = None,
    ) -> Iterator[Span]:
        """The current one meanwhile. `traceparent`: the caller's trace context; `cause`: what is linked to."""
        parent = self._sampling.parent(traceparent)
        if parent is None:
            yield INVALID_SPAN
            return
        with self._tracer.start_as_current_span(
            name,
            context=parent,
            kind=kind,
            attributes=attributes,
            links=None if cause is None else [Link(cause)],
        ) as span:
            yield span

    @contextmanager
    def child(self, name: str, attributes: Callable[[], Attributes]) -> Iterator[Span]:
        """Of the current span, where that is recorded."""
        if not get_current_span().is_recording():
            yield INVALID_SPAN
            return
        with self._tracer.start_as_current_span(name, attributes=attributes()) as span:
            yield span

    def http(self) -> aiohttp.TraceConfig:
        """For a client's session: a span for each request in traced work, and its trace context sent along.

        Source: OpenTelemetry's semantic conventions for HTTP client spans.
        """
        config = aiohttp.TraceConfig()
        config.on_request_start.append(self._request_starts)
        config.on_request_end.append(_request_ended)
        config.on_request_exception.append(_request_failed)
        return config

    async def _request_starts(
        self,
        session: aiohttp.ClientSession,
        context: SimpleNamespace,
        started: aiohttp.TraceRequestStartParams,
    ) -> None:
        context.span = INVALID_SPAN
        if not get_current_span().is_recording():
            return
        url = started.url
        attributes: dict[str, AttributeValue] = {
            HTTP_REQUEST_METHOD: started.method,
            # Without a query, which says who asks for what.
            URL_FULL: str(url.with_user(None).with_query(None)),
            SERVER_ADDRESS: url.host or "",
            SERVER_PORT: url.port or 0,
        }
        context.span = self._tracer.start_span(started.method, kind=SpanKind.CLIENT, attributes=attributes)
        _PROPAGATOR.inject(started.headers, context=_with(context.span))


async def _request_ended(
    session: aiohttp.ClientSession, context: SimpleNamespace, ended: aiohttp.TraceRequestEndParams
) -> None:
    status = ended.response.status
    context.span.set_attribute(HTTP_RESPONSE_STATUS_CODE, status)
    if status >= 400:
        context.span.set_attribute(ERROR_TYPE, str(status))
        context.span.set_status(StatusCode.ERROR)
    context.span.end()


async def _request_failed(
    session: aiohttp.ClientSession, context: SimpleNamespace, failed: aiohttp.TraceRequestExceptionParams
) -> None:
    context.span.set_attribute(ERROR_TYPE, type(failed.exception).__name__)
    context.span.set_status(StatusCode.ERROR)
    context.span.end()


def cause() -> SpanContext | None:
    """What is being done now, to be linked to later; None where that is not recorded."""
    span = get_current_span()
    return span.get_span_context() if span.is_recording() else None


def _with(span: Span) -> Context:
    return set_span_in_context(span, Context())
