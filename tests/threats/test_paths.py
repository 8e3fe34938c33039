"""Paths written in every way, through Envoy and straight to the primary: never another name's content from here."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from extproc.sandbox.system import Sandbox
from tests.support.heads import EVERY_TYPE
from tests.support.registry_client import MANIFEST, RegistryClient, digest_of, manifest_of
from tests.threats.paths import NAMES, Target, catalogs, mutations
from tests.threats.wire import Answer, Wire

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

STRIDE: Final = int(os.environ.get("GEO_TEST_PATH_STRIDE", "19"))
"""Of each path's mutations every so many-th is sent, beginning at another one each time. 1: all."""
REDIRECTS: Final = (301, 302, 307, 308)
NORMALIZED: Final = re.compile(rb"\\|//|/\.{1,2}(?:;[^/]*)?(?:[/?]|$)|[ \t]$")
"""What Envoy rewrites before anybody reads it: backslashes, empty and dot segments, those with parameters too, and
white space at the end, which it takes for the request line's."""


@dataclass
class Sites:
    """Both ways to the same content, and the site that must not be believed."""

    envoy: Wire
    primary: Wire
    secondary: Wire
    pull: str
    """Authorization that may pull every name and write none."""
    write: str
    client: RegistryClient
    """The primary's."""
    replica: RegistryClient
    contents: list[Target] = field(default_factory=list)

    def read(self, wire: Wire, target: bytes, method: str = "GET") -> Answer:
        return wire.ask(method, target, {"Authorization": self.pull, "Accept": EVERY_TYPE[0]})


