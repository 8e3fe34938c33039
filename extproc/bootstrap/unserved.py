"""What the secondary refused and no primary could be asked about: 503, never the secondary's 404 (P5).

What the secondary says then is not known to be true. With `fallback = "priorities"` it is so where

- the primary's name does not resolve: the second try goes to the secondary again;
- the secondary had nothing in place of a primary that failed. The listener `stale` has made that a 503 already; here
  it becomes one that no site answered.

The composite cluster answers 503 by itself.
"""

from __future__ import annotations

import json

from envoy_data_plane.envoy.config.core.v3 import DataSource
from envoy_data_plane.envoy.extensions.filters.http.lua.v3 import Lua
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.google.protobuf import Any

from extproc.bootstrap import local_reply, retry
from extproc.bootstrap.names import GEO_SITE, NOBODY, SECONDARY

_SCRIPT = """\
local refusals = {%(refusals)s}

function envoy_on_response(handle)
  local headers = handle:headers()
  local site = headers:get("%(header)s")
%(hide)s  if site == "%(secondary)s" and refusals[headers:get(":status")] then
    headers:replace(":status", "503")
    headers:replace("content-type", "application/json")
    headers:replace("retry-after", "%(retry_after)s")
    headers:remove("www-authenticate")
    headers:remove("docker-content-digest")
%(nobody)s    -- Last, for the headers cannot be changed once the body was waited for.
    -- None is made up: to a HEAD it would be sent.
    local body = handle:body()
    if body then
      body:setBytes(%(body)s)
    end
  end
end
"""


def unavailable_instead(*, show_site: bool) -> HttpFilter:
    """Reads the header that names the site, and takes it away where `envoy.response_headers` is off.

    Lua and not Envoy's custom_response filter, whose API Envoy calls work in progress.
    """
    script = _SCRIPT % {
        "refusals": ", ".join(f'["{status}"] = true' for status in retry.FALL_BACK_STATUSES),
        "header": GEO_SITE,
        "secondary": SECONDARY,
        "nobody": f'    headers:replace("{GEO_SITE}", "{NOBODY}")\n' if show_site else "",
        "retry_after": local_reply.RETRY_AFTER,
        "body": json.dumps(local_reply.document("UNAVAILABLE", local_reply.UNREACHABLE, None)),
        "hide": "" if show_site else f'  headers:remove("{GEO_SITE}")\n',
    }
    return HttpFilter(
        name="envoy.filters.http.lua",
        typed_config=Any.pack(Lua(default_source_code=DataSource(inline_string=script))),
    )
