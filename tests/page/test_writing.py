"""Pages as text: whole, and with nothing in them that others wrote."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any, Final

import pytest

from extproc.page.writing import PARTS, Site, Writing
from tests.page.snapshots import HERE, LOGIN, PRIMARY, condition, entry, site, snapshot

VOID: Final = {"meta", "link", "input", "br"}
EVIL: Final = "<script>alert(1)</script>\"'&"
SNAPSHOTS: Final = {
    "empty": snapshot(),
    "busy": snapshot({HERE: 90, PRIMARY: 9, LOGIN: 1}, minutes=[{HERE: 90, PRIMARY: 9}], last=[entry()], site=site()),
    "behind": snapshot(
        site=site(
            behind=2,
            awaited=2,
            longest_wait=5000.0,
            median_lag=3.0,
            most_behind=[{"name": "g/app", "behind": 2, "awaited": 2, "longest_wait": 5000.0}],
        )
    ),
    "store down": snapshot({PRIMARY: 5}, condition=condition(store="degraded"), site=site(detail="refused")),
    "all is broken": snapshot(
        condition=condition(
            ready=False, workers=0, store="degraded", keys="missing: x", keys_known=0, configuration="broken: y"
        ),
        envoy="refused",
        workers_answered=0,
    ),
    "observe": snapshot(
        last=[entry(reason="mode-observe", route="primary", would="digest-present")],
        condition=condition(mode="observe"),
    ),
    "passthrough": snapshot(condition=condition(keys_needed=False, keys_known=0)),
    "reconciled": snapshot(site=site() | {"reconcile": {"finished": {"age": 61.0}}}),
}


class Shape(HTMLParser):
    """Checks that what is opened is closed, and that no id is there twice."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.labelled: list[str] = []
        self.styles = 0
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [str(found["id"])] if "id" in found else []
        self.labelled += [str(found["aria-labelledby"])] if "aria-labelledby" in found else []
        self.styles += "style" in found or any(name.startswith("on") for name in found)
        if tag not in VOID and not (self.get_starttag_text() or "").endswith("/>"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not (self.get_starttag_text() or "").startswith(f"<{tag}") or self.open[-1:] == [tag]:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def writing() -> Writing:
    return Writing(Site("http://here", "http://primary", "redis://r:6379/0", 60.0))


@pytest.mark.parametrize("state", SNAPSHOTS)
def test_each_state_is_a_whole_page(writing: Writing, state: str) -> None:
    shape = Shape(writing.front(SNAPSHOTS[state]))
    assert len(shape.ids) == len(set(shape.ids))
    assert set(PARTS) <= set(shape.ids)
    assert set(shape.labelled) <= set(shape.ids)
    assert shape.styles == 0, "the content security policy lets through neither styles nor scripts in attributes"


def test_what_others_wrote_is_text(writing: Writing) -> None:
    page = writing.front(
        snapshot(
            last=[entry(method=EVIL, reason=EVIL, name="g/app", token=EVIL)],
            condition=condition(configuration=EVIL, keys=EVIL),
            envoy=EVIL,
            site=site(detail=EVIL),
        )
    )
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert") >= 4
    pages: dict[str, dict[str, Any]] = {
        "names": {"query": EVIL, "found": {"names": [], "more": False}, "fault": "", "request": ""},
        "name": {"name": EVIL, "found": None, "fault": EVIL, "request": "", "query": "", "MOST": 1},
        "explain": {
            "request": EVIL,
            "anonymous": False,
            "found": [("operation", EVIL)],
            "reason": EVIL,
            "meaning": "",
            "fault": "",
            "query": "",
        },
    }
    for template, values in pages.items():
        page = writing.page(template, **values)
        assert "<script>alert" not in page, template
        Shape(page)


@pytest.mark.parametrize(
    ("share", "text"),
    [(None, "–"), (0.0, "0 %"), (0.001, "<1 %"), (0.5, "50 %"), (0.996, ">99 %"), (1.0, "100 %")],
)
def test_a_share_is_all_or_nothing_only_when_it_is(writing: Writing, share: float | None, text: str) -> None:
    shown = writing._templates.filters["share"](share)
    assert shown.replace("\N{NO-BREAK SPACE}", " ") == text
