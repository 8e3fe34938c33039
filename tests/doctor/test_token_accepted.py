from __future__ import annotations

from pathlib import Path

from aiohttp import web

from extproc.doctor.installation import Wishes
from tests.doctor.replies import found, states
from tests.doctor.test_token_keys import token_settings
from tests.registry.server import Server, scripted


async def test_each_door_by_itself(tmp_path: Path) -> None:
    unverified = web.Response(status=200, headers={"x-geo-reason": "token-unverifiable"})
    async with (
        Server(scripted(web.Response(status=500))) as primary,
        Server(scripted(web.Response(status=401))) as secondary,
        Server(scripted(unverified)) as gateway,
    ):
        settings = token_settings(tmp_path)
        sites = settings.sites.model_copy(
            update={
                "primary": settings.sites.primary.model_copy(update={"url": primary.url}),
                "secondary": settings.sites.secondary.model_copy(update={"url": secondary.url}),
            }
        )
        settings = settings.model_copy(update={"sites": sites})
        findings = await found("token-accepted", settings, Wishes(url=gateway.url, token="abc"))
        assert primary.authorizations == secondary.authorizations == gateway.authorizations == ["Bearer abc"]
    assert states(findings) == [("primary", "fault"), ("secondary", "fault"), ("gateway", "fault")]
    assert "answers 500" in findings[0].text
    assert "another key" in findings[1].text
    assert "the processor that runs does not know the key" in findings[2].text


async def test_nobody_there_and_no_account(tmp_path: Path) -> None:
    settings = token_settings(tmp_path)
    findings = await found("token-accepted", settings, Wishes(url="http://127.0.0.1:1", token="abc"))
    assert {state for _, state in states(findings)} == {"fault"}
    assert states(await found("token-accepted", settings)) == [("token", "unknown")]


async def test_the_former_primary_may_be_away_once_this_site_is_the_primary(tmp_path: Path) -> None:
    settings = token_settings(tmp_path)
    sites = settings.sites.model_copy(update={"role": "primary"})
    settings = settings.model_copy(update={"sites": sites})
    for check in ("token-accepted", "registry-auth"):
        findings = await found(check, settings, Wishes(url="http://127.0.0.1:1", token="abc"))
        assert states(findings)[:2] == [("primary", "unknown"), ("secondary", "fault")]
        assert 'sites.role = "secondary"' in findings[0].remedy
