"""A Redis Cluster: each command goes to the master that has its key's slot.

The map of slots is asked of three servers at once, and the one with the newest configuration is believed. Asked
when first needed, after every failure or redirection, and each few seconds of use. MOVED and ASK are followed once:
nothing ran where they came from. A server that is not the slot's master answers MOVED or CLUSTERDOWN, never itself.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.crc import key_slot
from redis.exceptions import AskError, MovedError

from extproc.evidence.lookout import BOUND, Lookout, Settling, heard
from extproc.evidence.reach import Command, Reach, checked
from extproc.evidence.redis_single import SingleRedis
from extproc.evidence.store import StoreUnavailable

_ASK_EVERY: Final = 5.0
_ASKED_AT_ONCE: Final = 3
_SLOTS: Final = 16384

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class _Map:
    """One server's view of the cluster."""

    epoch: int
    owners: tuple[tuple[int, int, Address], ...]
    """First slot, last slot, their master."""
    nodes: frozenset[Address]
    """Masters and replicas."""


@dataclass(frozen=True, slots=True)
class _Topology:
    """Whom to ask."""

    by_slot: Sequence[SingleRedis | None]
    masters: Sequence[SingleRedis]


class ClusterRedis:
    """`Reach` to the masters of a cluster."""

    def __init__(
        self,
        open_server: Callable[[str, int], SingleRedis],
        seeds: Sequence[Address],
        name: str,
        *,
        settling: float,
        failures: int,
    ) -> None:
        """`seeds`: some of its servers. `failures`: unanswered calls in a row after which a server was away."""
        self.name = name
        self._open = open_server
        self._seeds = seeds
        self._failures = failures
        self._settling = Settling(name, settling + 2 * BOUND)
        self._servers: dict[Address, SingleRedis] = {}
        self._leaving: list[SingleRedis] = []
        self._masters: frozenset[Address] = frozenset()
        self._unanswered: Counter[SingleRedis] = Counter()
        self._lookout = Lookout(self._look, every=_ASK_EVERY)

    async def round_trip(self, *commands: Command) -> list[Any]:
        topology = await self._lookout.found()
        shares: dict[SingleRedis, list[int]] = {}
        for index, command in enumerate(commands):
            for server in self._whose(command, topology):
                shares.setdefault(server, []).append(index)
        if len(shares) == 1:
            (server,) = shares
            return checked(self.name, await self._answers(server, commands))
        answers: list[Any] = [None] * len(commands)
        outcomes = await asyncio.gather(
            *(self._answers(server, [commands[index] for index in share]) for server, share in shares.items()),
            return_exceptions=True,
        )
        for share, outcome in zip(shares.values(), outcomes, strict=True):
            if isinstance(outcome, BaseException):
                raise outcome
            for index, answer in zip(share, outcome, strict=True):
                # Of a command to every master, one error is the answer.
                if not isinstance(answers[index], Exception):
                    answers[index] = answer
        return checked(self.name, answers)

    def _whose(self, command: Command, topology: _Topology) -> Iterable[SingleRedis]:
        key = _key(command)
        if key is None:
            if topology.masters:
                return topology.masters
        elif (server := topology.by_slot[key_slot(key)]) is not None:
            return (server,)
        self._lookout.again()
        raise StoreUnavailable(f"{self.name}: no master has this name's slot")

    async def _answers(self, server: SingleRedis, commands: Sequence[Command]) -> list[Any]:
        """One server's answers, redirections followed. Raises StoreUnavailable."""
        try:
            answers = await server.answers(*commands)
        except BaseException:  # Also when the caller gave up waiting: perhaps it never answers again.
            self._unanswered[server] += 1
            self._lookout.again()
            raise
        if self._unanswered.pop(server, 0) >= self._failures:
            self._settling.begin()
        for index, answer in enumerate(answers):
            if isinstance(answer, AskError):
                answers[index] = await self._redirected(server, commands[index], answer)
            elif isinstance(answer, Exception):
                self._lookout.again()
        return answers

    async def _redirected(self, server: SingleRedis, command: Command, to: AskError) -> Any:
        address = (to.host or self._host_of(server), to.port)
        asking: Sequence[Command] = () if isinstance(to, MovedError) else (("ASKING",),)
        if isinstance(to, MovedError):
            self._lookout.again()
        if address not in self._masters:
            self._settling.begin()
        return (await self._server(address).answers(*asking, command))[-1]

    def _host_of(self, server: SingleRedis) -> str:
        """An address without a host means the one that was asked."""
        return next((host for (host, _), known in self._servers.items() if known is server), "")

    def _server(self, address: Address) -> SingleRedis:
        if address not in self._servers:
            self._servers[address] = self._open(*address)
        return self._servers[address]

    def raise_if_unsettled(self) -> None:
        self._settling.raise_if_unsettled()

    async def masters(self) -> Sequence[Reach]:
        return (await self._lookout.found()).masters

    async def close(self) -> None:
        await self._lookout.close()
        await _close([*self._servers.values(), *self._leaving])

    async def _look(self) -> _Topology:
        seen = await self._newest_map()
        masters = frozenset(master for _, _, master in seen.owners)
        if self._masters - masters:
            # One failed, or gave up its last slot: not a mere move of slots between masters that go on.
            self._settling.begin()
        self._masters = masters
        by_slot: list[SingleRedis | None] = [None] * _SLOTS
        for first, last, master in seen.owners:
            by_slot[first : last + 1] = [self._server(master)] * (last + 1 - first)
        leaving, self._leaving = self._leaving, []
        for address in [known for known in self._servers if known not in seen.nodes]:
            gone = self._servers.pop(address)
            self._unanswered.pop(gone, None)
            self._leaving.append(gone)
        # Those that left before: by now nobody waits for their answers.
        await _close(leaving)
        return _Topology(by_slot, [self._server(master) for master in masters])

    async def _newest_map(self) -> _Map:
        known = list(self._servers)
        random.shuffle(known)
        candidates = [*known, *(seed for seed in self._seeds if seed not in self._servers)]
        while True:
            some, candidates = candidates[:_ASKED_AT_ONCE], candidates[_ASKED_AT_ONCE:]
            try:
                return max(await heard(map(self._ask, some)), key=lambda one: one.epoch)
            except StoreUnavailable:
                if not candidates:
                    raise

    async def _ask(self, address: Address) -> _Map:
        server = self._server(address)
        slots, info = await server.round_trip(("CLUSTER", "SLOTS"), ("CLUSTER", "INFO"))
        owners: list[tuple[int, int, Address]] = []
        nodes: set[Address] = set()
        try:
            epoch = int(dict(line.split(b":", 1) for line in info.split() if b":" in line)[b"cluster_current_epoch"])
            for first, last, *members in slots:
                # A node that does not know its own host leaves it out: the one that was asked.
                at = [(host.decode() if host else address[0], port) for host, port, *_ in members]
                owners.append((first, last, at[0]))
                nodes.update(at)
        except (KeyError, ValueError) as error:
            raise StoreUnavailable(f"{server.name}: an answer that cannot be read: {error!r}") from error
        if not owners:
            raise StoreUnavailable(f"{server.name}: knows no master; the cluster has no slots")
        return _Map(epoch, tuple(owners), frozenset(nodes))


async def _close(servers: Iterable[SingleRedis]) -> None:
    await asyncio.gather(*(server.close() for server in servers))


def _key(command: Command) -> bytes | None:
    """The key that says where a command goes; None for one without."""
    match command[0]:
        case "EVALSHA" | "EVAL":
            key = command[3]
        case "PING":
            return None
        case _:
            key = command[1]
    return key if isinstance(key, bytes) else str(key).encode()
