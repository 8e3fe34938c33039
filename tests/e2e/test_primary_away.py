"""The primary is killed: what is still answered, first as it is by default, then where the operator opted in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from extproc.bootstrap.stale import WARNING
from extproc.oci.reference import Digest
from extproc.sandbox.edge import toml
from extproc.sandbox.system import Sandbox
from tests.support.heads import EVERY_TYPE
from tests.support.registry_client import MANIFEST, Answer, RegistryClient, digest_of, manifest_of

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

LAYER = b"a layer" * 100
FRESH_FOR = 4.0
"""policy.max_staleness."""


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await true():  # noqa: ASYNC110 - a state, not an event
            await asyncio.sleep(0.05)


@dataclass
class System:
    sandbox: Sandbox
    admin: RegistryClient
    reader: RegistryClient
    primary: RegistryClient
    secondary: RegistryClient

    async def at_both(self, name: str, *, lease: bool = True) -> Digest:
        """An image at both sites; the secondary's own tag is an older one. The tag has been read here, or not."""
        await self.secondary.push(name, "latest", "old", LAYER)
        digest = await self.admin.push(name, "latest", "new", LAYER)
        manifest = await self.primary.read(name, "manifests", digest)
        assert (await self.secondary.push_manifest(name, digest, manifest.body)).status == 201
        if lease:
            await until(lambda: self.verified(name))
        return digest

    async def verified(self, name: str) -> bool:
        return (await self.tag(name)).reason == "tag-verified"

    async def tag(self, name: str, *, method: str = "GET") -> Answer:
        return await self.reader.read(name, "manifests", "latest", method=method)

    async def deleted(self, name: str, digest: Digest) -> bool:
        """Whether the deletion is known here."""
        return (await self.reader.read(name, "manifests", digest)).reason == "digest-deleted"

    def change(self, table: str, key: str, value: str) -> None:
        """As a mounted file changes: by renaming."""
        edge = self.sandbox.edge
        edge.settings[table][key] = value
        new = edge.config_file.with_name("new.toml")
        new.write_text(toml(edge.settings))
        new.rename(edge.config_file)

    async def configuration(self) -> Any:
        return json.loads((await self.reader.send("GET", f"{self.sandbox.edge.admin_url}/readyz")).body)


@dataclass
class Images:
    """As they were when the primary went."""

    plain: Digest
    moved: Digest
    lost: Digest
    deleted: Digest
    deleted_elsewhere: Digest
    unread: Digest


@dataclass
class Away:
    system: System
    images: Images


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def away() -> AsyncIterator[Away]:
    settings = {
        "policy": {"max_staleness": FRESH_FOR},
        # Evidence that comes late would be a 503 here.
        "store": {"budget": 1.0},
        "envoy": {"message_timeout": 3.0, "per_try_timeout": 1.0, "health_interval": 0.5},
    }
    async with Sandbox(settings=settings, workers=2) as sandbox:
        where = sandbox.describe()
        registry, auth = where["registry_url"], where["auth_url"]
        async with (
            RegistryClient(registry, auth) as admin,
            RegistryClient(registry, auth, "reader") as reader,
            RegistryClient(where["primary_url"], auth) as primary,
            RegistryClient(where["secondary_url"], auth) as secondary,
        ):
            system = System(sandbox, admin, reader, primary, secondary)
            images = Images(
                plain=await system.at_both("a/plain"),
                moved=await system.at_both("a/moved"),
                lost=await _lost(system),
                deleted=await system.at_both("a/deleted"),
                deleted_elsewhere=await system.at_both("a/deleted-elsewhere"),
                unread=await system.at_both("a/unread", lease=False),
            )
            # The secondary still has each of them, and its tag.
            assert (await admin.delete("a/deleted", images.deleted)).status == 202
            assert (await primary.delete("a/deleted-elsewhere", images.deleted_elsewhere)).status == 202
            await until(lambda: system.deleted("a/deleted-elsewhere", images.deleted_elsewhere))
            for name in ("a/plain", "a/moved", "a/fresh"):
                if name == "a/fresh":
                    await system.at_both(name)
                assert (await system.tag(name)).status == 200
            await sandbox.kill("primary")
            yield Away(system, images)


async def _lost(system: System) -> Digest:
    """The tag was moved to what the secondary never got; it has what the tag was before."""
    digest = await system.at_both("a/lost", lease=False)
    new = await system.admin.push("a/lost", "latest", "newest", LAYER)
    assert new != digest

    async def leased() -> bool:
        answer = await system.tag("a/lost")
        assert answer.digest == new
        return answer.reason in {"tag-verified", "digest-absent"}

    await until(leased)
    return new


def warning(answer: Answer) -> list[str]:
    return [value for name, value in answer.headers.items() if name.lower() == "warning"]


def unavailable(answer: Answer) -> None:
    assert (answer.status, answer.digest) == (503, ""), answer
    assert answer.headers["Retry-After"] in {"1", "5"}
    assert warning(answer) == []
    assert b'"UNAVAILABLE"' in answer.body
    assert answer.headers["Content-Type"].startswith("application/json")


async def test_what_is_known_to_be_here_is_served(away: Away) -> None:
    system = away.system
    for kind, reference in (("manifests", away.images.plain), ("blobs", digest_of(LAYER))):
        answer = await system.reader.read("a/plain", kind, reference)
        assert (answer.status, answer.site) == (200, "secondary")
        assert warning(answer) == []


