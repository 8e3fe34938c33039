"""Chapter: `max_staleness = 0`: each tag is asked of the primary, and the bytes still come from here."""

from __future__ import annotations

from extproc.sandbox.demo.arrival import PERHAPS_KNOWN, first_layer, read_tag
from extproc.sandbox.demo.stage import NAME, Chapter, Stage, Step, seen
from extproc.sandbox.demo.step import Expected, Seen

CURRENT = Expected(200, "primary", "tag-unverified")


async def reconfigured(stage: Stage) -> Seen:
    await stage.reconfigure({"policy": {"max_staleness": 0.0}})
    answer, waited = await stage.until(CURRENT, stage.read)
    return seen(answer, note=f"in force after {waited:.1f} s", digest=stage.image.digest)


async def moved_elsewhere(stage: Stage) -> Seen:
    took = await stage.push("v4", stage.sandbox.sites.primary.url)
    return Seen(f"skopeo copy → {NAME}:latest", took, note="straight to the primary, past us")


CHAPTER = Chapter(
    "Strict: max_staleness = 0",
    (
        Step("change the setting, restart", reconfigured, CURRENT),
        Step("read again: no lease is used", read_tag, CURRENT),
        Step("move the tag at the primary", moved_elsewhere, Expected()),
        Step("read the tag: the new digest at once", read_tag, CURRENT),
        Step("its bytes still come from here", first_layer, Expected(200, "secondary", PERHAPS_KNOWN)),
    ),
)
