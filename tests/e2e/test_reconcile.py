"""Reconcile on two real registries, as the real command, against a comparison that is written plainly here."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from extproc.admin.status import PATH as STATUS
from extproc.build import build_store
from extproc.evidence.model import DigestState, Record
from extproc.evidence.store import Store
from extproc.oci.reference import Digest, Name, Tag
from extproc.reconcile.checkpoint import Head, finished, running
from extproc.sandbox.edge import toml
from extproc.sandbox.issuer import ISSUER, SERVICE
from extproc.sandbox.site import Sites, open_sites
from extproc.settings import Settings
from tests.support.divergent_sites import Naive, seed
from tests.support.program import Program, eventually
from tests.support.redis_kinds import running as running_redis
from tests.support.registry_storage import RegistryStorage

pytestmark = pytest.mark.e2e

NAMES = int(os.environ.get("GEO_TEST_RECONCILE_NAMES", "12"))
TAGS = int(os.environ.get("GEO_TEST_RECONCILE_TAGS", "8"))
"""The long run is 200 names of 50 tags."""
FAST = ("--rate", "10000", "--concurrency", "16")


@dataclass
class Bench:
    """Two sites, their store, and the command."""

    sites: Sites
    config: Path
    settings: dict[str, Any]
    store: Store

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GEO_EXTPROC_")}
        command = [sys.executable, "-m", "extproc", "reconcile", "--config", str(self.config), "-o", "json"]
        return await asyncio.create_subprocess_exec(
            *command,
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            cwd=Path(__file__).parents[2],
        )

    async def run(self, *arguments: str, code: int = 0) -> tuple[dict[str, Any], str]:
        """Its result, and what it said meanwhile."""
        process = await self.start(*arguments)
        out, err = await process.communicate()
        assert process.returncode == code, err.decode()
        return json.loads(out), err.decode()

    async def progress(self, process: asyncio.subprocess.Process, more_than: int = 0) -> Head:
        """Once more names than that are saved as done."""
        while True:
            assert process.returncode is None, "it ended before it could be stopped"
            head = await running(self.store)
            if head is not None and head.done > more_than:
                return head
            await asyncio.sleep(0.01)

    async def expire_claim(self) -> None:
        """Its time passes."""
        client = redis.asyncio.from_url(str(self.sites.redis_url))
        assert await client.delete("geo:claim:reconcile") == 1
        await client.aclose()


@pytest.fixture
async def bench(tmp_path: Path, request: pytest.FixtureRequest, prefix: str) -> AsyncIterator[Bench]:
    """With the sandbox's Redis, or what the parameter says: "memory", or a kind of Redis that all tests share."""
    where = getattr(request, "param", "redis")
    async with open_sites(tmp_path / "sites", state="redis" if where == "redis" else "memory") as sites:
        password = tmp_path / "password"
        password.write_text("admin")
        stores: dict[str, dict[str, Any]] = {
            "redis": {"url": str(sites.redis_url)},
            "memory": {"url": "memory://"},
        }
        settings = {
            "auth": {
                "realm": sites.auth_url,
                "service": SERVICE,
                "issuer": ISSUER,
                "keys": [str(sites.signing.certificate)],
            },
            "store": stores.get(where) or {"url": running_redis(request, where).url, "prefix": prefix},
            "service_account": {"username": "admin", "password_file": str(password)},
            "sites": {"primary": {"url": sites.primary.url}, "secondary": {"url": sites.secondary.url}},
        }
        config = tmp_path / "geo.toml"
        config.write_text(toml(settings))
        store = build_store(Settings.load(config))
        yield Bench(sites, config, settings, store)
        await store.close()


def assert_equal(found: dict[str, Any], naive: Naive) -> None:
    for word in ("same", "behind", "missing", "extra", "incomplete"):
        assert found[word] == len(getattr(naive, word)), word
    assert (found["names"], found["tags"]) == (naive.names, len(naive.tags))
    assert (found["errors"], found["unread"], found["busy"], found["gone"]) == (0, 0, 0, 0)
    assert set(found["behind_examples"]) <= naive.behind
    assert set(found["missing_examples"]) <= naive.missing
    assert len(found["missing_examples"]) == min(20, len(naive.missing))


