"""What makes each alert fire on a real site, and what ends it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

from extproc.sandbox.certificates import signing_pair
from extproc.sandbox.edge import merged, toml
from tests.deep.alerts.told import tell
from tests.faults.clock import token_of
from tests.faults.load import name_of
from tests.faults.relay import FaultRelay
from tests.faults.rig import Rig, signal_all
from tests.support.swap import swap

Act = Callable[[Rig], AbstractAsyncContextManager[None]]


@dataclass(frozen=True)
class Cause:
    """`alerts` fire within its block, and clear after it."""

    alerts: frozenset[str]
    act: Act


@asynccontextmanager
async def _away(rig: Rig, part: str) -> AsyncIterator[None]:
    await rig.sandbox.stop(part)
    try:
        yield
    finally:
        await rig.sandbox.start(part)


def _without(part: str) -> Act:
    return lambda rig: _away(rig, part)


@asynccontextmanager
async def _killed_again_and_again(rig: Rig) -> AsyncIterator[None]:
    async def kill_on() -> None:
        while True:
            signal_all(rig.workers(), signal.SIGKILL)
            await asyncio.sleep(0.2)

    rig.meanwhile(kill_on())
    try:
        yield
    finally:
        await rig.end_background()
        await rig.all_serve()


@asynccontextmanager
async def _flapping(rig: Rig) -> AsyncIterator[None]:
    async def flap() -> None:
        while True:
            rig.redis.become("resetting")
            await asyncio.sleep(2)
            rig.redis.become("passing")
            await asyncio.sleep(3)

    rig.meanwhile(flap())
    try:
        yield
    finally:
        await rig.end_background()
        rig.redis.become("passing")


@asynccontextmanager
async def _stopped(rig: Rig) -> AsyncIterator[None]:
    signal_all(rig.workers(), signal.SIGSTOP)
    try:
        yield
    finally:
        signal_all(rig.workers(), signal.SIGCONT)


@asynccontextmanager
async def _slow(rig: Rig) -> AsyncIterator[None]:
    """Stopped in turns, for shorter than Envoy waits."""

    async def in_turns() -> None:
        while True:
            signal_all(rig.workers(), signal.SIGSTOP)
            await asyncio.sleep(0.2)
            signal_all(rig.workers(), signal.SIGCONT)
            await asyncio.sleep(0.2)

    rig.meanwhile(in_turns())
    try:
        yield
    finally:
        await rig.end_background()
        signal_all(rig.workers(), signal.SIGCONT)


def _resetting(site: Literal["primary", "secondary"]) -> Act:
    """Every connection to its registry is broken."""

    @asynccontextmanager
    async def act(rig: Rig) -> AsyncIterator[None]:
        relay: FaultRelay = getattr(rig, site)
        relay.become("resetting")
        try:
            yield
        finally:
            relay.become("passing")

    return act


@asynccontextmanager
async def _replicating_slowly(rig: Rig) -> AsyncIterator[None]:
    """Both registries' notifications of pushes that take some seconds from one to the other."""

    async def follow(number: int) -> None:
        assert await tell(rig, "primary", number) == 200
        await asyncio.sleep(4)
        assert await tell(rig, "secondary", number) == 200

    async def push_on() -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(1, 10_000):
                tasks.create_task(follow(number))
                await asyncio.sleep(0.5)

    rig.meanwhile(push_on())
    try:
        yield
    finally:
        await rig.end_background()


@asynccontextmanager
async def _wrong_secret(rig: Rig) -> AsyncIterator[None]:
    rig.notifications.authorization = "Bearer of another site"
    try:
        yield
    finally:
        rig.notifications.authorization = None


@asynccontextmanager
async def _silent(rig: Rig) -> AsyncIterator[None]:
    rig.notifications.losing = True
    try:
        yield
    finally:
        rig.notifications.losing = False


@asynccontextmanager
async def _unknown_key(rig: Rig) -> AsyncIterator[None]:
    other = signing_pair(rig.sandbox.workspace.directory, "unknown")
    token = token_of(other.private_key, name_of(0), 0)

    async def ask_on() -> None:
        while True:
            url = f"{rig.sandbox.edge.registry_url}/v2/{name_of(0)}/tags/list"
            async with rig.http.get(url, headers={"Authorization": f"Bearer {token}"}) as answer:
                await answer.read()
            await asyncio.sleep(0.02)

    rig.meanwhile(ask_on())
    try:
        yield
    finally:
        await rig.end_background()


def _settings(change: dict[str, Any] | bytes) -> Act:
    """The configuration file while it lasts."""

    @asynccontextmanager
    async def act(rig: Rig) -> AsyncIterator[None]:
        edge = rig.sandbox.edge
        swap(edge.config_file, change if isinstance(change, bytes) else toml(merged(edge.settings, change)).encode())
        try:
            yield
        finally:
            swap(edge.config_file, toml(edge.settings).encode())

    return act


CAUSES: Final = {
    "the processor is stopped": Cause(frozenset({"GeoProcessorDown"}), _without("extproc")),
    "Envoy is stopped": Cause(frozenset({"GeoEnvoyDown"}), _without("envoy")),
    "workers are killed again and again": Cause(
        frozenset({"GeoNoWorker", "GeoWorkersEnding"}), _killed_again_and_again
    ),
    "Redis is stopped": Cause(frozenset({"GeoStoreDown"}), _without("redis")),
    "Redis comes and goes": Cause(frozenset({"GeoStoreFlapping"}), _flapping),
    "workers are stopped": Cause(frozenset({"GeoRequestsUnseen", "GeoUnseenWrites"}), _stopped),
    "workers are slow": Cause(frozenset({"GeoDecisionsSlow"}), _slow),
    "the secondary resets connections": Cause(
        frozenset({"GeoSecondaryUnhealthy", "GeoFallbacks"}), _resetting("secondary")
    ),
    "the primary resets connections": Cause(frozenset({"GeoPrimaryUnhealthy"}), _resetting("primary")),
    "replication is slow": Cause(frozenset({"GeoReplicationSlow"}), _replicating_slowly),
    "notifications have the wrong secret": Cause(frozenset({"GeoNotificationsRefused"}), _wrong_secret),
    "notifications are lost": Cause(frozenset({"GeoNotificationsSilent"}), _silent),
    "tokens are of an unknown key": Cause(frozenset({"GeoTokensUnverifiable"}), _unknown_key),
    "the configuration is broken": Cause(frozenset({"GeoConfigurationBroken"}), _settings(b"[rollout\nmode = ")),
    "every name is left out": Cause(frozenset({"GeoLittleLocal"}), _settings({"rollout": {"exclude": ["**"]}})),
}
