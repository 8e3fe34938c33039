"""The clients: each pushes its own tags and reads its own and its neighbour's, all the time. All is in the ledger.

What the secondary has is late and incomplete, as replication is: two of three manifests arrive, at once or never, and
its own tags are those of long ago.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Final

import aiohttp

from extproc.oci.reference import Digest
from extproc.sandbox.system import Sandbox
from tests.faults.ledger import Entry, Kind, Ledger
from tests.support.heads import EVERY_TYPE
from tests.support.registry_client import MANIFEST, RegistryClient, digest_of, manifest_of
from tests.support.registry_storage import RegistryStorage

CLIENTS: Final = 8
TAGS: Final = 12
DIRECT_TAGS: Final = 3
QUIET: Final = "load/quiet"
"""A name that nobody writes to, read by all."""
QUIET_TAGS: Final = 4
LAYER: Final = b"a layer of the load" * 200
CONFIG: Final = b"{}"
PATIENCE: Final = 60.0
"""Seconds that a client waits for an answer."""
_BREATH: Final = 0.25
"""Seconds between two rounds of a client: a machine at its limits shows its own faults, not ours."""
_TOKENS_FOR: Final = 120.0
"""Seconds; the issuer's live 300."""
_DIRECT_EVERY: Final = 2.5
"""Seconds between two pushes past this site: so one tag moves every 7.5 s, and never twice within 5 s."""


def name_of(number: int) -> str:
    return f"load/app-{number % CLIENTS}"


def doomed_of(number: int) -> str:
    return f"load/doomed-{number}"


@dataclass
class Sites:
    """What all clients share."""

    ledger: Ledger
    primary: RegistryStorage
    secondary: RegistryStorage
    patience: float = PATIENCE
    issuer_away: bool = False
    versions: Iterator[int] = field(default_factory=count)
    known: dict[tuple[str, str], list[Digest]] = field(default_factory=dict)
    """By name and tag: what was pushed with a 2xx, in order."""