async def records(store: Store) -> dict[Name, Record]:
    return {name: await store.inspect(name) async for name in store.names()}


def leases_of(kept: dict[Name, Record]) -> dict[str, Digest]:
    return {f"{name}:{tag}": lease.digest for name, record in kept.items() for tag, lease in record.leases.items()}


def status_of(program: Program) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{program.admin_port}{STATUS}", timeout=10) as answer:
        return json.load(answer)


def without_ages(record: Record) -> tuple[dict[Tag, tuple[Digest, str]], dict[Digest, DigestState], bool]:
    leases = {tag: (lease.digest, lease.media_type) for tag, lease in record.leases.items()}
    return leases, {digest: known.state for digest, known in record.digests.items()}, record.dropped


async def epochs(store: Store, names: list[Name]) -> list[bytes]:
    return [(await store.decide(name, Tag("latest"))).snapshot.epoch for name in names]


@pytest.mark.timeout(1500)
async def test_findings_equal_a_naive_comparison_and_a_second_run_changes_only_ages(bench: Bench) -> None:
    seed(bench.sites, NAMES, TAGS)
    begun = time.monotonic()
    found, _ = await bench.run(*FAST)
    taken = time.monotonic() - begun
    naive = await Naive.of(bench.sites)
    plainly = time.monotonic() - begun - taken
    print(f"{naive.names} names, {len(naive.tags)} tags: {taken:.1f} s; by the comparison here {plainly:.1f} s")
    assert all((naive.same, naive.behind, naive.missing, naive.extra, naive.incomplete)), "the seed has all of them"
    assert_equal(found, naive)

    before = await records(bench.store)
    assert leases_of(before) == naive.tags
    for name, kept in before.items():
        states = {digest for digest, known in kept.digests.items() if known.state is DigestState.PRESENT}
        assert states == naive.present[name], name
        assert states == set(kept.digests), name

    names = sorted(before)
    epochs_before, asked = await epochs(bench.store, names), time.monotonic()
    again, _ = await bench.run(*FAST)
    assert_equal(again, naive)
    assert again["dropped"] == 0
    after = await records(bench.store)
    elapsed = time.monotonic() - asked
    assert {name: without_ages(kept) for name, kept in after.items()} == {
        name: without_ages(kept) for name, kept in before.items()
    }
    assert await epochs(bench.store, names) == epochs_before
    assert all(lease.age < elapsed for kept in after.values() for lease in kept.leases.values())


async def test_what_is_no_longer_true_is_dropped(bench: Bench) -> None:
    seed(bench.sites, names=4, tags=4)
    await bench.run(*FAST)
    before = await records(bench.store)
    primary, secondary = RegistryStorage(bench.sites.primary.root), RegistryStorage(bench.sites.secondary.root)
    gone, changed = Name("group-0/app0"), Name("group-1/app1")
    primary.remove_name(gone)
    primary.remove_tag(changed, "v0")
    lost = next(iter(before[changed].digests))
    secondary.remove_manifest(changed, lost)

    found, _ = await bench.run(*FAST, "--names", "store")
    assert (found["names"], found["gone"], found["errors"]) == (4, 1, 0)
    assert found["dropped"] >= 3
    after, naive = await records(bench.store), await Naive.of(bench.sites)
    assert after[gone].dropped
    assert not after[gone].leases
    assert Tag("v0") in before[changed].leases
    for name in before.keys() - {gone}:
        assert {f"{name}:{tag}" for tag in after[name].leases} == {
            key for key in naive.tags if key.startswith(f"{name}:")
        }
        present = {digest for digest, known in after[name].digests.items() if known.state is DigestState.PRESENT}
        if name == changed:
            assert present >= naive.present[name], "what no tag refers to is left as it is"
            assert lost not in present
        else:
            assert present == naive.present[name]

    again, _ = await bench.run(*FAST, "--names", "store")
    assert (again["gone"], again["dropped"]) == (1, 0)


