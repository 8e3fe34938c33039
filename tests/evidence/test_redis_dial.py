"""Reaching Redis as sites run it: TLS with a client certificate, a user with few rights, a prefix for each site."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from extproc import settings
from extproc.evidence.model import DigestState, Invalidation, Observation
from extproc.evidence.redis import RedisStore, connect
from extproc.evidence.store import StoreRefused, StoreUnavailable, StoreUnusable
from extproc.oci.reference import Name
from extproc.sandbox.certificates import Authority, Pair
from tests.evidence.subject import D1, D2, MEDIA, NAME, TAG
from tests.support.ports import free_port
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_server import RedisServer


@dataclass(frozen=True)
class Secured:
    """A Redis behind TLS that wants a client certificate, with a user for each of two sites."""

    url: str
    folder: Path
    client: Pair
    ca: Path
    servers: Sequence[RedisServer]

    def store(self, site: str = "east", **changes: object) -> RedisStore:
        """As that site would have it."""
        password = self.folder / f"{site}.password"
        password.write_text(f"{site}-secret\n")
        given = {
            "url": self.url,
            "prefix": site,
            "username": site,
            "password_file": password,
            "ca": self.ca,
            "certificate": self.client.certificate,
            "private_key": self.client.private_key,
        }
        return connect(settings.Store.model_validate(given | changes), absent_ttl=60.0)

    def allow(self, site: str, *rules: str) -> None:
        """Change what its user may do."""
        for server in self.servers:
            server.ok("ACL", "SETUSER", site, *rules)


@pytest.fixture(scope="module", params=["server", "cluster"])
def secured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    authority = Authority(folder)
    server = authority.issue("redis")
    users = folder / "users.acl"
    # The default user is the replicas', and the tests' own past the store.
    everybody = ["user default on nopass ~* &* +@all", documented_user("east"), documented_user("west")]
    users.write_text("\n".join(everybody) + "\n")
    options = [
        *("--tls-cert-file", str(server.certificate), "--tls-key-file", str(server.private_key)),
        *("--tls-ca-cert-file", str(authority.file), "--tls-auth-clients", "yes", "--aclfile", str(users)),
    ]
    parts = folder, authority.issue("client"), authority.file
    if request.param == "cluster":
        with RedisCluster(folder / "cluster", *options, tls=True) as cluster:
            yield Secured(cluster.url, *parts, cluster.nodes)
    else:
        with RedisServer(folder / "server", *options, port=free_port(), tls=True) as single:
            yield Secured(f"rediss://127.0.0.1:{single.port}", *parts, [single])


def documented_user(site: str) -> str:
    """The user of docs/operations.md, for a site with a prefix of its name."""
    text = (Path(__file__).parents[2] / "docs/operations.md").read_text()
    line = re.search(r"^user geo on .*$", text, re.MULTILINE)
    assert line is not None
    words = line.group().replace("user geo", f"user {site}").replace("~geo:", f"~{site}:")
    return re.sub(r">\S+", f">{site}-secret", words)


async def everything(store: RedisStore, name: Name = NAME) -> None:
    """Each operation, in each way that it may go."""
    snapshot = (await store.decide(name, TAG)).snapshot
    lease = Observation(D1, tag=TAG, media_type=MEDIA, primary_has=True, secondary=DigestState.PRESENT)
    assert await store.learn(name, snapshot, lease)
    assert (await store.decide(name, TAG)).lease is not None
    await store.begin_write(name, "m", Invalidation(tag=TAG, all_leases=True, tombstone=D2), 60.0)
    await store.end_write(name, "m", Invalidation(tombstone=D2))
    await store.primary_changed(name, Invalidation(tag=TAG), pushed=D1)
    await store.secondary_has(name, [D1])
    await store.secondary_lost(name, D1)
    await store.inspect(name)
    assert name in [each async for each in store.names()]
    await store.primary_dropped(name)
    assert await store.learn(name, (await store.decide(name, D2)).snapshot, Observation(D2, primary_has=True))
    await store.void_leases()
    await store.note("topic", "text")
    assert await store.noted("topic") == "text"
    await store.note("topic", None)
    assert await store.claim("topic", "me", 60.0)
    await store.release("topic", "me")
    await store.ping()


async def test_with_a_client_certificate_and_the_documented_user(secured: Secured) -> None:
    store = secured.store()
    for number in range(10):
        await everything(store, Name(f"group/n{number}"))
    await store.close()


async def test_sites_with_a_prefix_each_do_not_see_each_other(secured: Secured) -> None:
    east, west = secured.store("east"), secured.store("west")
    await everything(east, Name("group/of-east"))
    await everything(west, Name("group/of-west"))
    assert Name("group/of-west") not in [name async for name in east.names()]
    assert Name("group/of-east") not in [name async for name in west.names()]
    epoch = (await east.decide(NAME, TAG)).snapshot.epoch
    assert (await west.decide(NAME, TAG)).snapshot.epoch != epoch
    await west.primary_changed(NAME, Invalidation(tag=TAG))
    assert (await east.decide(NAME, TAG)).snapshot.epoch == epoch
    trespassing = secured.store("east", prefix="west")
    with pytest.raises(StoreRefused):
        await trespassing.decide(NAME, TAG)
    for store in (east, west, trespassing):
        await store.close()


async def test_the_documented_user_may_do_nothing_more_than_is_needed(secured: Secured) -> None:
    """But what only a cluster asks, and only while a slot moves."""
    words = documented_user("east").split()
    for number, command in enumerate(word[1:] for word in words if word.startswith("+")):
        if command == "asking" or (command.startswith("cluster|") and len(secured.servers) == 1):
            continue
        for server in secured.servers:
            server.ok("SCRIPT", "FLUSH")
        secured.allow("east", f"-{command}")
        store = secured.store()
        try:
            with pytest.raises(StoreRefused):
                await everything(store, Name(f"group/right-{number}"))
                pytest.fail(f"{command} is not needed")
        finally:
            await store.close()
            secured.allow("east", f"+{command}")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"password_file": None}, id="no password"),
        pytest.param({"username": "nobody"}, id="an unknown user"),
        pytest.param({"username": "west"}, id="a password of another"),
    ],
)
async def test_a_refused_user_is_told_from_a_store_that_is_away(secured: Secured, changes: dict[str, object]) -> None:
    store = secured.store("east", **changes)
    with pytest.raises(StoreRefused) as refusal:
        await store.ping()
    assert "secret" not in str(refusal.value)
    await store.close()


@pytest.mark.parametrize(
    ("changes", "word", "kind"),
    [
        pytest.param(
            {"ca": None}, "CERTIFICATE_VERIFY_FAILED", StoreUnusable, id="a CA that the system does not know"
        ),
        # Redis may reset the connection before its reason is read, so this may look like an outage.
        pytest.param(
            {"certificate": None, "private_key": None}, "rediss", StoreUnavailable, id="no client certificate"
        ),
    ],
)
async def test_tls_that_fails_is_no_answer(
    secured: Secured, changes: dict[str, object], word: str, kind: type[StoreUnavailable]
) -> None:
    store = secured.store("east", **changes)
    with pytest.raises(kind, match=word) as refusal:
        await store.ping()
    assert not isinstance(refusal.value, StoreRefused)
    await store.close()


async def test_only_the_ca_given_is_trusted(secured: Secured, tmp_path: Path) -> None:
    store = secured.store("east", ca=Authority(tmp_path).file)
    with pytest.raises(StoreUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        await store.ping()
    await store.close()


async def test_a_renewed_certificate_is_used_by_the_next_connection(secured: Secured, tmp_path: Path) -> None:
    strangers = Authority(tmp_path).issue("client")
    mine = Pair(tmp_path / "mine.pem", tmp_path / "mine.key")
    mine.certificate.write_bytes(strangers.certificate.read_bytes())
    mine.private_key.write_bytes(strangers.private_key.read_bytes())
    store = secured.store("east", certificate=mine.certificate, private_key=mine.private_key)
    with pytest.raises(StoreUnavailable):
        await store.ping()
    mine.certificate.write_bytes(secured.client.certificate.read_bytes())
    mine.private_key.write_bytes(secured.client.private_key.read_bytes())
    async with asyncio.timeout(10):
        while True:
            with suppress(StoreUnavailable):
                await store.ping()
                break
    await store.close()


@pytest.mark.parametrize("file", ["ca", "certificate"])
def test_files_that_cannot_be_used_are_named_at_once(tmp_path: Path, file: str) -> None:
    given = {"url": "rediss://h", "certificate": tmp_path / "c.pem", "private_key": tmp_path / "c.key"}
    if file == "ca":
        given = {"url": "rediss+sentinel://h/m", "ca": tmp_path / "c.pem"}
    with pytest.raises(StoreUnavailable, match=rf"cannot use store\.{file} '\S*/c\.pem': No such file"):
        connect(settings.Store.model_validate(given), absent_ttl=60.0)


def test_a_key_that_is_not_that_of_the_certificate_is_named_at_once(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    mine, other = authority.issue("mine"), authority.issue("other")
    given = {"url": "rediss://h", "certificate": mine.certificate, "private_key": other.private_key}
    with pytest.raises(StoreUnavailable, match=r"cannot use store\.private_key '\S*other\S*': .* not that of"):
        connect(settings.Store.model_validate(given), absent_ttl=60.0)
    given = {"url": "rediss://h", "ca": other.private_key}
    with pytest.raises(StoreUnavailable, match=r"cannot use store\.ca '\S*other\S*': no certificate in PEM"):
        connect(settings.Store.model_validate(given), absent_ttl=60.0)