class Sham(Wire):
    """Says of every answer that the secondary gave it."""

    def __init__(self, to: Wire) -> None:
        super().__init__(f"http://{to.host}")

    def ask(
        self, method: str, target: bytes, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        answer = super().ask(method, target, headers, body)
        return dataclasses.replace(answer, headers={**answer.headers, "x-geo-site": "secondary"})


def layer_of(name: str) -> bytes:
    return f"layer of {name}".encode()


async def content_of(name: str, primary: RegistryClient, secondary: RegistryClient) -> list[Target]:
    """The same on both sites, but for the secondary's tag: served by that from here, it would show."""
    layer = layer_of(name)
    digest = await primary.push(name, "latest", name, layer)
    await secondary.push(name, "replicated", name, layer)
    stale = await secondary.push_manifest(name, "latest", manifest_of(b"{}", f"never of {name}"))
    assert stale.status == 201, stale
    return [
        Target(name, "manifests", "latest"),
        Target(name, "manifests", digest),
        Target(name, "blobs", digest_of(layer)),
    ]


async def scoped(client: RegistryClient, names: tuple[str, ...], actions: str) -> str:
    scopes = " ".join(f"repository:{name}:{actions}" for name in names)
    return f"Bearer {await client.token(scopes)}"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sites() -> AsyncIterator[Sites]:
    # Nobody is told of writes: what the processor does not see, it does not know.
    nowhere = "http://127.0.0.1:1"
    # Patience, for a busy machine: a decision that comes late is no decision.
    settings = {"policy": {"max_staleness": 3600}, "envoy": {"message_timeout": 10}}
    async with Sandbox(state="memory", notify=nowhere, settings=settings) as sandbox:
        where = sandbox.describe()
        auth = where["auth_url"]
        async with (
            RegistryClient(where["primary_url"], auth) as primary,
            RegistryClient(where["secondary_url"], auth) as secondary,
            RegistryClient(where["registry_url"], auth, "reader") as reader,
        ):
            held = await asyncio.gather(*(content_of(name, primary, secondary) for name in NAMES))
            contents = [target for targets in held for target in targets]
            with (
                Wire(where["registry_url"]) as envoy,
                Wire(where["primary_url"]) as straight,
                Wire(where["secondary_url"]) as away,
            ):
                found = Sites(
                    envoy,
                    straight,
                    away,
                    await scoped(reader, NAMES, "pull"),
                    await scoped(primary, NAMES, "pull,push,delete"),
                    primary,
                    secondary,
                    contents=contents,
                )
                for content in contents:  # a lease for each tag, then each is seen to be there
                    for _ in range(2):
                        found.read(envoy, content.path.encode())
                yield found


def chosen(sites: Sites) -> Iterator[bytes]:
    """Distinct targets: some mutations of each path, all mutations of some path."""
    seen = set()
    for position, content in enumerate(sites.contents):
        for target in [*mutations(content, sites.envoy.host)][position % STRIDE :: STRIDE]:
            if target not in seen:
                seen.add(target)
                yield target
    yield from catalogs()


def straight_to_the_primary(sites: Sites, target: bytes, method: str) -> Answer:
    """Its own answer; a redirect to another spelling is followed, as clients do."""
    answer = sites.read(sites.primary, target, method)
    for _ in range(3):
        to = urlsplit(answer.headers.get("location", ""))
        if answer.status not in REDIRECTS or to.netloc not in ("", sites.primary.host, sites.envoy.host):
            break
        query = f"?{to.query}" if to.query else ""
        answer = sites.read(sites.primary, f"{to.path}{query}".encode("latin-1"), method)
    return answer


def outcome(sites: Sites, target: bytes, method: str) -> str:
    """What Envoy's answer is beside the primary's to the same target; "wrong: …" is what must never be."""
    through, straight = sites.read(sites.envoy, target, method), straight_to_the_primary(sites, target, method)
    if through.content == straight.content:
        return "the same, from the secondary" if through.site == "secondary" else "the same"
    normalized = NORMALIZED.search(target) is not None
    if through.site == "secondary":
        # A token that may push is always the primary's: so it reads what Envoy makes of the target.
        sent = sites.envoy.ask(method, target, {"Authorization": sites.write, "Accept": EVERY_TYPE[0]})
        if normalized and (sent.site, sent.content) == ("primary", through.content):
            return "the same as the primary's to what Envoy makes of it"
        return "wrong: the secondary's own"
    if through.status == straight.status == 401 and through.asked != straight.asked and not normalized:
        return f"wrong: read as {through.asked}, not {straight.asked}"
    if 400 <= through.status < 500:
        return "refused"
    return "the primary's" if through.site == "primary" else f"wrong: {through.status} of nobody"


async def test_threat_path_confusion_against_a_real_registry(sites: Sites) -> None:
    outcomes: dict[str, list[bytes]] = {}
    targets = list(chosen(sites))
    for number, target in enumerate(targets):
        for method in ("GET", "HEAD") if number % 3 == 0 else ("GET",):
            outcomes.setdefault(outcome(sites, target, method), []).append(target[:300])
    assert {found: which for found, which in outcomes.items() if found.startswith("wrong")} == {}
    assert len(targets) >= 1000
    # Each of these must have been put to the test.
    for found in ("the same, from the secondary", "the same", "refused", "the primary's"):
        assert len(outcomes[found]) >= 10, found


async def test_the_comparison_finds_a_secondarys_own_answer(sites: Sites) -> None:
    """Asked straight, the secondary gives another manifest for the tag: Envoy's place taken by it, that is found."""
    stale = dataclasses.replace(sites, envoy=Sham(sites.secondary))
    target = f"/v2/{NAMES[0]}/manifests/latest".encode()
    assert outcome(stale, target, "GET") == "wrong: the secondary's own"
    assert outcome(stale, f"/v2/{NAMES[0]}/manifests/none".encode(), "GET") == "the same, from the secondary"


def writes(name: str, last: str) -> Iterator[bytes]:
    """Of a manifest's path those mutations that somebody might act on, and the plain one."""
    of = Target(name, "manifests", last)
    yield of.path.encode()
    for text in (
        *(f"/v2/%{ord(name[0]):02x}{name[1:]}/manifests/{last}", f"/%762/{name}/manifests/{last}"),
        *(f"/v2/{name}/%6danifests/{last}", f"/v2/{name}/manifests/%{ord(last[0]):02x}{last[1:]}"),
        *(f"/v2/{name}%2fmanifests/{last}", f"//v2/{name}/manifests/{last}", f"/v2/{name}//manifests/{last}"),
        *(
            f"/v2/./{name}/manifests/{last}",
            f"/v2/x/../{name}/manifests/{last}",
            f"/x/..;/v2/{name}/manifests/{last}",
        ),
        *(f"{of.path}/", f"{of.path}/.", f"{of.path};x", f"{of.path}%3bx", f"{of.path}%00", f"{of.path}%20"),
        *(
            f"{of.path}?",
            f"{of.path}?ns=docker.io",
            f"{of.path}?/../x",
            f"{of.path}#x",
            f"{of.path} ",
            f"{of.path}\t",
        ),
        *(f"/v2\\{name}\\manifests\\{last}", f"/v2/{name}\\manifests/{last}", f"/V2/{name}/manifests/{last}"),
        *(f"/v2/{name.upper()}/manifests/{last}", f"/v2/{name}/manifests/{last.upper()}", f"http://x{of.path}"),
        *(f"http://x/{of.path}", f"/v2/{name}/manifests/x/../{last}", f"/v2/{name}/manifests/x/%2e%2e/{last}"),
        # Envoy leaves an escaped colon as it is, and distribution obeys it.
        *(f"/v2/{name}/manifests/{last.replace(':', colon)}" for colon in ("%3a", "%3A", "%253a")),
        *(f"/v2/{name}/manifests/%252e%252e/{last}", f"/v2/{name}/manifests/{last}%c0%af", of.path[1:]),
    ):
        yield text.encode()


async def replicated(sites: Sites, name: str) -> str:
    """The same image on both sites; its digest."""
    await sites.replica.push(name, "latest", "old")
    return await sites.client.push(name, "latest", "old")


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_threat_path_confusion_of_writes(sites: Sites, method: str) -> None:
    """However a write is spelled: what it changed on the primary is what is read here afterwards."""
    names = tuple(f"{method.lower()}/{number}" for number in range(len([*writes("n", "t")])))
    digests = await asyncio.gather(*(replicated(sites, name) for name in names))
    pull = {"Authorization": await scoped(sites.client, names, "pull"), "Accept": EVERY_TYPE[0]}
    write = {"Authorization": await scoped(sites.client, names, "pull,push,delete"), "Content-Type": MANIFEST}
    stale, acted = [], set()
    for variant, (name, was) in enumerate(zip(names, digests, strict=True)):
        reads = [f"/v2/{name}/manifests/{last}".encode() for last in (was, "latest")]
        warm = [sites.envoy.ask("GET", read, pull) for read in (*reads, *reads)]
        assert (warm[-1].status, warm[-1].site, warm[-1].reason) == (200, "secondary", "tag-verified")
        target = [*writes(name, was if method == "DELETE" else "latest")][variant]
        answer = sites.envoy.ask(method, target, write, manifest_of(b"{}", "new") if method == "PUT" else None)
        assert answer.site != "secondary"
        for read in reads:
            here, there = sites.envoy.ask("GET", read, pull), sites.primary.ask("GET", read, pull)
            if here.content != there.content:
                stale.append((target, read, answer, here, there))
        if answer.status in (201, 202):
            acted.add(variant)
    assert stale == []
    assert 0 in acted, "the plain one"
    assert 5 < len(acted) < len(names), "some are written otherwise and obeyed, some are not"
