"""Pages of listings. A part of the stand-in in gitlab_registry.py.

[api] gitlab.com/gitlab-org/container-registry, docs/spec/gitlab/api.md, "Pagination"
"""

from __future__ import annotations

from urllib.parse import quote

from aiohttp import web

from tests.support.gitlab_content import Refused


def page_of(request: web.BaseRequest, url: str, entries: list[str]) -> tuple[list[str], dict[str, str]]:
    """The entries after `last`, `n` (100, at most 1,000) of them, and the header with the Link to the next."""
    try:
        count = int(request.query.get("n", "100"))
    except ValueError:
        raise Refused(400, "INVALID_QUERY_PARAMETER_TYPE") from None
    if not 1 <= count <= 1000:
        raise Refused(400, "INVALID_QUERY_PARAMETER_VALUE")
    last = request.query.get("last", "")
    rest = [entry for entry in entries if entry > last]
    page = rest[:count]
    links = [f'<{url}{request.path}?n={count}&before={quote(page[0], safe="")}>; rel="previous"'] if last else []
    if len(rest) > count:
        links.append(f'<{url}{request.path}?n={count}&last={quote(page[-1], safe="")}>; rel="next"')
    return page, {"Link": ", ".join(links)} if links else {}
