"""The access log: one JSON line a request. No query, no authorization: tokens never reach it."""

from __future__ import annotations

from envoy_data_plane.envoy.config.accesslog.v3 import AccessLog
from envoy_data_plane.envoy.config.core.v3 import SubstitutionFormatString
from envoy_data_plane.envoy.extensions.access_loggers.file.v3 import FileAccessLog
from envoy_data_plane.envoy.extensions.access_loggers.stream.v3 import StdoutAccessLog
from envoy_data_plane.google.protobuf import Any, Struct

from extproc.bootstrap.names import GEO_METADATA, GEO_REASON, GEO_ROUTE, GEO_SITE
from extproc.settings import Envoy

FIELDS = {
    "time": "%START_TIME%",
    "method": "%REQ(:METHOD)%",
    "authority": "%REQ(:AUTHORITY)%",
    # As the site got it: the processor turns a tag into its digest.
    "path": "%PATH(NQ)%",
    "protocol": "%PROTOCOL%",
    "status": "%RESPONSE_CODE%",
    "site": f"%RESP({GEO_SITE})%",
    "route": f"%REQ({GEO_ROUTE})%",
    "reason": f"%REQ({GEO_REASON})%",
    # What the client was told: also where the processor answered by itself.
    "answered_reason": f"%RESP({GEO_REASON})%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "duration_ms": "%DURATION%",
    "first_byte_ms": "%RESPONSE_DURATION%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "user_agent": "%REQ(USER-AGENT)%",
    "upstream": "%UPSTREAM_HOST%",
    "request_id": "%REQ(X-REQUEST-ID)%",
}

_UNTOLD = {"site": f"%UPSTREAM_METADATA({GEO_METADATA}:site)%"}
"""Where no client is told which site answered, the header is gone: the one asked last, whether or not it answered."""


def access_logs(envoy: Envoy) -> list[AccessLog]:
    if not envoy.access_log:
        return []
    fields = FIELDS if envoy.response_headers else FIELDS | _UNTOLD
    lines = SubstitutionFormatString(json_format=Struct.from_dict(fields))
    if envoy.access_log == "/dev/stdout":
        # Opening that path fails where stdout is a socket, as under systemd; this writes to the descriptor.
        return [
            AccessLog(name="envoy.access_loggers.stdout", typed_config=Any.pack(StdoutAccessLog(log_format=lines)))
        ]
    return [
        AccessLog(
            name="envoy.access_loggers.file",
            typed_config=Any.pack(FileAccessLog(path=envoy.access_log, log_format=lines)),
        )
    ]
