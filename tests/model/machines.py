"""The machine with everything that can go wrong, on the two stores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from hypothesis.stateful import rule

from tests.model.choices import ROLLOUTS, indexes, kinds, pauses, pick
from tests.model.content import NAMES
from tests.model.depot import MemoryDepot
from tests.model.machine import Requests
from tests.model.redis_depot import POLICY as REDIS_POLICY
from tests.model.redis_depot import RedisDepot
from tests.model.site import ABSENT_TTL, NAME_TTL, WORKERS, Site

T = TypeVar("T")
Event = Callable[[int], object]
"""The number says which of those to which it can happen."""


def to_one_of(things: Sequence[T], act: Callable[[T], object]) -> Event:
    return lambda index: act(pick(things, index)) if things else None


class Sites(Requests):
    """With mishaps. No more time passes than calls and retries need."""

    @rule(kind=kinds, index=indexes)
    def event(self, kind: str, index: int) -> None:
        """Nothing happens where nothing of the kind can."""
        happens = self.events().get(kind)
        if happens is not None:
            happens(index)

    def events(self) -> dict[str, Event]:
        site, mishaps, gateway = self.site, self.mishaps, self.site.gateway
        filled = [name for name in NAMES if site.primary.now.content[name].digests]
        gates = [gate for each in site.processes for gate in each.loop.gates]
        return {
            "calm": lambda index: self.calm(),
            "moments pass": to_one_of((0.02, 0.3, 3.0), mishaps.time_passes),
            "worker 1 dies": partial(self.worker_dies, "worker 1"),
            "worker 2 dies": partial(self.worker_dies, "worker 2"),
            "Envoy gives up": to_one_of(self.with_processor, gateway.give_up),
            "a client goes away": to_one_of(gateway.under_way, gateway.cancelled),
            "a call fails": to_one_of(gates, mishaps.gate_fails),
            "a late call arrives": to_one_of(range(len(site.late)), site.late_call),
            "a stray write arrives": to_one_of(gateway.strays, site.stray_arrives),
            "the store is out of reach, or back": to_one_of((*WORKERS, "supervisor", "all"), mishaps.cut_off),
            "the secondary is down, or back": lambda index: mishaps.secondary_is_down_or_back(),
            "the store loses a name": to_one_of(NAMES, mishaps.loses),
            "the store is emptied": lambda index: mishaps.emptied(),
            "a name is renamed": to_one_of(filled, site.renamed),
            "all our processes die": lambda index: mishaps.site_restarts(),
            "a worker goes by another rollout": to_one_of(
                [(worker, rollout) for rollout in ROLLOUTS for worker in WORKERS], lambda each: site.adopt(*each)
            ),
        }

    def worker_dies(self, name: str, index: int) -> None:
        self.mishaps.worker_dies(name, another=index % 2 == 0)
        if index % 3 == 0:
            self.site.run_background()


class TimedSites(Sites):
    """On the memory store, where any time can pass."""

    def events(self) -> dict[str, Event]:
        mishaps = self.mishaps
        return super().events() | {
            "the store's replica is as it is": lambda index: mishaps.replica_is_as_now(),
            "the store fails over": lambda index: mishaps.fails_over(),
        }

    def new_site(self) -> Site:
        return Site(self.clock, MemoryDepot(self.clock, absent_ttl=ABSENT_TTL, name_ttl=NAME_TTL))

    @rule(seconds=pauses)
    def time_passes(self, seconds: float) -> None:
        self.mishaps.time_passes(seconds)


def on_redis(depot: RedisDepot) -> type[Sites]:
    """The machine on this Redis, which each story finds empty."""

    class RedisSites(Sites):
        def new_site(self) -> Site:
            depot.empty()
            return Site(self.clock, depot, REDIS_POLICY)

        def events(self) -> dict[str, Event]:
            return super().events() | {"the store restarts": lambda index: self.redis_restarts()}

        def redis_restarts(self) -> None:
            self.site.note("Redis is killed and starts again, with all that it had")
            depot.restart()

    return RedisSites
