"""The oracle for pages: what it finds, and what it lets be."""

from __future__ import annotations

import pytest

from tests.fuzz.html_text import acting


@pytest.mark.parametrize(
    "page",
    [
        "<p>&lt;script&gt;</p>",
        '<script src="/assets/page.js" defer></script>',
        '<a href="/names/a">a</a><a href="#main">b</a>',
        '<input name="q" value="onload=x">',
        '<td data-label="x" aria-label="y">',
    ],
)
def test_what_a_page_may_have(page: str) -> None:
    assert acting(page) == []


@pytest.mark.parametrize(
    "page",
    [
        "<script>alert(1)</script>",
        '<script src="//elsewhere/x.js"></script>',
        "<img src=x>",
        '<p onclick="x">',
        '<p style="x">',
        '<a href="javascript:alert(1)">',
        '<a href="//elsewhere/">',
        "<a href>",
        '<form action="https://elsewhere/">',
        '<meta http-equiv="refresh" content="0;url=x">',
        "<iframe></iframe>",
        '<p a"b="c">',
    ],
)
def test_what_it_may_not(page: str) -> None:
    assert len(acting(page)) >= 1
