"""What a process has, from its start to its end."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from extproc.evidence.model import Invalidation
from extproc.evidence.store import StoreUnavailable
from extproc.oci.reference import Name
from extproc.parts import open_parts
from tests.support.loaded import loaded
from tests.support.ports import free_port


async def test_leases_from_before_are_void_first(tmp_path: Path) -> None:
    async with open_parts(loaded(tmp_path)) as parts:
        assert parts.backlog.blocks(Name("a/b"))
        while parts.backlog.pending:  # noqa: ASYNC110 - a state, not an event
            await asyncio.sleep(0)
        assert not parts.backlog.blocks(Name("a/b"))
        assert parts.store_word() == "ok"


async def test_no_key_is_missed_where_none_is_needed(tmp_path: Path) -> None:
    """An alert would wait for one for ever."""
    async with open_parts(loaded(tmp_path)) as parts, parts.opening_keys(lambda known: None) as keys:
        assert keys.known
        assert "geo_extproc_keys_known" not in parts.telemetry.exposition.text()


async def test_how_many_keys_are_known_is_told_also_without_any(tmp_path: Path) -> None:
    keys_url = f"http://127.0.0.1:{free_port()}/keys"
    settings = loaded(tmp_path, f'auth.realm = "http://issuer"\nauth.keys_url = "{keys_url}"\n')
    async with open_parts(settings) as parts, parts.opening_keys(lambda known: None) as keys:
        assert not keys.known
        assert "geo_extproc_keys_known 0.0" in parts.telemetry.exposition.text()


async def test_leases_are_void_when_this_site_is_a_secondary_again(tmp_path: Path) -> None:
    """Becoming the primary, others may still serve by them."""
    async with open_parts(loaded(tmp_path)) as parts:
        while parts.backlog.pending:  # noqa: ASYNC110 - a state, not an event
            await asyncio.sleep(0)
        for promoted, pending in ((False, 0), (True, 0), (True, 0), (False, 1), (False, 1)):
            sites = parts.settings.sites.model_copy(update={"role": "primary" if promoted else "secondary"})
            parts.adopt_role(sites)
            assert (parts.promoted, parts.backlog.pending) == (promoted, pending)


async def test_stopping_gives_the_store_what_it_has_not_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The loop that retries is held up here, so that only the stop can have done it."""
    async with open_parts(loaded(tmp_path)) as parts:
        backlog = parts.backlog
        while backlog.pending:  # noqa: ASYNC110 - a state, not an event
            await asyncio.sleep(0)
        tried: list[str] = []

        async def taken_the_second_time() -> None:
            tried.append("void")
            if len(tried) == 1:
                raise StoreUnavailable("busy")

        backlog._store.void_leases = taken_the_second_time  # type: ignore[method-assign]
        await backlog.void_leases()
        before = backlog.pending
    assert (before, backlog.pending, tried) == (1, 0, ["void", "void"])
    assert "never took" not in capsys.readouterr().err


async def test_what_is_lost_with_us_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extproc.parts._LAST_TRIES", 0.01)
    async with open_parts(loaded(tmp_path, f'store.url = "redis://127.0.0.1:{free_port()}"')) as parts:
        await parts.backlog.begin_write(Name("a/b"), "m", Invalidation(), 1.0)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    (line,) = [line for line in lines if line["event"].startswith("stopped with invalidations")]
    # The void of the start, and the write.
    assert (line["level"], line["count"]) == ("error", 2)
    assert "start this one again" in line["event"]


async def test_a_start_that_failed_has_nothing_to_lose(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError):
        async with open_parts(loaded(tmp_path, f'store.url = "redis://127.0.0.1:{free_port()}"')):
            raise ZeroDivisionError
    assert "never took" not in capsys.readouterr().err


async def test_an_unseen_write_outlives_the_longest_write(tmp_path: Path) -> None:
    async with open_parts(loaded(tmp_path, "policy.write_timeout = 7")) as parts:
        seen: list[float] = []

        async def begin_write(name: Name, mark: str, what: Invalidation, ttl: float) -> bool:
            seen.append(ttl)
            return True

        parts.backlog.begin_write = begin_write  # type: ignore[method-assign]
        await parts.unseen_writes().take("PUT", "/v2/a/b/manifests/latest")
        assert seen == [12.0]


async def test_a_store_that_is_away_is_degraded_and_logged_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extproc.parts._LAST_TRIES", 0.01)
    text = f'store.url = "redis://user:hunter2@127.0.0.1:{free_port()}/0"\nstore.breaker_failures = 2'
    async with open_parts(loaded(tmp_path, text)) as parts:
        watching = asyncio.create_task(parts.watch_store())
        async with asyncio.timeout(10):
            while parts.store_word() == "ok":  # noqa: ASYNC110 - a state, not an event
                await asyncio.sleep(0.01)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        assert parts.backlog.blocks(Name("a/b"))
    out, err = capsys.readouterr()
    assert out == ""
    line, last = err.splitlines()
    assert "stopped with invalidations" in last
    assert "hunter2" not in last
    assert "store unavailable" in line
    assert f"redis://127.0.0.1:{parts.settings.store.url.rpartition(':')[2]}" in line
    assert "correct the store table" in line
    assert "hunter2" not in line
    assert "user" not in line
