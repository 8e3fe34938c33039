"""Notifications that the registries would send: of pushes, with the secret that the sandbox has."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

import aiohttp

from extproc.sandbox.system import Sandbox
from tests.faults.rig import Rig

_EVERY: Final = 0.5
"""Seconds."""


async def tell(rig: Rig, site: Literal["primary", "secondary"], number: int) -> int:
    """That manifest `number` was pushed there. The status of the answer; 0 when nobody answers."""
    event = {
        "id": f"{site}-{number}",
        "timestamp": datetime.now(UTC).isoformat(),
        "action": "push",
        "target": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": f"sha256:{number:064x}",
            "repository": "told/app",
            "tag": f"t{number}",
        },
    }
    headers = {
        "Authorization": _secret(rig.sandbox),
        "Content-Type": "application/vnd.docker.distribution.events.v2+json",
    }
    url = f"{rig.sandbox.edge.admin_url}/notifications/{site}"
    try:
        async with rig.http.post(url, data=json.dumps({"events": [event]}), headers=headers) as answer:
            return answer.status
    except (OSError, aiohttp.ClientError):
        return 0


def _secret(sandbox: Sandbox) -> str:
    return (sandbox.workspace.directory / "notifications.secret").read_text().split()[0]


@dataclass
class Replication:
    """Something arrives at the secondary all the time, until it is stopped. The load puts what it replicates into the
    registry's storage, and of that no registry tells."""

    stopped: bool = False


@asynccontextmanager
async def replicating(rig: Rig) -> AsyncIterator[Replication]:
    replication = Replication()

    async def go_on() -> None:
        while True:
            if not replication.stopped:
                await tell(rig, "secondary", 0)  # again and again the same, so nothing else changes
            await asyncio.sleep(_EVERY)

    task = asyncio.create_task(go_on())
    try:
        yield replication
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
