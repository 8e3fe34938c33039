"""Evidence in Redis: shared by all workers of a site, each operation one script on one key, one round trip.

Rules (the scripts state theirs)
1. A name is the hash `<prefix>:{name}`; the site's lease generation is the string `<prefix>:site`; notes and claims
   are the strings `<prefix>:note:<topic>` and `<prefix>:claim:<topic>`.
2. A lease holds while both generations stored in it are the current ones: equality, so no clocks are compared.
3. There is no second try: whoever asks has a budget. (EVAL after NOSCRIPT is the first try: nothing ran.)
4. Whatever goes wrong is StoreUnavailable, naming the store without its credentials.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final

from extproc import settings
from extproc.evidence import script
from extproc.evidence.mark import kept_as
from extproc.evidence.model import (
    Arrived,
    Changed,
    DigestState,
    Evidence,
    Invalidation,
    Observation,
    Record,
    Snapshot,
)
from extproc.evidence.packed import (
    KINDS,
    TOKEN_SIZE,
    lease_parts,
    pack_digest,
    pack_mark,
    unpack_record,
)
from extproc.evidence.reach import Command, NoScript, Reach
from extproc.evidence.redis_decide import Decide
from extproc.evidence.redis_dial import dial
from extproc.evidence.redis_question import RedisAsking
from extproc.evidence.redis_single import SingleRedis
from extproc.evidence.store import LONGEST_STEP, PUSH_SETTLES, Asking, names_in
from extproc.oci.reference import Digest, Name, ReferenceInvalid, Tag

_PAGE: Final = 1000
"""Keys that one SCAN looks at."""

_KINDS: Final = {kind: packed for packed, kind in KINDS.items()}
_SECONDARY: Final = {DigestState.PRESENT: b"p", DigestState.ABSENT: b"a"}


def _micros(seconds: float) -> int:
    return math.ceil(seconds * 1e6)


def _token() -> bytes:
    return os.urandom(TOKEN_SIZE)


def connect(store: settings.Store, *, absent_ttl: float, settling: float = 0.0) -> RedisStore:
    """The store that `store.url` names. Connects when first used.

    `settling`: seconds for which `decide` raises StoreUnavailable after a failover to another master.
    Raises StoreUnavailable when a file that the settings name cannot be used.
    """
    return RedisStore(
        dial(store, settling=settling), prefix=store.prefix, absent_ttl=absent_ttl, name_ttl=store.name_ttl
    )


def _literally(text: str) -> str:
    """As a part of a pattern of SCAN that matches just the text."""
    return re.sub(r"([*?\[\]\\])", r"\\\1", text)


def _untrue(what: Invalidation) -> Command:
    """An invalidation as the scripts take it: epoch, name generation, tag, tombstone."""
    return (
        _token(),
        _token() if what.all_leases else b"",
        (what.tag or "").encode(),
        pack_digest(what.tombstone) if what.tombstone else b"",
    )


def _observed(snapshot: Snapshot, seen: Observation) -> Command:
    """An observation as LEARN takes it."""
    leased = seen.tag is not None and len(snapshot.generation) == TOKEN_SIZE
    return (
        pack_digest(seen.digest),
        _KINDS[seen.kind] if seen.primary_has else b"",
        _SECONDARY.get(seen.secondary, b""),
        (seen.tag or "").encode() if leased else b"",
        *(lease_parts(snapshot, seen.digest, seen.media_type) if leased else (b"", b"")),
    )


class RedisStore:
    """`Store` in the Redis that `reach` leads to."""

    def __init__(self, reach: Reach, *, prefix: str, absent_ttl: float, name_ttl: float) -> None:
        self._reach = reach
        self._prefix = prefix
        self._site = f"{prefix}:site"
        self._absent_ttl = _micros(absent_ttl)
        self._name_ttl = _micros(name_ttl)
        self._decide = Decide(prefix, self._name_ttl)

    async def decide(self, name: Name, reference: Tag | Digest) -> Evidence:
        answer, generation = await self._run_beside_site(script.DECIDE, name, *self._decide.arguments(reference))
        self._reach.raise_if_unsettled()
        return self._decide.evidence(answer, generation, reference)

    @property
    def asking(self) -> Asking | None:
        """This, where one connection leads to all that is kept."""
        return RedisAsking(self, self._decide, self._reach) if isinstance(self._reach, SingleRedis) else None

    async def begin_write(self, name: Name, mark: str, what: Invalidation, ttl: float) -> None:
        await self._invalidate(name, what, mark, _micros(ttl))

    async def end_write(self, name: Name, mark: str, what: Invalidation) -> None:
        await self._invalidate(name, what, mark, "")

    async def _invalidate(self, name: Name, what: Invalidation, mark: str, ttl: int | str) -> None:
        await self._run(script.INVALIDATE, name, *_untrue(what), pack_mark(kept_as(mark)), ttl)

    async def learn(self, name: Name, snapshot: Snapshot, seen: Observation) -> bool:
        return await self.learn_all(name, snapshot, (seen,))

    async def learn_all(self, name: Name, snapshot: Snapshot, seen: Sequence[Observation]) -> bool:
        if not snapshot.epoch:
            return False
        for start in range(0, max(len(seen), 1), LONGEST_STEP):
            step = seen[start : start + LONGEST_STEP]
            packed = [part for each in step for part in _observed(snapshot, each)]
            if not await self._run(script.LEARN, name, snapshot.epoch, self._absent_ttl, *packed):
                return False
        return True

    async def primary_changed(self, name: Name, what: Invalidation, *, pushed: Digest | None = None) -> Changed:
        (seconds, micros, lease), generation = await self._run_beside_site(
            script.CHANGED, name, *_untrue(what), pack_digest(pushed) if pushed else b"", _micros(PUSH_SETTLES)
        )
        held = self._decide.held(lease, generation, int(seconds) * 1_000_000 + int(micros))
        return Changed(lease_dropped=held is not None)

    async def primary_dropped(self, name: Name) -> None:
        await self._run(script.DROP, name, _token(), _token())

    async def secondary_has(self, name: Name, digests: Iterable[Digest]) -> tuple[Arrived, ...]:
        told = list(digests)
        arrived: list[Arrived] = []
        for start in range(0, len(told), LONGEST_STEP):
            chunk = told[start : start + LONGEST_STEP]
            answer = await self._run(script.HAS, name, *map(pack_digest, chunk))
            places_and_lags = zip(answer[::2], answer[1::2], strict=True)
            arrived += [Arrived(chunk[place], lag / 1e6) for place, lag in places_and_lags]
        return tuple(arrived)

    async def secondary_lost(self, name: Name, digest: Digest) -> None:
        await self._run(script.LOST, name, pack_digest(digest))

    async def void_leases(self) -> None:
        await self._round_trip(("SET", self._site, _token()))

    async def inspect(self, name: Name) -> Record:
        (seconds, micros, fields), generation = await self._run_beside_site(script.INSPECT, name, create=False)
        now = int(seconds) * 1_000_000 + int(micros)
        return unpack_record(name, dict(zip(fields[::2], fields[1::2], strict=True)), generation, now, self._name_ttl)

    def names(self) -> AsyncIterator[Name]:
        return names_in(self.pages())

    async def pages(self) -> AsyncIterator[Sequence[Name]]:
        before = f"{self._prefix}:{{"
        # SCAN may give a key twice.
        given: set[Name] = set()
        async for keys in self._scan(f"{_literally(before)}*}}"):
            page: set[Name] = set()
            for key in keys:
                # A key that is not a name's is not ours.
                with suppress(ReferenceInvalid, UnicodeDecodeError):
                    page.add(Name(key.decode()[len(before) : -1]))
            page -= given
            given |= page
            yield list(page)

    async def _scan(self, pattern: str) -> AsyncIterator[Sequence[bytes]]:
        """The hashes whose keys match, a page for each round trip."""
        for master in await self._reach.masters():
            cursor: bytes | int = 0
            while True:
                ((cursor, keys),) = await master.round_trip(
                    ("SCAN", cursor, "MATCH", pattern, "COUNT", _PAGE, "TYPE", "hash")
                )
                yield keys
                if int(cursor) == 0:
                    break

    async def note(self, topic: str, text: str | None) -> None:
        key = f"{self._prefix}:note:{topic}"
        await self._round_trip(("DEL", key) if text is None else ("SET", key, text))

    async def noted(self, topic: str) -> str | None:
        (text,) = await self._round_trip(("GET", f"{self._prefix}:note:{topic}"))
        return None if text is None else text.decode()

    async def claim(self, topic: str, owner: str, ttl: float) -> bool:
        key = f"{self._prefix}:claim:{topic}"
        return bool(await self._run_on(script.CLAIM, key, owner, math.ceil(ttl * 1e3)))

    async def release(self, topic: str, owner: str) -> None:
        await self._run_on(script.RELEASE, f"{self._prefix}:claim:{topic}", owner)

    async def ping(self) -> None:
        await self._round_trip(("PING",))

    async def close(self) -> None:
        await self._reach.close()

    def _key(self, name: Name) -> str:
        return f"{self._prefix}:{{{name}}}"

    async def _run(self, which: script.Script, name: Name, *arguments: bytes | str | int) -> Any:
        return await self._run_on(which, self._key(name), self._name_ttl, *arguments)

    async def _run_on(self, which: script.Script, key: str, *arguments: bytes | str | int) -> Any:
        try:
            (answer,) = await self._round_trip(which.call(key, arguments, by_sha=True))
        except NoScript:
            (answer,) = await self._round_trip(which.call(key, arguments, by_sha=False))
        return answer

    async def _run_beside_site(
        self, which: script.Script, name: Name, *arguments: bytes | str | int, create: bool = True
    ) -> tuple[Any, bytes]:
        """A script's answer, and the site's generation read *after* it ran; empty when there is none to `create`.

        The two keys are in two slots: where they are on two nodes, these are two calls at once. Either order
        is right: the generation is from before the request is forwarded, and only its equality counts.
        """
        get: Command = ("GET", self._site)
        key, arguments = self._key(name), (self._name_ttl, *arguments)
        try:
            answer, generation = await self._round_trip(which.call(key, arguments, by_sha=True), get)
        except NoScript:
            answer, generation = await self._round_trip(which.call(key, arguments, by_sha=False), get)
        if generation is None and create:
            _, generation = await self._round_trip(("SET", self._site, _token(), "NX"), get)
        return answer, generation or b""

    async def _round_trip(self, *commands: Command) -> list[Any]:
        """Raises NoScript, StoreUnavailable."""
        return await self._reach.round_trip(*commands)
