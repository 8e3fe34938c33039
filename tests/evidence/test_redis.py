"""What only the Redis store can suffer: each fault ends in StoreUnavailable in time, and by itself."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import pytest

from extproc import settings
from extproc.evidence.breaker import Breaker
from extproc.evidence.guarded import GuardedStore
from extproc.evidence.model import DigestState, Invalidation, Observation
from extproc.evidence.redis import RedisStore, connect
from extproc.evidence.store import StoreUnavailable
from extproc.oci.reference import Name
from tests.evidence.subject import BUDGET, D1, MEDIA, NAME, TAG, learn_lease
from tests.support.redis_kinds import redis_store
from tests.support.redis_server import PERSISTENT, RedisServer


async def _refused(store: GuardedStore) -> str:
    """Every operation is refused within the budget; says why."""
    now = time.monotonic()
    with pytest.raises(StoreUnavailable) as refusal:
        await store.decide(NAME, TAG)
    with pytest.raises(StoreUnavailable):
        await store.begin_write(NAME, "m", Invalidation(), 60.0)
    with pytest.raises(StoreUnavailable):
        await store.primary_dropped(NAME)
    assert time.monotonic() - now < 3 * BUDGET + 1.0
    return str(refusal.value)


async def _answers_again(store: GuardedStore) -> None:
    """The first calls may find the connections of before, or the store not yet awake."""
    for _ in range(20):
        try:
            await store.decide(NAME, TAG)
        except StoreUnavailable:
            continue
        return
    raise AssertionError("the store did not come back")


# Faults


async def test_killed_then_restarted_empty(own_redis: RedisServer, store: GuardedStore) -> None:
    await learn_lease(store)
    own_redis.kill()
    assert own_redis.url in await _refused(store)
    own_redis.start()
    evidence = await store.decide(NAME, TAG)
    assert evidence.lease is None
    await learn_lease(store)


async def test_restarted_with_its_data(tmp_path: Path) -> None:
    with RedisServer(tmp_path, *PERSISTENT) as server:
        raw = redis_store(server)
        store = GuardedStore(raw, budget=BUDGET, breaker=Breaker(failures=10, pause=1.0))
        await store.primary_changed(NAME, Invalidation(tombstone=D1))
        await _lease_kept(store)
        server.kill()
        server.start()
        await _answers_again(store)
        evidence = await store.decide(NAME, TAG)
        assert evidence.lease is not None
        assert evidence.digest is DigestState.DELETED
        await raw.close()


async def _lease_kept(store: GuardedStore) -> None:
    snapshot = (await store.decide(NAME, TAG)).snapshot
    await store.learn(NAME, snapshot, Observation(D1, tag=TAG, media_type=MEDIA))


async def test_stopped_then_continued(own_redis: RedisServer, store: GuardedStore) -> None:
    await learn_lease(store)
    own_redis.pause()
    assert "no answer within" in await _refused(store)
    own_redis.resume()
    await _answers_again(store)


async def test_stopped_before_the_first_connection(own_redis: RedisServer, store: GuardedStore) -> None:
    own_redis.pause()
    await _refused(store)
    own_redis.resume()
    await _answers_again(store)


async def test_emptied(own_redis: RedisServer, store: GuardedStore) -> None:
    await learn_lease(store)
    before = (await store.decide(NAME, TAG)).snapshot
    own_redis.command("FLUSHALL")
    seen = Observation(D1, tag=TAG, media_type=MEDIA, secondary=DigestState.PRESENT)
    assert await store.learn(NAME, before, seen) is False
    evidence = await store.decide(NAME, TAG)
    assert evidence.lease is None
    assert evidence.snapshot.epoch != before.epoch
    assert evidence.snapshot.generation != before.generation


async def test_the_site_key_lost_alone_voids_all_leases(own_redis: RedisServer, store: GuardedStore) -> None:
    await learn_lease(store)
    own_redis.command("DEL", "geo:site")
    assert (await store.decide(NAME, TAG)).lease is None
    await learn_lease(store)
    assert (await store.decide(NAME, TAG)).lease is not None


async def test_a_foreign_site_key_matches_nothing(own_redis: RedisServer, store: GuardedStore) -> None:
    own_redis.command("SET", "geo:site", "not ours")
    await learn_lease(store)
    own_redis.command("SET", "geo:site", "of another length")
    await learn_lease(store)
    assert (await store.decide(NAME, TAG)).lease is None


async def test_scripts_flushed(own_redis: RedisServer, store: GuardedStore) -> None:
    await learn_lease(store)
    own_redis.command("SCRIPT", "FLUSH")
    assert (await store.decide(NAME, TAG)).lease is not None
    own_redis.command("SCRIPT", "FLUSH")
    await store.begin_write(NAME, "m", Invalidation(tag=TAG), 60.0)
    evidence = await store.decide(NAME, TAG)
    assert evidence.lease is None
    assert evidence.marked


async def test_a_password_is_required(own_redis: RedisServer, store: GuardedStore) -> None:
    await learn_lease(store)
    own_redis.kill()
    own_redis.options = ("--requirepass", "s3cret")
    own_redis.start()
    await _refused(store)
    # The connections of before are used up by now.
    assert "AuthenticationError" in await _refused(store)


@pytest.mark.parametrize(
    ("command", "word"),
    [
        pytest.param(("REPLICAOF", "127.0.0.1", "1"), "read only|READONLY|ReadOnly", id="readonly"),
        pytest.param(("CONFIG", "SET", "maxmemory", "1"), "OOM|memory", id="out-of-memory"),
        pytest.param(("CONFIG", "SET", "min-replicas-to-write", "1"), "replicas", id="too few replicas"),
    ],
)
async def test_a_server_that_takes_no_writes_gives_no_answers(
    own_redis: RedisServer, store: GuardedStore, command: tuple[str, ...], word: str
) -> None:
    """A demoted master would answer from the past."""
    await learn_lease(store)
    own_redis.command(*command)
    with pytest.raises(StoreUnavailable, match=word):
        await store.decide(NAME, TAG)
    with pytest.raises(StoreUnavailable, match=word):
        await store.begin_write(NAME, "m", Invalidation(tag=TAG), 60.0)
    undo = ("REPLICAOF", "NO", "ONE") if command[0] == "REPLICAOF" else (*command[:3], "0")
    own_redis.command(*undo)
    assert (await store.decide(NAME, TAG)).lease is not None


async def test_a_demoted_master_is_left_for_where_its_address_leads_now(
    own_redis: RedisServer, store: GuardedStore
) -> None:
    def accepted() -> int:
        return int(own_redis.command("INFO", "stats").split(b"total_connections_received:")[1].split(b"\r")[0])

    await learn_lease(store)
    own_redis.command("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(StoreUnavailable):
        await store.decide(NAME, TAG)
    own_redis.command("REPLICAOF", "NO", "ONE")
    before = accepted()
    await store.decide(NAME, TAG)
    # One is the question itself.
    assert accepted() == before + 2


async def test_a_key_of_another_kind_harms_its_name_only(own_redis: RedisServer, store: GuardedStore) -> None:
    own_redis.command("SET", "geo:{group/app}", "not ours")
    with pytest.raises(StoreUnavailable, match="WRONGTYPE"):
        await store.decide(NAME, TAG)
    await store.decide(Name("group/other"), TAG)


async def test_loading(own_redis: RedisServer, store: GuardedStore) -> None:
    """Redis answers LOADING to all but a few commands while it reads its file."""
    await learn_lease(store)
    server = await asyncio.start_unix_server(_loading, own_redis.folder / "loading.sock")
    async with server:
        raw = connect(settings.Store(url=f"unix://{own_redis.folder}/loading.sock"), absent_ttl=5.0)
        with pytest.raises(StoreUnavailable, match=r"loading"):
            await raw.decide(NAME, TAG)
        await raw.close()


async def _loading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(65536):
        writer.write(b"-LOADING Redis is loading the dataset in memory\r\n" * 2)
    writer.close()


async def test_a_server_that_hangs_up(own_redis: RedisServer) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.close()

    path = own_redis.folder / "hang.sock"
    server = await asyncio.start_unix_server(hang_up, path)
    async with server:
        raw = connect(settings.Store(url=f"unix://{path}"), absent_ttl=5.0)
        with pytest.raises(StoreUnavailable):
            await raw.ping()
        await raw.close()


# Cancellation


async def test_a_cancelled_call_never_answers_another(own_redis: RedisServer, raw: RedisStore) -> None:
    """A connection given back with its answer unread would shift every later answer."""
    names = [Name(f"group/n{n}") for n in range(20)]
    epochs = {name: (await raw.decide(name, TAG)).snapshot.epoch for name in names}
    chance = random.Random(7)

    async def read(name: Name) -> None:
        try:
            async with asyncio.timeout(chance.uniform(0, 0.004)):
                evidence = await raw.decide(name, TAG)
        except TimeoutError:
            return
        assert evidence.snapshot.epoch == epochs[name]

    for _ in range(30):
        await asyncio.gather(*(read(chance.choice(names)) for _ in range(20)))
    async with asyncio.timeout(10):
        evidences = await asyncio.gather(*(raw.decide(name, TAG) for name in names))
    assert [evidence.snapshot.epoch for evidence in evidences] == list(epochs.values())


async def test_a_connection_slower_than_the_budget_is_made_all_the_same(own_redis: RedisServer) -> None:
    """Else a store that is slow to connect to would never come back."""
    accepted = asyncio.Event()
    connections = 0

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        inward, outward = await asyncio.open_unix_connection(str(own_redis.socket))
        # AUTH or SELECT is the first thing said: hold it until the caller has given up.
        await accepted.wait()
        await asyncio.gather(_copy(reader, outward), _copy(inward, writer))

    path = own_redis.folder / "slow.sock"
    async with await asyncio.start_unix_server(relay, path):
        raw = connect(settings.Store(url=f"unix://{path}?db=1"), absent_ttl=5.0)
        store = GuardedStore(raw, budget=0.02, breaker=Breaker(failures=1000, pause=1.0))
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match="no answer within"):
                await store.ping()
        accepted.set()
        patient = GuardedStore(raw, budget=BUDGET, breaker=Breaker(failures=1000, pause=1.0))
        await patient.ping()
        assert connections == 1
        await raw.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


async def test_closing_while_a_connection_is_made(own_redis: RedisServer) -> None:
    own_redis.pause()
    raw = connect(settings.Store(url=f"{own_redis.url}?db=1"), absent_ttl=5.0)
    store = GuardedStore(raw, budget=0.02, breaker=Breaker(failures=1000, pause=1.0))
    with pytest.raises(StoreUnavailable):
        await store.ping()
    await raw.close()
    own_redis.resume()


async def test_closing_twice_is_harmless(raw: RedisStore) -> None:
    await raw.ping()
    await raw.close()
    await raw.close()


async def test_many_calls_at_once(raw: RedisStore) -> None:
    evidences = await asyncio.gather(*(raw.decide(NAME, TAG) for _ in range(200)))
    assert len({evidence.snapshot.epoch for evidence in evidences}) == 1


# Connecting


async def test_the_password_comes_from_its_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    with RedisServer(tmp_path, "--requirepass", "s3cret") as server:
        raw = connect(settings.Store(url=server.url, password_file=secret), absent_ttl=5.0)
        await raw.ping()
        await raw.close()
        named = connect(settings.Store(url=server.url, username="default", password_file=secret), absent_ttl=5.0)
        await named.ping()
        await named.close()


async def test_an_unreadable_password_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"password file '.*nowhere': No such file"):
        connect(settings.Store(url="redis://h:1", password_file=tmp_path / "nowhere"), absent_ttl=5.0)


async def test_errors_name_the_store_without_its_secrets() -> None:
    raw = connect(settings.Store(url="redis://user:hunter2@127.0.0.1:1/0"), absent_ttl=5.0)
    with pytest.raises(StoreUnavailable) as refusal:
        await raw.ping()
    assert "redis://127.0.0.1:1/0" in str(refusal.value)
    assert "hunter2" not in str(refusal.value)
    await raw.close()


@pytest.mark.parametrize("text", [pytest.param(None, id="missing"), pytest.param("no PEM", id="not a certificate")])
def test_a_ca_file_that_cannot_be_used_is_named_at_once(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "ca.pem").write_text(text)
    with pytest.raises(StoreUnavailable, match=r"cannot use store\.ca '.*/ca\.pem': "):
        connect(settings.Store(url="rediss://127.0.0.1:1", ca=tmp_path / "ca.pem"), absent_ttl=5.0)
