"""Chapters: a push, the gap before replication, and what changes once the data is here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from extproc.sandbox.demo.client import Answer, digest_of
from extproc.sandbox.demo.stage import LAYER_SIZE, LAYERS, NAME, PUSH, Chapter, Stage, Step, seen
from extproc.sandbox.demo.step import Expected, Seen
from extproc.sandbox.image import content

LOCAL = Expected(200, "secondary", "tag-verified")
PERHAPS_KNOWN = ("digest-unknown", "digest-present")
_ELSEWHERE = content(300_000, 999)


async def push(stage: Stage) -> Seen:
    took = await stage.push("v1")
    digest = stage.image.digest
    there = await stage.primary.pull(NAME, "manifests", "latest")
    here = await stage.secondary.pull(NAME, "manifests", "latest")
    problems: tuple[str, ...] = ()
    if (there.status, there.digest) != (200, digest):
        problems += (f"the primary answers {there.status} {there.digest} to what was pushed",)
    if here.status != 404:
        problems += (f"the secondary answers {here.status} before anything was replicated",)
    return Seen(
        f"skopeo copy → {NAME}:latest",
        took,
        note=f"{LAYERS} layers, {LAYERS * LAYER_SIZE / 1e6:.0f} MB; the primary has it, the secondary not",
        problems=problems,
    )


async def read_tag(stage: Stage) -> Seen:
    return seen(await stage.read(), digest=stage.image.digest)


def read_until(expected: Expected) -> Callable[[Stage], Awaitable[Seen]]:
    """Reads the tag: what the answer before taught is there for the next one, unless the machine is so busy that the
    store's budget was spent; then that one teaches it."""

    async def act(stage: Stage) -> Seen:
        answer, _ = await stage.until(expected, stage.read, within=5.0)
        return seen(answer, digest=stage.image.digest)

    return act


_FROM_THERE: Final = Expected(200, "primary", "tag-verified")
_KNOWN_TO_LACK: Final = Expected(200, "primary", "digest-absent")


async def replicate(stage: Stage) -> Seen:
    took = await stage.replicate()
    copy = await stage.secondary.pull(NAME, "manifests", "latest")
    problems = () if copy.digest == stage.image.digest else (f"the secondary has {copy.digest or copy.status}",)
    return Seen("skopeo copy primary → secondary", took, note="as Geo does by itself", problems=problems)


async def turns_local(stage: Stage) -> Seen:
    wrong: list[str] = []

    async def read() -> Answer:
        answer = await stage.read()
        if (answer.status, answer.digest) != (200, stage.image.digest):
            wrong.append(f"meanwhile the answer was {answer.status} {answer.digest}")
        return answer

    answer, waited = await stage.until(LOCAL, read, within=5.0)
    note = f"turned local after {waited:.1f} s" if waited > 0.2 else "local at once"
    return seen(answer, note=note, problems=tuple(wrong[:1]), digest=stage.image.digest)


async def _layer(stage: Stage, number: int) -> Seen:
    digest = stage.image.layers[number]
    answer = await stage.read(digest, "blobs")
    problems = () if digest_of(answer.body) == digest else ("the bytes are not those of the digest",)
    return seen(answer, note=f"{len(answer.body) / 1e6:.1f} MB, bytes checked", problems=problems)


async def first_layer(stage: Stage) -> Seen:
    return await _layer(stage, 0)


async def last_layer(stage: Stage) -> Seen:
    return await _layer(stage, -1)


async def push_token(stage: Stage) -> Seen:
    answer = await stage.admin.send("HEAD", f"/v2/{NAME}/blobs/{stage.image.layers[0]}", scope=PUSH)
    return seen(answer, note="or a push might skip a layer the primary lacks")


async def pushed_elsewhere(stage: Stage) -> Seen:
    digest = await stage.primary.push_blob(NAME, _ELSEWHERE)
    answer = await stage.read(digest, "blobs")
    problems = () if answer.body == _ELSEWHERE else ("the bytes are not those that were pushed",)
    return seen(answer, note="fell back in the same request", problems=problems)


PUSHED = Chapter(
    "Push through the one URL, read before anything is replicated",
    (
        Step("push an image, as admin", push, Expected()),
        Step("read the tag", read_tag, Expected(200, "primary", "tag-unverified")),
        Step("again: not here, so from there", read_until(_FROM_THERE), _FROM_THERE),
        Step("again: known not to be here", read_until(_KNOWN_TO_LACK), _KNOWN_TO_LACK),
    ),
)

REPLICATED = Chapter(
    "Replication catches up",
    (
        Step("copy it to the secondary", replicate, Expected()),
        Step("read the tag until it is local", turns_local, LOCAL),
        Step("a layer, asked for here first", first_layer, Expected(200, "secondary", PERHAPS_KNOWN)),
        Step("the same layer, now known", first_layer, Expected(200, "secondary", "digest-present")),
        Step("the same with a token that can push", push_token, Expected(200, "primary", "push-token")),
        Step("a blob pushed at the primary only", pushed_elsewhere, Expected(200, "primary", "digest-unknown")),
    ),
)
