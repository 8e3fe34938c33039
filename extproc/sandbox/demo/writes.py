"""Chapter: writes through this site are seen by the next read, whatever the secondary still has."""

from __future__ import annotations

from extproc.sandbox.demo.arrival import LOCAL, read_tag, replicate, turns_local
from extproc.sandbox.demo.stage import NAME, Chapter, Stage, Step, seen
from extproc.sandbox.demo.step import Expected, Seen

DELETED = Expected(404, "primary", "digest-deleted")


async def move(stage: Stage) -> Seen:
    took = await stage.push("v2")
    here = await stage.secondary.pull(NAME, "manifests", "latest")
    old = stage.versions["v1"].digest
    problems = () if here.digest == old else (f"the secondary has {here.digest or here.status}, not the old one",)
    return Seen(f"skopeo copy → {NAME}:latest", took, note="the secondary still has the old one", problems=problems)


async def delete(stage: Stage) -> Seen:
    digest = stage.versions["v1"].digest
    answer = await stage.admin.send("DELETE", f"/v2/{NAME}/manifests/{digest}", scope=f"repository:{NAME}:delete")
    return seen(answer)


async def deleted(stage: Stage) -> Seen:
    digest = stage.versions["v1"].digest
    here = await stage.secondary.pull(NAME, "manifests", digest)
    problems = () if here.status == 200 else (f"the secondary answers {here.status}, so this shows nothing",)
    return seen(await stage.read(digest), note="the secondary still has it", problems=problems)


async def forged(stage: Stage) -> Seen:
    headers = {"x-geo-route": "secondary", "x-geo-reason": "digest-present"}
    answer = await stage.read(stage.versions["v1"].digest, headers=headers)
    return seen(answer, note="x-geo-route: secondary sent by the client")


CHAPTER = Chapter(
    "Read your writes",
    (
        Step("move the tag to another image", move, Expected()),
        Step("read the tag: the new digest", read_tag, Expected(200, "primary", "tag-unverified")),
        Step("delete the old manifest", delete, Expected(202, "primary", "write")),
        Step("read what was deleted", deleted, DELETED),
        Step("the same with a forged route", forged, DELETED),
        Step("copy the new one to the secondary", replicate, Expected()),
        Step("read the tag until it is local", turns_local, LOCAL),
    ),
)