@pytest.mark.timeout(1500)
async def test_an_interrupted_and_a_killed_run_are_completed_by_the_next(bench: Bench) -> None:
    seed(bench.sites, NAMES, TAGS)
    slow = ("--rate", str(NAMES * TAGS / 18), "--concurrency", "2")  # half a minute for all of it: none of them ends
    done = 0
    for number in (signal.SIGINT, signal.SIGTERM):
        process = await bench.start(*slow)
        await bench.progress(process, more_than=done)
        process.send_signal(number)
        out, err = await process.communicate()
        assert (process.returncode, out) == (130, b"")
        assert "interrupted; the next run over the same names goes on from here" in err.decode().splitlines()[-1]
        assert "Traceback" not in err.decode()
        assert "waiting" not in err.decode(), "the claim was released"
        interrupted = await running(bench.store)
        assert interrupted is not None
        assert interrupted.done > done
        done = interrupted.done

    process = await bench.start(*slow)
    head = await bench.progress(process, more_than=done)
    process.send_signal(signal.SIGKILL)
    _, err = await process.communicate()
    assert f"continuing after {done} names of an interrupted run" in err.decode()
    assert await finished(bench.store) is None
    killed = await running(bench.store)
    assert killed is not None
    assert done < head.done <= killed.done < NAMES

    process = await bench.start(*FAST)
    assert process.stderr is not None
    # The dead run's claim is waited for: here, its time passes as soon as somebody waits.
    assert b"another reconcile holds the claim" in await process.stderr.readline()
    await bench.expire_claim()
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert f"continuing after {killed.done} names of an interrupted run" in err.decode()
    assert_equal(json.loads(out), await Naive.of(bench.sites))
    assert await running(bench.store) is None
    summary = await finished(bench.store)
    assert summary is not None
    assert summary.names == NAMES


@pytest.mark.parametrize("bench", ["cluster", "sentinel"], indirect=True)
async def test_where_evidence_is_kept_changes_nothing(bench: Bench) -> None:
    """The command on a Redis Cluster and under Sentinel, which it finds by the store table as a user writes it."""
    seed(bench.sites, names=4, tags=4)
    found, _ = await bench.run(*FAST)
    naive = await Naive.of(bench.sites)
    assert_equal(found, naive)
    assert leases_of(await records(bench.store)) == naive.tags
    assert await bench.store.claim("reconcile", "somebody", 1), "it was released"


@pytest.mark.parametrize(
    ("bench", "workers"), [("redis", 2), ("memory", 1), ("cluster", 2), ("sentinel", 2)], indirect=["bench"]
)
async def test_serve_reconciles_by_itself(bench: Bench, workers: int, tmp_path: Path) -> None:
    seed(bench.sites, names=3, tags=4)
    naive = await Naive.of(bench.sites)
    folder = tmp_path / "serve"
    folder.mkdir()
    program = Program(folder)
    settings = {
        **bench.settings,
        "reconcile": {"period": 0.5},
        "admin": {"address": f"127.0.0.1:{program.admin_port}"},
        "server": {"socket_dir": "run", "drain": 0.2, "workers": workers},
    }
    program.config.write_text(toml(settings))
    with program:
        await asyncio.to_thread(program.ready, workers=workers)

        def runs() -> list[dict[str, Any]]:
            return program.logged("reconcile finished")

        await asyncio.to_thread(eventually, lambda: len(runs()) >= 2, "two runs")
        if workers > 1:
            status = await asyncio.to_thread(status_of, program)
            assert status["store"]["available"]
            assert (status["evidence"]["names"], status["evidence"]["leases"]) == (naive.names, len(naive.tags))
        program.send(signal.SIGTERM)
        assert await asyncio.to_thread(program.ended) == 0
        assert program.sentences == []
        assert not program.logged("reconcile failed")
        for run in runs():
            assert {word: run[word] for word in ("names", "tags", "same", "behind", "missing", "extra")} == {
                "names": naive.names,
                "tags": len(naive.tags),
                **{word: len(getattr(naive, word)) for word in ("same", "behind", "missing", "extra")},
            }
    if workers > 1:
        assert leases_of(await records(bench.store)) == naive.tags
        assert await bench.store.claim("reconcile", "somebody", 1), "it was released"
