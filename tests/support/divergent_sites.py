"""Two registries that differ in all the ways in which replication leaves them, and a plain comparison of the two."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass, field

from extproc.oci.reference import Digest
from extproc.sandbox.site import Sites
from tests.support.heads import INDEX
from tests.support.registry_client import MANIFEST, RegistryClient, manifest_of
from tests.support.registry_storage import RegistryStorage

SEED = 4
KINDS = ["same"] * 8 + ["behind", "behind-whole", "missing", "untagged", "index", "partly", "lost"]
"""Of tags: some names also lack at the secondary, and some have a tag more there."""


def index_of(*children: Digest) -> bytes:
    manifests = [{"mediaType": MANIFEST, "digest": child, "size": 1} for child in children]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).encode()


def seed(sites: Sites, names: int, tags: int) -> None:
    """Both sites, in all the ways in which replication leaves them."""
    chance = random.Random(SEED)
    primary, secondary = RegistryStorage(sites.primary.root), RegistryStorage(sites.secondary.root)
    for number in range(names):
        name = f"group-{number % 7}/app{number}"
        absent = number % 11 == 5
        sides = (primary,) if absent else (primary, secondary)
        for side in sides:
            side.blob(name, b"{}")
        for position in range(tags):
            tag, content = f"v{position}", manifest_of(b"{}", f"{name} {position}")
            kind = chance.choice(KINDS)
            if kind in ("index", "partly"):
                children = [manifest_of(b"{}", f"{name} {position} {child}") for child in range(2)]
                for side in sides:
                    kept = children if side is primary or kind == "index" else children[1:]
                    digests = [side.manifest(name, child) for child in kept]
                digests = [primary.manifest(name, child) for child in children]
                content = index_of(*digests)
            digest = primary.manifest(name, content, tag)
            if absent or kind == "missing":
                continue
            if kind == "untagged":
                secondary.manifest(name, content)
            elif kind in ("behind", "behind-whole"):
                secondary.manifest(name, manifest_of(b"{}", f"{name} {position} old"), tag)
                if kind == "behind-whole":
                    secondary.manifest(name, content)
            else:
                secondary.manifest(name, content, tag)
                if kind == "lost":
                    secondary.remove_manifest(name, digest)
        if not absent and number % 3 == 0:
            secondary.manifest(name, manifest_of(b"{}", f"{name} extra"), "only-here")
        primary.manifest(name, manifest_of(b"{}", f"{name} 0"), "alias")


@dataclass
class Naive:
    """What a plain comparison finds, as `name:tag`."""

    names: int = 0
    tags: dict[str, Digest] = field(default_factory=dict)
    same: set[str] = field(default_factory=set)
    behind: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    extra: set[str] = field(default_factory=set)
    incomplete: set[str] = field(default_factory=set)
    present: dict[str, set[Digest]] = field(default_factory=dict)
    """By name: digests that tags of the primary need, and that the secondary has whole."""

    @classmethod
    async def of(cls, sites: Sites) -> Naive:
        async with (
            RegistryClient(sites.primary.url, sites.auth_url, connections=32) as primary,
            RegistryClient(sites.secondary.url, sites.auth_url, connections=32) as secondary,
        ):
            listed = await primary.send("GET", "/v2/_catalog?n=1000", scope="registry:catalog:*")
            names = json.loads(listed.body)["repositories"]
            found = cls(names=len(names))
            for name in names:
                await found._compare(name, primary, secondary)
            return found

    async def _compare(self, name: str, primary: RegistryClient, secondary: RegistryClient) -> None:
        tags, others = [await self._tags(name, side) for side in (primary, secondary)]
        self.extra |= {f"{name}:{tag}" for tag in others - tags}
        present = self.present.setdefault(name, set())

        async def one(tag: str) -> None:
            key = f"{name}:{tag}"
            ours = (await primary.read(name, "manifests", tag)).digest
            self.tags[key] = Digest(ours)
            theirs = await secondary.read(name, "manifests", tag)
            if theirs.status == 404:
                self.missing.add(key)
            else:
                (self.same if theirs.digest == ours else self.behind).add(key)
            manifest = await secondary.read(name, "manifests", ours)
            if manifest.status == 404:
                return
            children = [child["digest"] for child in json.loads(manifest.body).get("manifests", [])]
            statuses = {
                child: (await secondary.read(name, "manifests", child, method="HEAD")).status for child in children
            }
            present.update(Digest(child) for child, status in statuses.items() if status == 200)
            if set(statuses.values()) <= {200}:
                present.add(Digest(ours))
            else:
                self.incomplete.add(key)

        await asyncio.gather(*map(one, tags))

    @staticmethod
    async def _tags(name: str, side: RegistryClient) -> set[str]:
        answer = await side.send("GET", f"/v2/{name}/tags/list", scope=f"repository:{name}:pull")
        return set(json.loads(answer.body)["tags"] or ()) if answer.status == 200 else set()
