"""The status page in Chromium, on a real sandbox under traffic: empty, busy, behind, without its store."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from extproc.sandbox.image import content, write_image
from extproc.sandbox.system import Sandbox
from tests.deep.page.browser import chromium, looked_at, opened
from tests.support.shell import NAME, Shell

pytestmark = [pytest.mark.e2e]

WITHIN = 30_000
"""Milliseconds."""


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


async def push(shell: Shell, tag: str, seed: int) -> None:
    write_image(shell.folder / f"image-{tag}", tag, [content(500_000, seed)])
    await shell.run(
        *("skopeo", "copy", "--preserve-digests", "--dest-tls-verify=false", "--dest-creds", "admin:admin"),
        *(f"oci:image-{tag}:{tag}", f"docker://{shell.registry}/{NAME}:{tag}"),
    )


async def pull(shell: Shell, tag: str) -> None:
    await shell.run(
        *("skopeo", "copy", "--src-tls-verify=false", "--src-creds", "reader:reader"),
        *(f"docker://{shell.registry}/{NAME}:{tag}", f"dir:{shell.folder}/pulled"),
    )


async def number(page: Page, title: str) -> str:
    """The big one of a figure."""
    text: str = await page.locator(".figures div", has_text=title).locator("b").inner_text()
    return text


async def test_the_page_through_a_day(tmp_path: Path, browser: Browser) -> None:
    async with Sandbox(workers=2) as sandbox:
        shell = Shell(tmp_path, sandbox)
        url = shell.where["admin_url"]
        await nothing_yet(browser, url)
        await busy(browser, url, shell)
        await asked(browser, url)
        await behind(browser, url, shell)
        await without_script(browser, url)
        await without_its_store(browser, url, sandbox)


async def nothing_yet(browser: Browser, url: str) -> None:
    await looked_at(browser, url, "empty")
    async with opened(browser, url) as seen:
        await expect(seen.page.get_by_text("Nothing was pulled in the last hour.")).to_be_visible()
        await expect(seen.page.get_by_role("status")).to_have_text("Live: the numbers move by themselves.")


async def busy(browser: Browser, url: str, shell: Shell) -> None:
    """The numbers of an open page move, and who has the focus keeps it."""
    async with opened(browser, url) as seen:
        search = seen.page.get_by_role("searchbox")
        await search.focus()
        await push(shell, "v1", 1)
        await shell.replicate("v1")
        for _ in range(4):
            await pull(shell, "v1")
        share = seen.page.locator(".figures div", has_text="Pulls sent to this site").locator("b")
        await expect(share).to_have_text(re.compile(r"^>?\d+"), timeout=WITHIN)
        before = await number(seen.page, "Sent by this site")
        reason = seen.page.locator("#reasons tr", has_text="tag-verified")
        await expect(reason).to_be_visible(timeout=WITHIN)
        count = await reason.locator("td").nth(2).inner_text()
        for _ in range(3):
            await pull(shell, "v1")
        await expect(reason.locator("td").nth(2)).not_to_have_text(count, timeout=WITHIN)
        sent = seen.page.locator(".figures div", has_text="Sent by this site").locator("b")
        await expect(sent).not_to_have_text(before, timeout=WITHIN)
        assert await seen.page.locator("#hour rect").count() > 0
        await expect(search).to_be_focused()
        await expect(seen.page.locator("#last a", has_text=NAME).first).to_be_visible()
    await looked_at(browser, url, "busy")


async def asked(browser: Browser, url: str) -> None:
    """Search and explain, with the keyboard alone."""
    async with opened(browser, url) as seen:
        page = seen.page
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="To the content")).to_be_focused()
        await page.get_by_role("searchbox").focus()
        await page.keyboard.type("APP")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/names?q=APP")
        await page.get_by_role("link", name=NAME).focus()
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/names/{NAME}")
        await expect(page.get_by_role("heading", level=1)).to_have_text(NAME)
        await page.get_by_label("Explain", exact=True).focus()
        await page.keyboard.type(f"{NAME}:v1")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/explain?request=*")
        await expect(page.locator("dl.words div", has_text="reason")).to_contain_text("tag-verified")
        await page.get_by_role("link", name="Without a token").click()
        await expect(page.locator("dl.words div", has_text="reason")).to_contain_text("token-missing")
    for path, state in (
        ("/names?q=app", "names"),
        (f"/names/{NAME}", "name"),
        (f"/explain?request={NAME}:v1", "explain"),
    ):
        await looked_at(browser, url + path, state)


async def behind(browser: Browser, url: str, shell: Shell) -> None:
    await push(shell, "v2", 2)
    async with opened(browser, url) as seen:
        row = seen.page.locator("#behind tr", has_text=NAME)
        await expect(row).to_be_visible(timeout=WITHIN)
        await expect(row.locator("td").nth(1)).to_have_text("1")
    await looked_at(browser, url, "behind")
    await shell.replicate("v2")
    async with opened(browser, url) as seen:
        await expect(seen.page.locator("#behind")).to_contain_text("nothing is missing here", timeout=WITHIN)


async def without_script(browser: Browser, url: str) -> None:
    async with opened(browser, url, java_script_enabled=False) as seen:
        await expect(seen.page.get_by_text("The numbers do not move by themselves")).to_be_visible()
        await expect(seen.page.locator("#reasons")).to_contain_text("tag-verified")


async def without_its_store(browser: Browser, url: str, sandbox: Sandbox) -> None:
    async with opened(browser, url) as seen:
        await sandbox.stop("redis")
        await expect(seen.page.locator(".findings .fault")).to_contain_text("The store is away", timeout=WITHIN)
        await looked_at(browser, url, "store-down")
        await sandbox.start("redis")
        await expect(seen.page.locator(".findings .fault")).to_have_count(0, timeout=WITHIN)


async def test_a_page_that_is_not_served_any_more_says_so(tmp_path: Path, browser: Browser) -> None:
    async with Sandbox(workers=2) as sandbox:
        url = sandbox.describe()["admin_url"]
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(url)
        await expect(page.get_by_role("status")).to_contain_text("Live:", timeout=WITHIN)
        await sandbox.stop("extproc")
        await expect(page.get_by_role("status")).to_contain_text("Not live", timeout=WITHIN)
        await sandbox.start("extproc")
        await expect(page.get_by_role("status")).to_contain_text("Live:", timeout=WITHIN)
        await context.close()


async def test_pulls_go_on_while_all_feeds_are_taken(browser: Browser, tmp_path: Path) -> None:
    async with Sandbox(workers=2) as sandbox:
        shell = Shell(tmp_path, sandbox)
        await push(shell, "v1", 1)
        contexts = [await browser.new_context() for _ in range(16)]
        pages = [await context.new_page() for context in contexts]
        await asyncio.gather(*(page.goto(shell.where["admin_url"]) for page in pages))
        await pull(shell, "v1")
        for context in contexts:
            await context.close()
