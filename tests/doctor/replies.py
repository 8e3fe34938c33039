"""Answers and installations for tests of single checks."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from multidict import CIMultiDict, CIMultiDictProxy

from extproc.doctor.checks import CHECKS
from extproc.doctor.finding import Finding
from extproc.doctor.installation import Installation, Wishes, open_installation
from extproc.doctor.peer import Peer, Reply
from extproc.registry.session import open_session
from extproc.sandbox.edge import merged, toml
from extproc.settings import Settings

PASSTHROUGH: dict[str, Any] = {
    "auth": {"mode": "passthrough"},
    "sites": {"primary": {"url": "http://127.0.0.1:1"}, "secondary": {"url": "http://127.0.0.1:2"}},
}

PATIENT = {"budget": 5.0}
"""For the store's table: a busy machine is no defect."""


def reply(status: int, *fields: tuple[str, str], asked: float = 0.0, answered: float = 0.0) -> Reply:
    return Reply(status, CIMultiDictProxy(CIMultiDict(fields)), b"", asked, answered)


def settings_of(folder: Path, **tables: Any) -> Settings:
    """Without an issuer, unless `auth` says otherwise."""
    file = folder / "geo.toml"
    # More than two of the store's budgets, whatever a test gives it.
    patient = {"envoy": {"message_timeout": 20.0}}
    file.write_text(toml(merged(merged(PASSTHROUGH, patient), tables)))
    return Settings.load(file)


def peer_of(url: str, **options: Any) -> Peer:
    return Peer("the peer", url, lambda: open_session(url, None), **{"timeout": 5.0, **options})


async def found(check: str, settings: Settings, wishes: Wishes | None = None) -> list[Finding]:
    """What one check finds."""
    async with open_installation(settings, wishes or Wishes(), compare=check == "envoy-config") as installation:
        return [finding async for finding in CHECKS[check](installation)]


def states(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.subject, finding.state.value) for finding in findings]


async def nothing(_: Installation) -> AsyncGenerator[Finding, None]:
    """A check that says nothing."""
    none: list[Finding] = []
    for finding in none:
        yield finding
