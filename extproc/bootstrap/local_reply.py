"""Where Envoy itself must answer: an OCI error document, which clients can show, in place of Envoy's text."""

from __future__ import annotations

import json

from envoy_data_plane.envoy.config.accesslog.v3 import (
    AccessLogFilter,
    AndFilter,
    ComparisonFilter,
    ComparisonFilterOp,
    HeaderFilter,
    StatusCodeFilter,
)
from envoy_data_plane.envoy.config.core.v3 import (
    DataSource,
    HeaderValueOption,
    RuntimeUInt32,
    SubstitutionFormatString,
)
from envoy_data_plane.envoy.config.route.v3 import DirectResponseAction, HeaderMatcher
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    LocalReplyConfig,
    ResponseMapper,
)

from extproc.bootstrap import match
from extproc.bootstrap.header import add_if_absent, overwrite
from extproc.bootstrap.names import GEO_ROUTE, GEO_SITE, NOBODY

UNREACHABLE = "no registry could be reached"
RETRY_AFTER = "5"
"""Seconds (RFC 9110, section 10.2.3): as long as an ejected site is left alone at first."""
UNRECORDED = "the deletion cannot be recorded at this site just now; try again"


def unavailable(*, show_site: bool) -> LocalReplyConfig:
    """Every answer of 500 and more that Envoy makes up: no site could be reached, or none in time.

    The processor's 401 and 400 pass unchanged. Its 503 for a deletion that it cannot record keeps its words, and so
    does our own for a deletion that it did not see: no site was even asked. A refusal that is too long to be replaced
    (`unserved`), which Envoy makes a 500, is 503 as any other.
    """
    unavailable_text = document("UNAVAILABLE", UNREACHABLE, "%RESPONSE_FLAGS%")
    return LocalReplyConfig(
        mappers=[
            _mapper(
                AccessLogFilter(
                    and_filter=AndFilter(
                        filters=[
                            _status(ComparisonFilterOp.EQ, 503, "geo_extproc.unrecorded_status"),
                            _request(match.absent(GEO_ROUTE)),
                            _request(match.method("DELETE")),
                            _request(match.matches(":path", match.DELETE_BY_DIGEST + r"(?:\?.*)?")),
                        ]
                    )
                ),
                "%LOCAL_REPLY_BODY%",
                show_site=show_site,
            ),
            _mapper(
                _status(ComparisonFilterOp.EQ, 500, "geo_extproc.unreplaced_status"),
                unavailable_text,
                add_if_absent("retry-after", RETRY_AFTER),
                show_site=show_site,
                status=503,
            ),
            _mapper(
                _status(ComparisonFilterOp.GE, 500, "geo_extproc.local_reply_min_status"),
                unavailable_text,
                add_if_absent("retry-after", RETRY_AFTER),
                show_site=show_site,
            ),
        ]
    )


def refused() -> LocalReplyConfig:
    """Behind the listener `stale`: a refusal too long to be replaced, which Envoy makes a 500, is 503 too."""
    mapper = _mapper(
        _status(ComparisonFilterOp.GE, 500, "geo_extproc.local_reply_min_status"),
        document("UNAVAILABLE", UNREACHABLE, None),
        add_if_absent("retry-after", RETRY_AFTER),
        show_site=False,
        status=503,
    )
    return LocalReplyConfig(mappers=[mapper])


def _mapper(
    which: AccessLogFilter, text: str, *more: HeaderValueOption, show_site: bool, status: int | None = None
) -> ResponseMapper:
    return ResponseMapper(
        filter=which,
        status_code=status,
        body_format_override=SubstitutionFormatString(
            text_format_source=DataSource(inline_string=text), content_type="application/json"
        ),
        # Otherwise the header would name the site that was tried last, as if it had answered.
        headers_to_add=[api_version(), *more, *([overwrite(GEO_SITE, NOBODY)] if show_site else [])],
    )


def _status(op: ComparisonFilterOp, status: int, runtime_key: str) -> AccessLogFilter:
    value = RuntimeUInt32(default_value=status, runtime_key=runtime_key)
    return AccessLogFilter(status_code_filter=StatusCodeFilter(comparison=ComparisonFilter(op=op, value=value)))


def _request(has: HeaderMatcher) -> AccessLogFilter:
    return AccessLogFilter(header_filter=HeaderFilter(header=has))


def name_invalid() -> DirectResponseAction:
    """400 for a write whose name cannot be read as the registry would read it."""
    return DirectResponseAction(
        status=400,
        body=DataSource(
            inline_string=document("NAME_INVALID", "the path of a write must be in its canonical form", None)
        ),
    )


def unrecorded() -> DirectResponseAction:
    """503 for a DELETE by digest that no processor saw."""
    return DirectResponseAction(status=503, body=DataSource(inline_string=document("UNAVAILABLE", UNRECORDED, None)))


def api_version() -> HeaderValueOption:
    return overwrite("docker-distribution-api-version", "registry/2.0")


def document(code: str, message: str, detail: str | None) -> str:
    return json.dumps({"errors": [{"code": code, "message": message, "detail": detail}]}) + "\n"
