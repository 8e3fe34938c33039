"""Before the secondary where it answers for a primary that failed: an internal listener of this Envoy.

The rules

1. The secondary is asked by digest only. By tag it would resolve its own, which may be another one, even deleted by
   now (P6); so whatever the request's path is, it becomes that of `x-geo-stale`. Which attempt it is, and which
   cluster Envoy takes for it, does not matter: no request for a stale answer reaches the secondary otherwise.
2. Without that header, or where it is no read by digest: 503.
3. What the secondary refuses is 503 too, never a 404 that the primary did not say (P5).
4. What it serves says that it may be stale: a `Warning` (RFC 7234, section 5.5).

A route cannot do this, for its path is one for all attempts.
"""

from __future__ import annotations

import json
from typing import Final

from envoy_data_plane.envoy.config.core.v3 import DataSource, TypedExtensionConfig
from envoy_data_plane.envoy.config.listener.v3 import (
    Filter,
    FilterChain,
    Listener,
    ListenerInternalListenerConfig,
)
from envoy_data_plane.envoy.config.route.v3 import (
    DirectResponseAction,
    Route,
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)
from envoy_data_plane.envoy.extensions.bootstrap.internal_listener.v3 import InternalListener
from envoy_data_plane.envoy.extensions.filters.http.lua.v3 import Lua
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
    HttpConnectionManagerServerHeaderTransformation,
    HttpFilter,
)
from envoy_data_plane.envoy.type.matcher.v3 import RegexMatcher
from envoy_data_plane.google.protobuf import Any

from extproc.bootstrap import filters, local_reply, match
from extproc.bootstrap.names import BUFFER, GEO_STALE, LOCAL, STALE, UNBOUNDED, seconds
from extproc.settings import Settings

WARNING: Final = '299 - "the primary does not answer: this is what the secondary has"'

_SCRIPT: Final = """\
function envoy_on_request(handle)
  local headers = handle:headers()
  local path = headers:get("%(header)s")
  if path then
    headers:replace(":path", path)
    handle:clearRouteCache()
  end
end

local served = {["200"] = true, ["206"] = true, ["304"] = true, ["307"] = true, ["416"] = true}

function envoy_on_response(handle)
  local headers = handle:headers()
  if served[headers:get(":status")] then
    headers:replace("warning", '%(warning)s')
    return
  end
  headers:replace(":status", "503")
  headers:replace("content-type", "application/json")
  headers:replace("retry-after", "%(retry_after)s")
  headers:remove("www-authenticate")
  headers:remove("docker-content-digest")
  -- Last, for the headers cannot be changed once the body was waited for.
  -- None is made up: to a HEAD it would be sent.
  local body = handle:body()
  if body then
    body:setBytes(%(body)s)
  end
end
"""


def internal_listener() -> TypedExtensionConfig:
    """What makes Envoy take connections from itself."""
    return TypedExtensionConfig(name="envoy.bootstrap.internal_listener", typed_config=Any.pack(InternalListener()))


def stale_listener(settings: Settings) -> Listener:
    return Listener(
        name=STALE,
        internal_listener=ListenerInternalListenerConfig(),
        per_connection_buffer_limit_bytes=BUFFER,
        filter_chains=[
            FilterChain(
                filters=[
                    Filter(
                        name="envoy.filters.network.http_connection_manager",
                        typed_config=Any.pack(_connection_manager(settings)),
                    )
                ]
            )
        ],
    )


def _connection_manager(settings: Settings) -> HttpConnectionManager:
    return HttpConnectionManager(
        stat_prefix=STALE,
        http_filters=[_by_digest(), filters.router()],
        local_reply_config=local_reply.refused(),
        route_config=RouteConfiguration(
            name=STALE,
            virtual_hosts=[
                VirtualHost(
                    name=STALE,
                    domains=["*"],
                    routes=[
                        Route(
                            name="stale",
                            match=RouteMatch(
                                safe_regex=RegexMatcher(regex=match.READ_BY_DIGEST),
                                headers=[match.present(GEO_STALE), match.method("GET", "HEAD")],
                            ),
                            route=RouteAction(cluster=LOCAL, timeout=UNBOUNDED),
                            request_headers_to_remove=[GEO_STALE],
                        ),
                        Route(
                            name="by-tag",
                            match=RouteMatch(prefix="/"),
                            direct_response=DirectResponseAction(status=503),
                        ),
                    ],
                )
            ],
        ),
        # All that the outer one has done stays as it is.
        use_remote_address=False,
        skip_xff_append=True,
        generate_request_id=False,
        preserve_external_request_id=True,
        server_header_transformation=HttpConnectionManagerServerHeaderTransformation.PASS_THROUGH,
        stream_idle_timeout=seconds(settings.envoy.idle_timeout),
        request_timeout=UNBOUNDED,
    )


def _by_digest() -> HttpFilter:
    """Should the script fail, the path stays, and no route takes a tag to the secondary.

    Fact 23: early header mutations cannot change `:path`. They are not needed: no client reaches this listener.
    """
    script = _SCRIPT % {
        "header": GEO_STALE,
        "warning": WARNING,
        "retry_after": local_reply.RETRY_AFTER,
        "body": json.dumps(local_reply.document("UNAVAILABLE", local_reply.UNREACHABLE, None)),
    }
    return HttpFilter(
        name="envoy.filters.http.lua",
        typed_config=Any.pack(Lua(default_source_code=DataSource(inline_string=script))),
    )
