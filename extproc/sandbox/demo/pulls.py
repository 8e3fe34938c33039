"""Chapter: whole pulls by skopeo, timed for the chart; which site sent what is read from the access log."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from extproc.sandbox.demo.stage import LAYERS, Chapter, Stage, Step
from extproc.sandbox.demo.step import Expected, Seen

GAP: Final = "demo/gap"
TIMED: Final = "demo/timed"

ANSWERS: Final = LAYERS + 2
"""Of a pull, by content: manifest, configuration, layers."""

Act = Callable[[Stage], Awaitable[Seen]]


async def prepare(stage: Stage) -> Seen:
    sites = stage.sandbox.sites
    took = 0.0
    for name in (GAP, TIMED):
        took += await stage.skopeo.push(stage.layout, "v1", sites.primary.url, f"{name}:latest")
    took += await stage.replicate(TIMED)
    return Seen("skopeo copy, three times", took, note=f"{GAP} and {TIMED} at the primary, {TIMED} replicated")


async def _pull(stage: Stage, label: str, url: str, name: str) -> Seen:
    took, digest = await stage.skopeo.pull(url, f"{name}:latest")
    stage.pulls[label] = took
    problems = () if digest == stage.versions["v1"].digest else (f"pulled {digest}, which was not pushed",)
    return Seen(f"skopeo copy {name}:latest", took, problems=problems)


def direct(label: str, find: Callable[[Stage], str]) -> Act:
    """A pull past us."""

    async def act(stage: Stage) -> Seen:
        return await _pull(stage, label, find(stage), TIMED)

    return act


def through(label: str, name: str, primary: int) -> Act:
    """A pull through us, of which the primary must answer `primary` requests by content."""

    async def act(stage: Stage) -> Seen:
        log = stage.sandbox.edge.access_log_file
        before = log.stat().st_size
        seen = await _pull(stage, label, stage.registry_url, name)
        sites: Counter[str] = Counter()
        for _ in range(50):  # the log is flushed every 100 ms
            with log.open("rb") as lines:
                lines.seek(before)
                sites = Counter(_site(line, name) for line in lines if line.endswith(b"\n"))
            del sites[""]
            if sites.total() >= ANSWERS:
                break
            await asyncio.sleep(0.05)
        wanted = Counter({"primary": primary, "secondary": ANSWERS - primary})
        problems = () if sites == wanted else (f"answers are {_words(sites)}, expected {_words(wanted)}",)
        return Seen(seen.request, seen.milliseconds, note=_words(sites), problems=(*seen.problems, *problems))

    return act


def _site(line: bytes, name: str) -> str:
    """Who answered a request for content under `name`; empty for another request."""
    entry = json.loads(line)
    named = str(entry.get("path", "")).startswith((f"/v2/{name}/manifests/", f"/v2/{name}/blobs/"))
    return str(entry.get("site") or "") if named else ""


def _words(sites: Counter[str]) -> str:
    return ", ".join(f"{sites[site]} from the {site}" for site in ("primary", "secondary") if sites[site])


CHAPTER = Chapter(
    "Whole pulls, as reader",
    (
        Step("two names that nobody read yet", prepare, Expected()),
        Step(
            "from the primary, across the WAN",
            direct("primary, across the WAN", lambda stage: stage.sandbox.sites.primary_wan_url),
            Expected(),
        ),
        Step("through us, not replicated yet", through("through us, not replicated yet", GAP, ANSWERS), Expected()),
        Step("through us, the first time", through("through us, cold", TIMED, 1), Expected()),
        Step("through us, again", through("through us, warm", TIMED, 0), Expected()),
        Step(
            "from the secondary itself",
            direct("secondary, direct", lambda stage: stage.sandbox.sites.secondary.url),
            Expected(),
        ),
    ),
)
