"""The client as the settings make it, with the sandbox's two real registries and its issuer, over HTTP and TLS."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from extproc.oci.reference import Name, Tag
from extproc.registry import client as subject
from extproc.registry.client import Resolved
from extproc.registry.connect import open_registries
from extproc.registry.error import BulkUnsupported, NameUnknown, RegistryError
from extproc.sandbox.site import Sites, open_sites
from extproc.settings import Settings
from tests.support.registry_client import MANIFEST, RegistryClient, digest_of, manifest_of

pytestmark = pytest.mark.e2e

INDEX = "application/vnd.oci.image.index.v1+json"
APP = Name("group/app")


@pytest.fixture(scope="module", params=["http", "https"])
def tls(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "https")


@pytest.fixture
async def sites(tls: bool) -> AsyncIterator[Sites]:
    async with open_sites(state="memory", tls=tls) as opened:
        yield opened


def settings_of(sites: Sites, account: str, folder: Path, **primary: Any) -> Settings:
    """`primary` goes into the primary's table; `account` empty: nobody."""
    table: dict[str, Any] = {
        "auth": {"realm": sites.auth_url, "keys": [sites.signing.certificate]},
        "sites": {
            "primary": {"url": sites.primary.url, "ca": sites.ca_file, **primary},
            "secondary": {"url": sites.secondary.url, "ca": sites.ca_file},
            "issuer": {"url": sites.issuer_url, "ca": sites.ca_file},
        },
    }
    if account:
        (folder / account).write_text(account)
        table["service_account"] = {"username": account, "password_file": folder / account}
    return Settings(**table)


def pusher(sites: Sites) -> RegistryClient:
    return RegistryClient(sites.primary.url, sites.auth_url, ca=sites.ca_file)


async def pushed(sites: Sites, push: RegistryClient) -> bytes:
    """Two tags, one of them an index of both manifests; gives the index."""
    first = await push.push("group/app", "1", "one", b"layer")
    second = await push.push("group/app", "2", "two", b"layer")
    index = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [
                {"mediaType": MANIFEST, "digest": each, "size": len(manifest_of(b"{}", name, (b"layer",)))}
                for each, name in ((first, "one"), (second, "two"))
            ],
        }
    ).encode()
    answer = await push.send(
        "PUT",
        "/v2/group/app/manifests/index",
        scope="repository:group/app:pull,push",
        body=index,
        headers={"Content-Type": INDEX},
    )
    assert answer.status == 201, answer
    return index


async def test_every_question(sites: Sites, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with pusher(sites) as push:
        index = await pushed(sites, push)
        for name in ("public/a", "public/b", "public/c"):
            await push.push(name, "x", name)
        one, two = (digest_of(manifest_of(b"{}", name, (b"layer",))) for name in ("one", "two"))
        async with open_registries(settings_of(sites, "admin", tmp_path)) as registries:
            primary, secondary = registries.primary, registries.secondary
            assert await primary.resolve(APP, Tag("1")) == Resolved(one, MANIFEST)
            assert await primary.resolve(APP, Tag("index")) == Resolved(digest_of(index), INDEX)
            assert await primary.resolve(APP, two) == Resolved(two, MANIFEST)
            assert await secondary.resolve(APP, Tag("1")) is None
            found = await primary.manifest(APP, digest_of(index))
            assert found is not None
            assert found.children == (one, two)
            found = await primary.manifest(APP, one)
            assert found is not None
            assert found.blobs == (digest_of(b"{}"), digest_of(b"layer"))
            assert [await primary.has_blob(APP, blob) for blob in found.blobs] == [True, True]
            assert not await secondary.has_blob(APP, found.blobs[0])
            assert not await primary.has_blob(APP, digest_of(b"nothing"))
            assert [sorted(page) async for page in primary.tags(APP)] == [["1", "2", "index"]]
            with pytest.raises(NameUnknown):
                [page async for page in secondary.tags(APP)]
            with pytest.raises(BulkUnsupported):
                [page async for page in primary.tag_details(APP)]
            monkeypatch.setattr(subject, "_PAGE", 3)
            pages = [page async for page in primary.catalog()]
            assert pages == [("group/app", "public/a", "public/b"), ("public/c",)]
            assert (await push.delete("group/app", one)).status == 202
            assert await primary.resolve(APP, one) is None


async def test_what_an_account_may_not_see_is_an_error(sites: Sites, tmp_path: Path) -> None:
    async with pusher(sites) as push:
        await push.push("group/app", "1", "one")
        await push.push("public/app", "1", "one")
    async with open_registries(settings_of(sites, "reader", tmp_path)) as registries:
        assert await registries.primary.resolve(APP, Tag("1")) is not None
        with pytest.raises(
            RegistryError, match=r"/v2/_catalog: it answered 401 \(UNAUTHORIZED, insufficient_scope\)"
        ):
            [page async for page in registries.primary.catalog()]
    async with open_registries(settings_of(sites, "", tmp_path)) as registries:
        assert await registries.primary.resolve(Name("public/app"), Tag("1")) is not None
        with pytest.raises(RegistryError, match="answered 401"):
            await registries.primary.resolve(APP, Tag("1"))
    settings = settings_of(sites, "reader", tmp_path)
    (tmp_path / "reader").write_text("wrong")
    async with open_registries(settings) as registries:
        with pytest.raises(RegistryError, match="refused the service account 'reader'"):
            await registries.primary.resolve(APP, Tag("1"))


async def test_certificates_are_checked(tls: bool, sites: Sites, tmp_path: Path) -> None:
    if not tls:
        with pytest.raises(RegistryError, match="it cannot be reached"):
            await asked(settings_of(sites, "admin", tmp_path, url=sites.primary.url.replace("http:", "https:")))
        return
    assert await asked(settings_of(sites, "admin", tmp_path, server_name="localhost")) is None
    for site in ({"server_name": "other.example.com"}, {"ca": None}):
        with pytest.raises(RegistryError, match=r"it cannot be reached: .*certificate"):
            await asked(settings_of(sites, "admin", tmp_path, **site))


async def asked(settings: Settings) -> Resolved | None:
    async with open_registries(settings) as registries:
        return await registries.primary.resolve(APP, Tag("1"))
