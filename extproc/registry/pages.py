"""Listings in pages (OCI distribution spec 1.1, "Listing Tags"; RFC 8288).

Of a `Link` only the query is taken, and only when it leads to the same endpoint: a registry cannot send us to another
address or path. A marker that comes twice is a loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from extproc.registry.line import Answer, Line
from extproc.registry.token_source import Scopes

_MOST_PAGES: Final = 100_000


async def pages(line: Line, path: str, query: str, scopes: Scopes) -> AsyncIterator[Answer]:
    """Each page's answer, whatever its status; the next page is asked for when the next item is.

    Raises RegistryError.
    """
    seen = {query}
    target = f"{path}?{query}"
    for _ in range(_MOST_PAGES):
        answer = await line.ask("GET", target, scopes=scopes)
        yield answer
        following = answer.following
        if following is None:
            return
        if following.raw_path.rstrip("/") != path.rstrip("/"):
            raise line.unusable("GET", target, "its Link to the next page leads to another endpoint")
        marker = following.query.get("last") or following.raw_query_string
        if marker in seen:
            raise line.unusable("GET", target, "its pages go in a circle")
        seen.add(marker)
        target = f"{path}?{following.raw_query_string}"
    raise line.unusable("GET", target, f"it has more than {_MOST_PAGES} pages")
