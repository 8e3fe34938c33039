"""Chromium, and what is looked at in every state of a page."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, Page, async_playwright

ROOT: Final = Path(__file__).parents[3]
PICTURES: Final = ROOT / "build" / "page"
_AXE: Final = ROOT / "build" / "axe" / "axe.min.js"
LOOKS: Final[dict[str, dict[str, Any]]] = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "narrow": {"viewport": {"width": 400, "height": 800}, "color_scheme": "light"},
    "narrow-dark": {"viewport": {"width": 400, "height": 800}, "color_scheme": "dark"},
}


@dataclass
class Seen:
    """A page in a browser, and what was written to its console."""

    page: Page
    complaints: list[str] = field(default_factory=list)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    program = shutil.which("chromium")
    assert program is not None, "chromium is not installed: make test-page installs it"
    async with async_playwright() as playwright:
        # As root it cannot make its own sandbox; it sees nothing but our page.
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def opened(browser: Browser, url: str, look: str = "light", **options: Any) -> AsyncIterator[Seen]:
    """In a context of its own; fails when anything was written to the console."""
    context = await browser.new_context(**LOOKS[look], **options)
    try:
        seen = Seen(await context.new_page())
        seen.page.on("console", lambda message: seen.complaints.append(f"{message.type}: {message.text}"))
        seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        await seen.page.goto(url)
        yield seen
        assert seen.complaints == []
    finally:
        await context.close()


async def looked_at(browser: Browser, url: str, state: str) -> None:
    """In every look: no horizontal scroll, nothing for axe-core to find, a picture to look at by eye."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for look in LOOKS:
        async with opened(browser, url, look) as seen:
            width = await seen.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
            assert width[0] <= width[1], f"{state} scrolls sideways in look {look}: {width}"
            await seen.page.screenshot(path=PICTURES / f"{state}-{look}.png", full_page=True)
        # The audit's script is not of the page's own, which its policy refuses.
        async with opened(browser, url, look, bypass_csp=True) as seen:
            await seen.page.evaluate(_AXE.read_text())
            found = await seen.page.evaluate("axe.run()")
            assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]] == []
            assert len(found["passes"]) > 10, "the audit looked at something"