async def test_writes_are_503(away: Away) -> None:
    manifest = manifest_of(b"{}", "x")
    unavailable(await away.system.admin.push_manifest("a/plain", "v2", manifest))
    scope = "repository:a/plain:pull,push"
    unavailable(await away.system.admin.send("POST", "/v2/a/plain/blobs/uploads/", scope=scope))
    unavailable(await away.system.admin.delete("a/unread", away.images.unread))


async def test_what_is_not_known_is_503_and_no_404(away: Away) -> None:
    system = away.system
    unavailable(await system.tag("a/unread"))
    nowhere = digest_of(b"nowhere")
    unavailable(await system.reader.read("a/plain", "blobs", nowhere))
    unavailable(await system.reader.read("a/plain", "manifests", "no-such-tag"))
    unavailable(await system.reader.send("GET", "/v2/a/plain/tags/list", scope="repository:a/plain:pull"))


async def test_a_lease_that_ran_out_is_503(away: Away) -> None:
    async def ran_out() -> bool:
        return (await away.system.tag("a/plain")).reason == "tag-stale"

    await until(ran_out)
    unavailable(await away.system.tag("a/plain"))


# Where the operator opted in


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def opted_in(away: Away) -> Away:
    """By a change of the file; both workers have heard of it."""
    away.system.change("policy", "serve_stale", "if-primary-down")
    seen = 0

    async def known() -> bool:
        nonlocal seen
        seen = seen + 1 if (await away.system.tag("a/plain")).status == 200 else 0
        return seen > 20

    await until(known)
    return away


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("name", ["plain", "moved"])
async def test_a_lease_that_ran_out_is_answered_by_its_digest(opted_in: Away, name: str, method: str) -> None:
    """The secondary's own tag is another one."""
    answer = await opted_in.system.tag(f"a/{name}", method=method)
    assert (answer.status, answer.site, answer.reason) == (200, "secondary", "tag-stale")
    assert answer.digest == getattr(opted_in.images, name)
    assert warning(answer) == [WARNING]
    own = await opted_in.system.secondary.read(f"a/{name}", "manifests", "latest")
    assert own.digest != answer.digest


async def test_nothing_is_learned_from_a_stale_answer(opted_in: Away) -> None:
    for _ in range(20):
        assert (await opted_in.system.tag("a/plain")).reason == "tag-stale"


async def test_what_the_primary_said_last_and_the_secondary_lacks_is_503(opted_in: Away) -> None:
    """It has an older one under that tag."""
    own = await opted_in.system.secondary.read("a/lost", "manifests", "latest")
    assert own.status == 200
    async with asyncio.timeout(20):
        while (answer := await opted_in.system.tag("a/lost")).reason != "tag-stale":
            assert answer.status == 503
            await asyncio.sleep(0.05)
    for _ in range(5):
        answer = await opted_in.system.tag("a/lost")
        assert (answer.status, answer.digest, answer.reason) == (503, "", "tag-stale")


@pytest.mark.parametrize("name", ["deleted", "deleted_elsewhere"])
async def test_what_was_deleted_stays_so(opted_in: Away, name: str) -> None:
    """P6: the secondary has not heard of it, and has both the tag and the digest."""
    system, repository, digest = opted_in.system, f"a/{name.replace('_', '-')}", getattr(opted_in.images, name)
    assert (await system.secondary.read(repository, "manifests", digest)).status == 200
    for reference in ("latest", digest):
        for method in ("GET", "HEAD"):
            answer = await system.reader.read(repository, "manifests", reference, method=method)
            assert (answer.status, answer.digest) == (503, "")


async def test_a_tag_that_was_never_read_here_stays_503(opted_in: Away) -> None:
    unavailable(await opted_in.system.tag("a/unread"))


async def test_a_token_that_can_push_gets_no_stale_answer(opted_in: Away) -> None:
    answer = await opted_in.system.admin.send(
        "GET",
        "/v2/a/plain/manifests/latest",
        scope="repository:a/plain:pull,push",
        headers={"Accept": EVERY_TYPE[0]},
    )
    unavailable(answer)
    assert answer.reason == "push-token"


async def test_no_stale_answer_while_the_store_is_away(opted_in: Away) -> None:
    """It has the tombstones."""
    system = opted_in.system
    system.sandbox.pause("redis")
    try:

        async def away() -> bool:
            return (await system.tag("a/plain")).reason == "evidence-unavailable"

        await until(away)
        for name, digest in (("a/deleted", opted_in.images.deleted), ("a/plain", opted_in.images.plain)):
            unavailable(await system.reader.read(name, "manifests", digest))
            unavailable(await system.tag(name))
    finally:
        system.sandbox.resume("redis")

    async def back() -> bool:
        return (await system.tag("a/plain")).status == 200

    await until(back)


async def test_a_primary_that_is_back_is_asked_again(opted_in: Away) -> None:
    # The last one: the primary lives.
    system = opted_in.system
    await system.sandbox.start("primary")

    async def asked() -> bool:
        answer = await system.tag("a/moved")
        assert (answer.status, answer.digest) == (200, opted_in.images.moved)
        return answer.site == "primary"

    await until(asked)
    await until(lambda: system.verified("a/moved"))
    write = await system.admin.send(
        "PUT",
        "/v2/a/plain/manifests/v2",
        scope="repository:a/plain:pull,push",
        body=manifest_of(b"{}", "v2", (LAYER,)),
        headers={"Content-Type": MANIFEST},
    )
    assert write.status == 201
    assert (await system.tag("a/deleted")).status == 404
