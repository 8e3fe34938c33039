"""Where Envoy itself must answer: an OCI error document, which clients can show, in place of Envoy's text."""

from __future__ import annotations

import json

from envoy_data_plane.envoy.config.accesslog.v3 import (
    AccessLogFilter,
    ComparisonFilter,
    ComparisonFilterOp,
    StatusCodeFilter,
)
from envoy_data_plane.envoy.config.core.v3 import (
    DataSource,
    HeaderValueOption,
    RuntimeUInt32,
    SubstitutionFormatString,
)
from envoy_data_plane.envoy.config.route.v3 import DirectResponseAction
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    LocalReplyConfig,
    ResponseMapper,
)

from extproc.bootstrap.header import overwrite
from extproc.bootstrap.names import GEO_SITE, NOBODY

UNREACHABLE = "no registry could be reached"


def unavailable(*, show_site: bool) -> LocalReplyConfig:
    """Every answer of 500 and more that Envoy makes up: no site could be reached, or none in time.

    The processor's own answers (401, 400) pass unchanged.
    """
    return LocalReplyConfig(
        mappers=[
            ResponseMapper(
                filter=AccessLogFilter(
                    status_code_filter=StatusCodeFilter(
                        comparison=ComparisonFilter(
                            op=ComparisonFilterOp.GE,
                            value=RuntimeUInt32(default_value=500, runtime_key="geo_extproc.local_reply_min_status"),
                        )
                    )
                ),
                body_format_override=SubstitutionFormatString(
                    text_format_source=DataSource(
                        inline_string=document("UNAVAILABLE", UNREACHABLE, "%RESPONSE_FLAGS%")
                    ),
                    content_type="application/json",
                ),
                # Otherwise the header would name the site that was tried last, as if it had answered.
                headers_to_add=[api_version(), *([overwrite(GEO_SITE, NOBODY)] if show_site else [])],
            )
        ]
    )


def name_invalid() -> DirectResponseAction:
    """400 for a write whose name cannot be read as the registry would read it."""
    return DirectResponseAction(
        status=400,
        body=DataSource(
            inline_string=document("NAME_INVALID", "the path of a write must be in its canonical form", None)
        ),
    )


def api_version() -> HeaderValueOption:
    return overwrite("docker-distribution-api-version", "registry/2.0")


def document(code: str, message: str, detail: str | None) -> str:
    return json.dumps({"errors": [{"code": code, "message": message, "detail": detail}]}) + "\n"
