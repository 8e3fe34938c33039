"""What the settings make of renewal; that it renews is tests/e2e/test_renewal.py's to show."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from extproc.evidence.memory import MemoryStore
from extproc.oci.reference import Name, Tag
from extproc.renewal.opening import open_renewal
from extproc.renewal.renewal import Outcome
from extproc.sandbox.edge import merged
from extproc.settings import Settings, SettingsError
from tests.support.ports import free_port


def settings(folder: Path, **changes: Any) -> Settings:
    (folder / "password").write_text("secret")
    document: dict[str, Any] = {
        "auth": {"mode": "passthrough"},
        "sites": {
            "primary": {"url": f"http://127.0.0.1:{free_port()}"},
            "secondary": {"url": f"http://127.0.0.1:{free_port()}"},
        },
        "service_account": {"username": "geo", "password_file": str(folder / "password")},
    }
    return Settings.model_validate(merged(document, changes))


def blocks(name: Name) -> bool:
    return False


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"service_account": None}, id="no account"),
        pytest.param({"service_account": {"renew": False}}, id="switched off"),
        pytest.param({"policy": {"max_staleness": 0}}, id="tags always ask the primary"),
    ],
)
async def test_nothing_to_renew(tmp_path: Path, changes: dict[str, Any]) -> None:
    store = MemoryStore(absent_ttl=1)
    async with open_renewal(settings(tmp_path, **changes), store=store, blocks=blocks, count=print) as renewal:
        assert renewal is None
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_it_runs_and_ends(tmp_path: Path) -> None:
    outcomes: asyncio.Queue[Outcome] = asyncio.Queue()
    store = MemoryStore(absent_ttl=1)
    async with open_renewal(settings(tmp_path), store=store, blocks=blocks, count=outcomes.put_nowait) as renewal:
        assert renewal is not None
        renewal.on_lease_dropped(Name("g/app"), Tag("latest"))
        assert await asyncio.wait_for(outcomes.get(), 20) is Outcome.FAILED, "nobody listens there"
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_registries_that_cannot_be_reached_by_the_settings(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nonsense")
    changes = {"primary": {"url": "https://127.0.0.1:1", "ca": str(tmp_path / "ca.pem")}}
    opening = open_renewal(
        settings(tmp_path, sites=changes), store=MemoryStore(absent_ttl=1), blocks=blocks, count=print
    )
    with pytest.raises(SettingsError, match=r"^leases cannot be renewed: .*ca\.pem"):
        async with opening:
            pass
