from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

from extproc.doctor.examination import examine
from extproc.doctor.finding import Finding, State, fault, ok, warning
from extproc.doctor.installation import Installation, Wishes, open_installation
from tests.doctor.replies import nothing, settings_of


async def good(_: Installation) -> AsyncGenerator[Finding, None]:
    yield ok("all", "it is")


async def broken(_: Installation) -> AsyncGenerator[Finding, None]:
    yield warning("first", "seen", "mend it")
    raise KeyError("x")


async def test_a_check_that_hangs_or_breaks_hides_nothing(tmp_path: Path) -> None:
    closed: list[str] = []

    async def hanging(_: Installation) -> AsyncGenerator[Finding, None]:
        try:
            yield fault("first", "seen", "mend it")
            await asyncio.Event().wait()
        finally:
            closed.append("hanging")

    checks = {"hanging": hanging, "broken": broken, "good": good, "nothing": nothing}
    async with open_installation(settings_of(tmp_path), Wishes(timeout=0.1)) as installation:
        examined = await examine(installation, checks)
    assert [each.name for each in examined] == list(checks)
    told = {each.name: [(finding.subject, finding.state) for finding in each.findings] for each in examined}
    assert told == {
        "hanging": [("first", State.FAULT), ("check", State.UNKNOWN)],
        "broken": [("first", State.WARNING), ("check", State.UNKNOWN)],
        "good": [("all", State.OK)],
        "nothing": [],
    }
    assert "after 0.1 s" in examined[0].findings[1].text
    assert "KeyError: 'x'" in examined[1].findings[1].text
    assert [each.state for each in examined] == [State.FAULT, State.WARNING, State.OK, State.UNKNOWN]
    assert closed == ["hanging"]


async def test_checks_run_beside_each_other(tmp_path: Path) -> None:
    met = asyncio.Barrier(2)

    async def meeting(_: Installation) -> AsyncGenerator[Finding, None]:
        await met.wait()
        yield ok("all", "it is")

    async with open_installation(settings_of(tmp_path), Wishes()) as installation:
        examined = await examine(installation, {"one": meeting, "other": meeting})
    assert [each.state for each in examined] == [State.OK, State.OK]
