"""Chapters: one part after the other fails, clients go on, and it comes back by itself."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

from extproc.sandbox.demo.arrival import LOCAL, PERHAPS_KNOWN, replicate, turns_local
from extproc.sandbox.demo.client import Answer
from extproc.sandbox.demo.stage import NAME, PUSH, Chapter, Stage, Step, seen
from extproc.sandbox.demo.step import Expected, Seen

SLACK = 400.0
"""Milliseconds over the WAN's round trip that a request may take while a part is away."""

UNSEEN = Expected(200, "primary")
"""No processor, so no reason."""


def _in_time(stage: Stage, answer: Answer) -> tuple[str, ...]:
    limit = stage.rtt * 2 + SLACK  # a connection may have to be made: one round trip more
    return () if answer.milliseconds <= limit else (f"it took {answer.milliseconds:.0f} ms, over {limit:.0f} ms",)


async def redis_paused(stage: Stage) -> Seen:
    stage.sandbox.pause("redis")
    answer = await stage.read()
    return seen(answer, note="SIGSTOP", problems=_in_time(stage, answer), digest=stage.image.digest)


async def redis_still_paused(stage: Stage) -> Seen:
    answers = [await stage.read() for _ in range(10)]
    slowest = max(answers, key=lambda answer: answer.milliseconds)
    expected = ("primary", "evidence-unavailable")
    odd = [answer for answer in answers if (answer.site, answer.reason) != expected]
    problems = _in_time(stage, slowest) + ((f"{len(odd)} of 10 went elsewhere",) if odd else ())
    return seen(slowest, note="the slowest of 10", problems=problems, digest=stage.image.digest)


async def redis_back(stage: Stage) -> Seen:
    stage.sandbox.resume("redis")
    return await _back(stage, LOCAL)


async def _back(stage: Stage, expected: Expected) -> Seen:
    answer, waited = await stage.until(expected, stage.read)
    return seen(answer, note=f"back after {waited:.1f} s", digest=stage.image.digest)


async def processor_killed(stage: Stage) -> Seen:
    await stage.sandbox.kill("extproc")
    return seen(await stage.read(), note="SIGKILL to all workers", digest=stage.image.digest)


async def pushed_unseen(stage: Stage) -> Seen:
    took = await stage.push("v3")
    there = await stage.primary.pull(NAME, "manifests", "latest")
    problems = () if there.digest == stage.image.digest else (f"the primary has {there.digest or there.status}",)
    return Seen(f"skopeo copy → {NAME}:latest", took, note="the primary has it", problems=problems)


async def forged_unseen(stage: Stage) -> Seen:
    answer = await stage.read(headers={"x-geo-route": "secondary"})
    here = await stage.secondary.pull(NAME, "manifests", "latest")
    old = stage.versions["v2"].digest
    problems = (
        () if here.digest == old else (f"the secondary has {here.digest or here.status}, so this shows nothing",)
    )
    return seen(answer, note="the secondary has an older one", problems=problems, digest=stage.image.digest)


async def processor_back(stage: Stage) -> Seen:
    await stage.sandbox.start("extproc")
    answer, waited = await stage.until(Expected(200, "primary", "tag-unverified"), stage.read)
    note = f"back after {waited:.1f} s; old leases are void"
    return seen(answer, note=note, digest=stage.image.digest)


async def secondary_stopped(stage: Stage) -> Seen:
    await stage.sandbox.stop("secondary")
    answer = await stage.read()
    return seen(answer, note="in the same request", problems=_in_time(stage, answer), digest=stage.image.digest)


async def secondary_layer(stage: Stage) -> Seen:
    answers = [await stage.read(layer, "blobs") for layer in stage.image.layers[:3]]
    odd = [answer for answer in answers if (answer.status, answer.site) != (200, "primary")]
    problems = (f"{len(odd)} of 3 layers failed",) if odd else ()
    return seen(answers[0], note="and two more layers", problems=problems)


async def secondary_back(stage: Stage) -> Seen:
    await stage.sandbox.start("secondary")
    return await _back(stage, LOCAL)


async def primary_stopped(stage: Stage) -> Seen:
    await stage.sandbox.stop("primary")
    return seen(await stage.read(), note="its lease is fresh", digest=stage.image.digest)


async def primary_layer(stage: Stage) -> Seen:
    return seen(await stage.read(stage.image.layers[-1], "blobs"))


async def write_refused(stage: Stage) -> Seen:
    return _oci_form(await stage.admin.send("POST", f"/v2/{NAME}/blobs/uploads/", scope=PUSH))


async def unknown_tag(stage: Stage) -> Seen:
    return _oci_form(await stage.read("never-read"))


def _oci_form(answer: Answer) -> Seen:
    """A row about an answer of Envoy's own: none of the sites made it, whichever was tried."""
    try:
        code = json.loads(answer.body)["errors"][0]["code"]
    except (ValueError, LookupError, TypeError):
        code = ""
    problems = () if code == "UNAVAILABLE" else (f"the body is {answer.body[:60]!r}, expected an error UNAVAILABLE",)
    row = seen(answer, note="UNAVAILABLE in OCI form", problems=problems)
    return replace(row, site="")


async def primary_back(stage: Stage) -> Seen:
    await stage.sandbox.start("primary")
    clock = asyncio.get_running_loop().time
    begun = clock()
    expected = Expected(202, "primary", "upload-session")

    async def write() -> Answer:
        return await stage.admin.send("POST", f"/v2/{NAME}/blobs/uploads/", scope=PUSH)

    answer, _ = await stage.until(expected, write)
    return seen(answer, note=f"back after {clock() - begun:.1f} s")


REDIS = Chapter(
    "Redis stops answering",
    (
        Step("read the tag", redis_paused, Expected(200, "primary", "evidence-unavailable")),
        Step("ten more", redis_still_paused, Expected(200, "primary", "evidence-unavailable")),
        Step("it goes on", redis_back, LOCAL),
    ),
)

PROCESSOR = Chapter(
    "The processor is killed",
    (
        Step("read the tag", processor_killed, UNSEEN),
        Step("push a third image", pushed_unseen, Expected()),
        Step("read it with a forged route", forged_unseen, UNSEEN),
        Step("started again", processor_back, Expected(200, "primary", "tag-unverified")),
        Step("copy the third to the secondary", replicate, Expected()),
        Step("read the tag until it is local", turns_local, LOCAL),
    ),
)

SECONDARY = Chapter(
    "The secondary stops",
    (
        Step("read the tag", secondary_stopped, Expected(200, "primary", "tag-verified")),
        Step("read a layer", secondary_layer, Expected(200, "primary", PERHAPS_KNOWN)),
        Step("started again", secondary_back, LOCAL),
    ),
)

PRIMARY = Chapter(
    "The primary stops",
    (
        Step("read the tag: still verified", primary_stopped, LOCAL),
        Step("read a layer", primary_layer, Expected(200, "secondary", PERHAPS_KNOWN)),
        Step("write: refused, not lost", write_refused, Expected(503, reason="upload-session")),
        Step("a tag not known here: no invented 404", unknown_tag, Expected(503, reason="tag-unverified")),
        Step("started again: write", primary_back, Expected(202, "primary", "upload-session")),
    ),
)
