"""What each kind of exchange costs on a store that holds a day's evidence of all names: CPU here and in Redis.

Nothing is virtual here: the scripts are as they are, and time is the machine's. The names that are asked for are
drawn by their popularity, so that what is often asked for is as warm in the processors' caches as it would be. The
kinds are measured in turns, and of each one's rounds the cheapest counts, for neighbours on the machine only add to
it; sizing.py puts them together in the shares that day.py found. Tokens are real, of 2048-bit RSA; a token that was
verified once costs a look into the worker's memory, and its first verification is a kind of its own.

What is not in it: the wire between Envoy and the processor, log, metrics and spans.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from redis.asyncio import Redis

from bench.capacity.fill import Evidence, filled_for, manifest_of
from bench.capacity.popularity import Zipf
from bench.capacity.repository import digest_of, name_of
from bench.capacity.rig import router
from bench.capacity.traffic import head
from bench.capacity.workload import Workload
from extproc.auth.token import TokenVerifier
from extproc.evidence.model import Invalidation
from extproc.evidence.redis import RedisStore
from extproc.oci.reference import Digest, Name, Tag
from extproc.routing.message import RequestHead, ResponseHead
from extproc.routing.policy import Policy
from tests.auth.issuer import AUDIENCE, ISSUER, KID, claims, key_set, token

_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_SENT = ("evalsha", "eval", "get", "set")
_PUSHED = Tag("pushed")
"""None of those that have a lease: the rounds of reads come after it."""
_LONG = 1e9
_AT_ONCE = 8
"""Exchanges under way."""
NAMES = 300


@dataclass(frozen=True)
class Cost:
    """Of one exchange, or of one token or notification."""

    cpu: float
    """Seconds of the process that decides."""
    redis_cpu: float
    """Seconds of redis-server."""
    commands: dict[str, float] = field(default_factory=dict)
    """That it sends to Redis, by name."""
    inner: float = 0.0
    """Commands that scripts run inside Redis."""
    wire: float = 0.0
    """Bytes between this process and Redis, both ways."""


@dataclass(frozen=True)
class _Asked:
    """A name, and what a round asks of it."""

    name: Name
    head: RequestHead
    digest: Digest


_Step = Callable[[int], Awaitable[None]]
"""One exchange, by its number."""


class Bench:
    """Measures on a store that `fill` has filled for this workload."""

    def __init__(
        self,
        workload: Workload,
        store: RedisStore,
        client: Redis,
        *,
        exchanges: int,
        rounds: int,
        names: int = NAMES,
    ) -> None:
        """`exchanges` of each round; `names` that are asked for, each with a token of its own."""
        self._names = names
        self._workload = workload
        self._store = store
        self._client = client
        self._exchanges = exchanges
        self._rounds = rounds
        self._evidence = Evidence(workload)
        self._chance = random.Random(workload.seed)
        self._popularity = Zipf(workload.names, workload.zipf).cumulative

    async def costs(self) -> dict[str, Cost]:
        """By kind; the kinds of `Books.kinds`, and `token`."""
        fresh, old = Policy(max_staleness=_LONG, present_recheck=_LONG), Policy(max_staleness=1e-9, present_recheck=0)
        rounds = {
            "tag": self._exchange("tag", fresh, self._asked("HEAD", "manifests"), "secondary"),
            "tag, learned": self._exchange("tag, learned", old, self._asked("HEAD", "manifests"), "primary"),
            "digest": self._exchange("digest", fresh, self._asked("GET", "blobs"), "secondary"),
            "digest, learned": self._exchange("digest, learned", old, self._asked("GET", "blobs"), "secondary"),
            "write": self._exchange("write", fresh, self._asked("PUT", "manifests"), "primary"),
            "no look-up": self._exchange("no look-up", fresh, self._asked("POST", "uploads"), "primary"),
            "notification": self._notification(self._asked("GET", "blobs")),
        }
        found: dict[str, list[Cost]] = {kind: [] for kind in (*rounds, "token")}
        tokens = self._asked("GET", "blobs")
        for turn in range(self._rounds + 1):
            for kind, each in rounds.items():
                cost = await self._round(each)
                # In the first, scripts are sent to Redis, connections made and tokens verified.
                if turn:
                    found[kind].append(cost)
            found["token"].append(_tokens(tokens))
        return {kind: _least(costs) for kind, costs in found.items()}

    def _exchange(self, kind: str, policy: Policy, asked: Sequence[_Asked], site: str) -> _Step:
        """Decides on one of those asked for, and lets its answer teach where that kind does."""
        deciding = router(self._store, _verifier(), time.time, policy)
        learns = kind.endswith("learned") or kind == "write"
        status = 201 if kind == "write" else 200

        async def step(number: int) -> None:
            each = asked[number % len(asked)]
            routed = await deciding.route(each.head)
            if routed.wants_response != learns:
                raise AssertionError(f"{kind}: {routed.decision}")
            if learns:
                await deciding.observe(routed, ResponseHead(status, each.digest, _MANIFEST_TYPE, site, 1))

        return step

    def _notification(self, asked: Sequence[_Asked]) -> _Step:
        """In turns what the primary tells of a push, and what the secondary tells of one."""
        many = self._workload.layers + 2

        async def step(number: int) -> None:
            each = asked[number % len(asked)]
            if number % 2:
                await self._store.primary_changed(each.name, Invalidation(tag=_PUSHED), pushed=each.digest)
            else:
                await self._store.secondary_has(each.name, [digest_of(each.name, place) for place in range(many)])

        return step

    def _asked(self, method: str, what: str) -> list[_Asked]:
        found: list[_Asked] = []
        now = time.time()
        actions = ["pull"] if method in ("GET", "HEAD") else ["pull", "push"]
        for drawn in self._chance.choices(
            range(1, self._workload.names + 1), cum_weights=self._popularity, k=self._names
        ):
            rank = filled_for(drawn, self._workload.names)
            name, held = name_of(rank), self._evidence.of(rank)
            access = [{"type": "repository", "name": str(name), "actions": actions}]
            made = token(claims(iat=now, nbf=now - 5, exp=now + 3600, access=access, jti=str(len(found))))
            if what == "manifests":
                place = self._chance.randrange(held.leases)
                path, digest = f"manifests/{self._evidence.tags[place]}", manifest_of(rank, place)
                if method == "PUT":
                    path = f"manifests/{_PUSHED}"
            else:
                digest = digest_of(name, self._chance.randrange(held.digests))
                path = "blobs/uploads/" if what == "uploads" else f"blobs/{digest}"
            plain = head(method, f"/v2/{name}/{path}")
            found.append(_Asked(name, replace(plain, authorization=(f"Bearer {made}",)), digest))
        return found

    async def _round(self, step: _Step) -> Cost:
        async def some(numbers: range) -> None:
            for number in numbers:
                await step(number)

        called, wire = await self._called(), await self._wire()
        redis_cpu, cpu = await self._redis_cpu(), time.process_time()
        await asyncio.gather(*(some(range(first, self._exchanges, _AT_ONCE)) for first in range(_AT_ONCE)))
        cpu, redis_cpu = time.process_time() - cpu, await self._redis_cpu() - redis_cpu
        wire = await self._wire() - wire
        # INFO is ours. The scripts of a name run none of those that are sent.
        done = {key: many - called.get(key, 0) for key, many in (await self._called()).items() if key != "info"}
        sent = {key: done[key] / self._exchanges for key in _SENT if done.get(key)}
        inner = sum(done.values()) / self._exchanges - sum(sent.values())
        return Cost(cpu / self._exchanges, redis_cpu / self._exchanges, sent, inner, wire / self._exchanges)

    async def _redis_cpu(self) -> float:
        """Seconds of its main thread, which runs commands and talks to clients."""
        info = await self._client.info("cpu")
        return float(info["used_cpu_user_main_thread"]) + float(info["used_cpu_sys_main_thread"])

    async def _wire(self) -> float:
        info = await self._client.info("stats")
        return float(info["total_net_input_bytes"]) + float(info["total_net_output_bytes"])

    async def _called(self) -> dict[str, int]:
        info: dict[str, Any] = await self._client.info("commandstats")
        return {key.removeprefix("cmdstat_"): int(each["calls"]) for key, each in info.items()}


def _tokens(asked: Sequence[_Asked]) -> Cost:
    """Tokens that nobody has seen before; Redis is not asked."""
    verifier = _verifier()
    begun = time.process_time()
    for each in asked:
        verifier.verify(each.head.authorization, time.time())
    return Cost((time.process_time() - begun) / len(asked), 0.0)


def _least(costs: Sequence[Cost]) -> Cost:
    """Of the round that was disturbed least; what Redis ran is the same in all."""
    return replace(costs[-1], cpu=min(each.cpu for each in costs), redis_cpu=min(each.redis_cpu for each in costs))


def _verifier() -> TokenVerifier:
    return TokenVerifier(key_set(kid=KID), issuer=ISSUER, audience=AUDIENCE)