class Client:
    """Number `number` of those that load the system."""

    def __init__(
        self, number: int, sites: Sites, writer: RegistryClient, reader: RegistryClient, direct: RegistryClient
    ) -> None:
        self._number = number
        self._sites = sites
        self._writer = writer
        self._reader = reader
        self._direct = direct
        self._chance = random.Random(number)
        self._tokens_at = 0.0
        self._direct_at = 0.0
        self._direct_pushes = 0
        self._name, self._doomed = name_of(number), doomed_of(number)
        mine, neighbours = name_of(number), name_of(number + 1)
        self._pull = f"repository:{mine}:pull repository:{neighbours}:pull repository:{self._doomed}:pull"
        self._pull += f" repository:{QUIET}:pull"
        self._push = f"repository:{mine}:pull,push"
        self._delete = f"repository:{self._doomed}:delete"

    async def fetch_tokens(self) -> None:
        """Fresh ones, unless those held live long enough."""
        if self._sites.issuer_away or time.monotonic() - self._tokens_at < _TOKENS_FOR:
            return
        self._tokens_at = time.monotonic()
        scopes = ((self._reader, self._pull), (self._writer, self._push), (self._writer, self._delete))
        for client, scope in (*scopes, (self._direct, self._push)):
            client.forget_tokens()
            await client.token(scope)

    async def run(self, over: asyncio.Event) -> None:
        """Rounds until it is over; a round is some ten requests."""
        while not over.is_set():
            await self.fetch_tokens()
            await self._round()
            await asyncio.sleep(_BREATH)

    async def _round(self) -> None:
        tag = f"tag-{self._chance.randrange(TAGS)}"
        await self._push_manifest(tag)
        await self._read_tag(self._name, tag)
        await self._read_tag(self._name, tag)
        for _ in range(2):
            await self._read_any()
        await self._read_tag(QUIET, f"tag-{self._chance.randrange(QUIET_TAGS)}")
        await self._read(self._name, "manifest", "GET", self._digest(self._name))
        await self._read(self._name, "manifest", "HEAD", self._digest(self._name))
        await self._read(self._name, "blob", "GET", digest_of(LAYER))
        if self._chance.random() < 0.25:
            await self._upload()
        if self._chance.random() < 0.25:
            await self._delete_one()
        if time.monotonic() - self._direct_at > _DIRECT_EVERY:
            self._direct_at = time.monotonic()
            await self._push_directly()

    async def _push_manifest(self, tag: str) -> None:
        manifest = manifest_of(CONFIG, f"{self._name} {next(self._sites.versions)}", (LAYER,))
        digest = digest_of(manifest)
        replicated = self._chance.random()
        if replicated < 0.3:  # before the primary tells, as far as a reader can see
            self._sites.secondary.manifest(self._name, manifest)
        await self._put(self._writer, "push", tag, manifest, digest)
        if 0.3 <= replicated < 0.7:
            self._sites.secondary.manifest(self._name, manifest, *([tag] if replicated < 0.4 else []))

    async def _push_directly(self) -> None:
        self._direct_pushes += 1
        tag = f"direct-{self._direct_pushes % DIRECT_TAGS}"
        manifest = manifest_of(CONFIG, f"{self._name} {next(self._sites.versions)}", (LAYER,))
        await self._put(self._direct, "direct", tag, manifest, digest_of(manifest))

    async def _put(self, client: RegistryClient, kind: Kind, tag: str, manifest: bytes, digest: Digest) -> None:
        headers = {"Content-Type": MANIFEST}
        path = f"/v2/{self._name}/manifests/{tag}"
        entry = await self._send(
            client, kind, self._name, tag, "PUT", path, self._push, 201, body=manifest, headers=headers, pushed=digest
        )
        if entry.good:
            self._sites.known.setdefault((self._name, tag), []).append(digest)

    async def _read_any(self) -> None:
        """A tag of this client or its neighbour, whoever pushed it."""
        name = name_of(self._number + self._chance.randrange(2))
        tags = [tag for where, tag in self._sites.known if where == name]
        if tags:
            await self._read_tag(name, self._chance.choice(tags))

    async def _read_tag(self, name: str, tag: str) -> None:
        if (name, tag) in self._sites.known:  # else it may not be there at all
            await self._read(name, "tag", self._chance.choice(("GET", "GET", "HEAD")), tag)

    def _digest(self, name: str) -> str:
        tags = [digests for (where, _), digests in self._sites.known.items() if where == name]
        return self._chance.choice(self._chance.choice(tags)[-5:]) if tags else ""

    async def _read(self, name: str, kind: Kind, method: str, reference: str, wanted: int = 200) -> None:
        if not reference:
            return
        path = f"/v2/{name}/{'blobs' if kind == 'blob' else 'manifests'}/{reference}"
        headers = {"Accept": EVERY_TYPE[0]}
        await self._send(self._reader, kind, name, reference, method, path, self._pull, wanted, headers=headers)

    async def _upload(self) -> None:
        """A blob, as clients send small ones: POST, then PUT with all of it."""
        content = f"{self._name} {next(self._sites.versions)}".encode()
        path = f"/v2/{self._name}/blobs/uploads/"
        started = await self._send(self._writer, "upload", self._name, "", "POST", path, self._push, 202)
        if not started.good:
            return
        location = started.note
        separator = "&" if "?" in location else "?"
        path = f"{location}{separator}digest={digest_of(content)}"
        headers = {"Content-Type": "application/octet-stream"}
        await self._send(
            self._writer, "upload", self._name, "", "PUT", path, self._push, 201, body=content, headers=headers
        )

    async def _delete_one(self) -> None:
        """Of a manifest that both sites have; once acknowledged, nobody may read it, not the secondary's either."""
        manifest = manifest_of(CONFIG, f"{self._doomed} {next(self._sites.versions)}")
        for site in (self._sites.primary, self._sites.secondary):
            site.manifest(self._doomed, manifest)
        digest = digest_of(manifest)
        path = f"/v2/{self._doomed}/manifests/{digest}"
        deleted = await self._send(self._writer, "delete", self._doomed, digest, "DELETE", path, self._delete, 202)
        if deleted.good:
            await self._read(self._doomed, "gone", "GET", digest, wanted=404)

    async def _send(  # noqa: PLR0917 - what every request has
        self,
        client: RegistryClient,
        kind: Kind,
        name: str,
        reference: str,
        method: str,
        path: str,
        scope: str,
        wanted: int,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        pushed: str = "",
    ) -> Entry:
        begun = time.monotonic()
        status, site, reason, digest, body_digest, retry_after, note = 0, "", "", pushed, "", "", ""
        try:
            async with asyncio.timeout(self._sites.patience):
                answer = await client.send(method, path, scope=scope, body=body, headers=headers)
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is one
            note = repr(error)
        else:
            status, site, reason = answer.status, answer.site, answer.reason
            digest = pushed or answer.digest
            body_digest = digest_of(answer.body) if answer.body else ""
            retry_after = answer.headers.get("Retry-After", "")
            note = answer.headers.get("Location", "") if status == wanted else answer.body[:500].decode("latin-1")
        entry = Entry(
            kind, name, reference, method, path, status, wanted, site, reason, digest, body_digest,
            begun, time.monotonic(), retry_after, note,
        )  # fmt: skip
        self._sites.ledger.add(entry)
        return entry


def _prepare(sites: Sites) -> None:
    """What clients read before they push anything."""
    for site in (sites.primary, sites.secondary):
        for name in (QUIET, *(of(number) for number in range(CLIENTS) for of in (name_of, doomed_of))):
            for blob in (CONFIG, LAYER):
                site.blob(name, blob)
    for number in range(QUIET_TAGS):
        tag, manifest = f"tag-{number}", manifest_of(CONFIG, f"{QUIET} {number}", (LAYER,))
        sites.primary.manifest(QUIET, manifest, tag)
        sites.secondary.manifest(QUIET, manifest)
        digest = digest_of(manifest)
        sites.known[QUIET, tag] = [digest]
        now = time.monotonic()
        sites.ledger.add(Entry("direct", QUIET, tag, "PUT", "", 201, 201, "", "", digest, digest, now, now))


@asynccontextmanager
async def open_clients(sandbox: Sandbox, sites: Sites) -> AsyncIterator[Sequence[Client]]:
    """The clients of a running system."""
    _prepare(sites)
    async with AsyncExitStack() as stack:
        registry, auth = sandbox.edge.registry_url, sandbox.sites.auth_url

        async def user(url: str, name: str) -> RegistryClient:
            return await stack.enter_async_context(RegistryClient(url, auth, name))

        yield [
            Client(
                number,
                sites,
                await user(registry, "admin"),
                await user(registry, "reader"),
                await user(sandbox.sites.primary.url, "admin"),
            )
            for number in range(CLIENTS)
        ]
