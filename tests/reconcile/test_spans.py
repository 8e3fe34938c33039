"""A traced run has a span for each name, of the first thousand."""

from __future__ import annotations

import pytest

from extproc.reconcile import run
from tests.reconcile.test_run import NAMES, Site


async def test_each_name_of_a_traced_run_is_a_span_below_it() -> None:
    site = Site()
    with site.traced.work.span("run"):
        await site.run()
    whole = site.traced.spans["run"]
    names = [span for span in site.traced.all if span.name == "geo_extproc.reconcile.name"]
    assert {(span.attributes or {})["geo.repository"] for span in names} == set(NAMES)
    assert {span.parent.span_id if span.parent else None for span in names} == {
        whole.context.span_id if whole.context else None
    }


async def test_a_run_that_is_not_traced_has_none() -> None:
    site = Site()
    await site.run()
    assert site.traced.all == []


async def test_so_many_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_MOST_TRACED", 7)
    site = Site()
    with site.traced.work.span("run"):
        await site.run()
    assert len(site.traced.all) == 8
