"""What the steps act on: the running sandbox, clients of both users, and the images that are pushed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from extproc.sandbox.demo import step
from extproc.sandbox.demo.client import Answer, Client, Headers
from extproc.sandbox.demo.skopeo import Skopeo
from extproc.sandbox.demo.step import Expected, Seen, judge
from extproc.sandbox.edge import merged, toml
from extproc.sandbox.image import content, write_image
from extproc.sandbox.system import Sandbox

NAME: Final = "demo/app"
PULL: Final = f"repository:{NAME}:pull"
PUSH: Final = f"repository:{NAME}:pull,push"

LAYERS: Final = 10
LAYER_SIZE: Final = 800_000
TURN: Final = 8.0
"""Seconds within which anything must have turned, such as a part that is back."""

Step = step.Step["Stage"]
Chapter = step.Chapter["Stage"]


@dataclass(slots=True)
class Image:
    """What was written to the layout under a tag."""

    digest: str
    layers: tuple[str, ...]


@dataclass(slots=True)
class Stage:
    sandbox: Sandbox
    rtt: float
    """Milliseconds."""
    admin: Client
    """At the unified URL, as is `reader`; the other two go past us, as admin."""
    reader: Client
    primary: Client
    secondary: Client
    skopeo: Skopeo
    layout: Path
    versions: dict[str, Image]
    """By tag in the layout: v1, v2, … share all layers but the last."""
    current: str = ""
    """The version that the tag `latest` has at the primary."""
    pulls: dict[str, float] = field(default_factory=dict)
    """How long whole pulls took, in milliseconds, for the chart."""

    @property
    def image(self) -> Image:
        return self.versions[self.current]

    @property
    def registry_url(self) -> str:
        return self.sandbox.edge.registry_url

    async def push(self, version: str, url: str = "") -> float:
        """Make `version` the tag `latest`, through the unified URL unless another is given; milliseconds."""
        took = await self.skopeo.push(self.layout, version, url or self.registry_url, f"{NAME}:latest")
        self.current = version
        return took

    async def replicate(self, name: str = NAME) -> float:
        """What a replication job does with the tag `latest`; milliseconds."""
        sites = self.sandbox.sites
        return await self.skopeo.replicate(sites.primary_wan_url, sites.secondary.url, f"{name}:latest")

    async def read(
        self, reference: str = "latest", kind: str = "manifests", headers: Headers | None = None
    ) -> Answer:
        """As the reader, through the unified URL."""
        return await self.reader.pull(NAME, kind, reference, headers)

    async def until(
        self, expected: Expected, read: Callable[[], Awaitable[Answer]], within: float = TURN, pause: float = 0.1
    ) -> tuple[Answer, float]:
        """Read until it is as expected; the last answer, and the seconds it took. Never raises for the time."""
        clock = asyncio.get_running_loop().time
        begun = clock()
        while True:
            answer = await read()
            if not judge(expected, seen(answer)) or clock() - begun > within:
                return answer, clock() - begun
            await asyncio.sleep(pause)

    async def reconfigure(self, overrides: Mapping[str, Any]) -> None:
        """Change the processor's settings as an operator does: rewrite its file, restart it. Raises SandboxError."""
        edge = self.sandbox.edge
        edge.config_file.write_text(toml(merged(edge.settings, overrides)))
        await self.sandbox.restart("extproc")


@asynccontextmanager
async def open_stage(sandbox: Sandbox, rtt: float) -> AsyncIterator[Stage]:
    """On a running sandbox. Raises SandboxError when skopeo is not installed."""
    folder = sandbox.workspace.directory
    sites, auth_url, registry_url = sandbox.sites, sandbox.sites.auth_url, sandbox.edge.registry_url
    home = folder / "client"
    home.mkdir()
    layout = folder / "layout"
    versions = await asyncio.to_thread(_write_versions, layout)
    async with AsyncExitStack() as stack:
        admin, reader, primary, secondary = [
            await stack.enter_async_context(Client(url, auth_url, user))
            for url, user in (
                (registry_url, "admin"),
                (registry_url, "reader"),
                (sites.primary.url, "admin"),
                (sites.secondary.url, "admin"),
            )
        ]
        yield Stage(
            sandbox=sandbox,
            rtt=rtt,
            admin=admin,
            reader=reader,
            primary=primary,
            secondary=secondary,
            skopeo=Skopeo(home, sandbox.workspace.environment),
            layout=layout,
            versions=versions,
        )


def seen(answer: Answer, *, note: str = "", problems: tuple[str, ...] = (), digest: str | None = None) -> Seen:
    """A row about one answer; `digest` is the manifest that it must be."""
    if digest is not None and answer.digest != digest:
        problems += (f"digest is {_short(answer.digest)}, expected {_short(digest)}",)
    return Seen(
        answer.request,
        answer.milliseconds,
        answer.status,
        answer.site,
        answer.reason,
        note,
        problems,
    )


def _write_versions(layout: Path) -> dict[str, Image]:
    shared = [content(LAYER_SIZE, seed) for seed in range(LAYERS - 1)]
    versions: dict[str, Image] = {}
    for number in range(1, 5):
        digest = write_image(layout, f"v{number}", [*shared, content(LAYER_SIZE, 100 + number)])
        manifest = json.loads((layout / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes())
        versions[f"v{number}"] = Image(digest, tuple(layer["digest"] for layer in manifest["layers"]))
    return versions


def _short(digest: str) -> str:
    return digest[:19] or "missing"
