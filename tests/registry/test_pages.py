"""Listings in pages, and where they may lead."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from extproc.registry import pages as subject
from extproc.registry.error import RegistryError
from extproc.registry.line import Line
from tests.registry.server import Answering, Server, open_line, open_tokens, scripted

PULL = ("repository:a:pull",)
PATH = "/v2/a/tags/list"


@asynccontextmanager
async def serving(answering: Answering) -> AsyncIterator[tuple[Server, Line]]:
    async with Server(answering) as server, open_tokens() as tokens, open_line(server.url, tokens) as line:
        yield server, line


async def bodies(line: Line) -> list[bytes]:
    return [answer.body async for answer in subject.pages(line, PATH, "n=2", PULL)]


def linked(text: str, link: str) -> web.Response:
    return web.Response(text=text, headers={"Link": link})


@pytest.mark.parametrize(
    ("link", "asked"),
    [
        pytest.param('</v2/a/tags/list?n=2&last=b>; rel="next"', "/v2/a/tags/list?n=2&last=b", id="a path"),
        pytest.param('<?n=2&last=b>; rel="next"', "/v2/a/tags/list?n=2&last=b", id="a query"),
        pytest.param("</v2/a/tags/list?last=b>; rel=next", "/v2/a/tags/list?last=b", id="not quoted, without n"),
        pytest.param('</v2/a/tags/list?last=b>;title="a, b"; REL="x Next"', "/v2/a/tags/list?last=b", id="case"),
        pytest.param(
            '</v2/a/tags/list?last=b>; rel="x next"', "/v2/a/tags/list?last=b", id="one of several relations"
        ),
        pytest.param(
            '<https://evil.example.com/v2/a/tags/list?last=b>; rel="next"',
            "/v2/a/tags/list?last=b",
            id="another host",
        ),
        pytest.param(
            '</v2/a/tags/list?before=c>; rel="previous", </v2/a/tags/list?last=d>; rel="next"',
            "/v2/a/tags/list?last=d",
            id="GitLab's pair",
        ),
        pytest.param('</v2/a/tags/list?last=a%2Fb%26c>; rel="next"', "/v2/a/tags/list?last=a/b%26c", id="escapes"),
        pytest.param('</v2/a/tags/list/?last=b>; rel="next"', "/v2/a/tags/list?last=b", id="our own trailing slash"),
        pytest.param('</v2/a/tags/list?last=b>; rel="previous"', None, id="no next"),
        pytest.param("nonsense", None, id="nonsense"),
        pytest.param('</v2/a/tags/list>; rel="next"', "/v2/a/tags/list", id="without a query"),
    ],
)
async def test_the_next_page_is_at_the_same_place(link: str, asked: str | None) -> None:
    async with serving(scripted(linked("1", link), web.Response(text="2"))) as (server, line):
        assert await bodies(line) == ([b"1"] if asked is None else [b"1", b"2"])
        assert server.paths == ["/v2/a/tags/list?n=2"] + ([] if asked is None else [asked])


@pytest.mark.parametrize(
    "link",
    [
        pytest.param('</v2/b/tags/list?last=b>; rel="next"', id="another name"),
        pytest.param('</v2/_catalog?last=b>; rel="next"', id="another endpoint"),
        pytest.param('</v2/a/tags/list/../../../b/tags/list?last=b>; rel="next"', id="dot segments"),
        pytest.param('</v2/%61/tags/list%2F?last=b>; rel="next"', id="escapes in the path"),
        pytest.param('<https://evil.example.com/>; rel="next"', id="another host's root"),
    ],
)
async def test_a_link_to_another_endpoint_is_an_error(link: str) -> None:
    async with serving(scripted(linked("1", link))) as (server, line):
        with pytest.raises(RegistryError, match="leads to another endpoint"):
            await bodies(line)
        assert len(server.requests) == 1


async def test_a_link_that_is_no_url_is_an_error() -> None:
    async with serving(scripted(linked("1", '<http://[x>; rel="next"'))) as (_, line):
        with pytest.raises(RegistryError, match="Link header is malformed"):
            await bodies(line)


@pytest.mark.parametrize(
    ("links", "asked"),
    [
        pytest.param([""], 1, id="to itself"),
        pytest.param(["?last=b"], 2, id="to the second"),
        pytest.param(["?last=b", "?last=b&n=3"], 2, id="the same marker otherwise"),
        pytest.param(["?last=b", "?last=c", "?last=b"], 3, id="in a circle"),
        pytest.param(["?page=2"], 2, id="without a marker"),
    ],
)
async def test_a_circle_is_found(links: list[str], asked: int) -> None:
    answers = [linked("x", f'<{link}>; rel="next"') for link in links]
    async with serving(scripted(*answers)) as (server, line):
        with pytest.raises(RegistryError, match="go in a circle"):
            await bodies(line)
        assert len(server.requests) == asked


async def test_pages_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "_MOST_PAGES", 5)

    async def endless(request: web.BaseRequest) -> web.Response:
        return linked("x", f'<?last={request.query.get("last", "")}x>; rel="next"')

    async with serving(endless) as (server, line):
        with pytest.raises(RegistryError, match="more than 5 pages"):
            await bodies(line)
        assert len(server.requests) == 5


async def test_a_page_is_asked_for_only_when_it_is_wanted() -> None:
    async with serving(scripted(linked("1", '<?last=b>; rel="next"'), web.Response(text="2"))) as (server, line):
        asking = subject.pages(line, PATH, "n=2", PULL)
        assert server.requests == []
        assert (await anext(asking)).body == b"1"
        assert len(server.requests) == 1
        assert (await anext(asking)).body == b"2"
        assert len(server.requests) == 2
        with pytest.raises(StopAsyncIteration):
            await anext(asking)
        assert len(server.requests) == 2
