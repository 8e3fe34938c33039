"""Evidence in Redis: shared by all workers of a site, each operation one script on one key, one round trip.

Rules (the scripts state theirs)
1. A name is the hash `<prefix>:{name}`; the site's lease generation is the string `<prefix>:site`.
2. A lease holds while both generations stored in it are the current ones: equality, so no clocks are compared.
3. There is no second try: whoever asks has a budget. (EVAL after NOSCRIPT is the first try: nothing ran.)
4. Whatever goes wrong is StoreUnavailable, naming the store without its credentials.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError, ResponseError

from extproc import settings
from extproc.evidence import script
from extproc.evidence.connections import Connections
from extproc.evidence.model import DigestState, Evidence, Invalidation, Lease, Observation, Snapshot
from extproc.evidence.packed import (
    TOKEN_SIZE,
    PackedLease,
    any_mark,
    lease_parts,
    pack_digest,
    pack_mark,
    unpack_state,
)
from extproc.evidence.store import StoreUnavailable
from extproc.oci.reference import Digest, Name, Tag

_PATIENCE: Final = 1.0
"""Seconds for a connection, and for an answer outside of requests; a request's budget is its caller's."""
_MAX_CONNECTIONS: Final = 32
"""A worker is one thread: beyond some dozens of round trips at once it only queues elsewhere."""
_DETAIL_LIMIT: Final = 200

_SECONDARY: Final = {DigestState.PRESENT: b"p", DigestState.ABSENT: b"a"}

Command = tuple[bytes | str | int, ...]


def _micros(seconds: float) -> int:
    return math.ceil(seconds * 1e6)


def _token() -> bytes:
    return os.urandom(TOKEN_SIZE)


def _public(url: str) -> str:
    """The URL without user, password and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def connect(store: settings.Store, *, absent_ttl: float) -> RedisStore:
    """The store that `store.url` names. Connects when first used.

    Raises StoreUnavailable when the password file cannot be read or the URL cannot be used.
    """
    name = _public(store.url)
    options: dict[str, Any] = {}
    if store.password_file is not None:
        try:
            options["password"] = store.password_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not text"
            raise StoreUnavailable(
                f"{name}: cannot read the password file {str(store.password_file)!r}: {reason}"
            ) from error
    if store.username:
        options["username"] = store.username
    if store.ca is not None:
        options["ssl_ca_certs"] = str(store.ca)
    try:
        pool = Connections.from_url(
            store.url,
            max_connections=_MAX_CONNECTIONS,
            timeout=_PATIENCE,
            socket_timeout=_PATIENCE,
            socket_connect_timeout=_PATIENCE,
            retry=Retry(NoBackoff(), 0),
            # RESP2, no CLIENT SETINFO: a new connection costs no round trip of its own without AUTH and SELECT.
            protocol=2,
            driver_info=None,
            decode_responses=False,
            **options,
        )
        # The pool keeps the URL's options for later; a misspelt one must show now.
        pool.connection_class(**pool.connection_kwargs)
    except (RedisError, ValueError, TypeError) as error:
        raise StoreUnavailable(f"{name}: the URL cannot be used: {error}") from error
    return RedisStore(
        Redis.from_pool(pool), name=name, prefix=store.prefix, absent_ttl=absent_ttl, name_ttl=store.name_ttl
    )


class RedisStore:
    """`Store` in the one Redis that `client` reaches."""

    def __init__(
        self, client: Redis, *, prefix: str, absent_ttl: float, name_ttl: float, name: str = "redis"
    ) -> None:
        """`name` says which store it is, in errors."""
        self._client = client
        self._name = name
        self._prefix = prefix
        self._site = f"{prefix}:site"
        self._absent_ttl = _micros(absent_ttl)
        self._name_ttl = _micros(name_ttl)

    async def decide(self, name: Name, reference: Tag | Digest) -> Evidence:
        tag, asked = (b"", pack_digest(reference)) if isinstance(reference, Digest) else (reference.encode(), b"")
        (seconds, micros, epoch, marks, dropped, lease, state), generation = await self._run_beside_site(
            script.DECIDE,
            name,
            _token(),
            _token(),
            tag,
            asked,
        )
        now = int(seconds) * 1_000_000 + int(micros)
        snapshot = Snapshot(epoch, generation, now)
        marked = any_mark(marks or b"", now)
        held = None
        if tag:
            held = self._held(lease, generation, now)
            if held is None:
                return Evidence(snapshot, marked, None, DigestState.UNKNOWN)
        digest, confirmed = unpack_state(state, dropped is not None, now, self._name_ttl)
        return Evidence(snapshot, marked, held, digest, confirmed)

    def _held(self, packed: bytes | None, generation: bytes, now: int) -> Lease | None:
        if packed is None:
            return None
        lease = PackedLease.unpack(packed)
        age = now - lease.sent_at
        # A negative age is another node's clock: how old the lease is, nobody knows.
        if lease.site_generation != generation or not 0 <= age <= self._name_ttl:
            return None
        return Lease(lease.digest, lease.media_type, age / 1e6)

    async def begin_write(self, name: Name, mark: str, what: Invalidation, ttl: float) -> None:
        await self._invalidate(name, what, pack_mark(mark), _micros(ttl))

    async def end_write(self, name: Name, mark: str, what: Invalidation) -> None:
        await self._invalidate(name, what, pack_mark(mark), "")

    async def primary_changed(self, name: Name, what: Invalidation) -> None:
        await self._invalidate(name, what, b"", "")

    async def _invalidate(self, name: Name, what: Invalidation, mark: bytes, ttl: int | str) -> None:
        await self._run(
            script.INVALIDATE,
            name,
            _token(),
            _token() if what.all_leases else b"",
            (what.tag or "").encode(),
            pack_digest(what.tombstone) if what.tombstone else b"",
            mark,
            ttl,
        )

    async def learn(self, name: Name, snapshot: Snapshot, seen: Observation) -> bool:
        if not snapshot.epoch:
            return False
        leased = seen.tag is not None and len(snapshot.generation) == TOKEN_SIZE
        head, tail = lease_parts(snapshot, seen.digest, seen.media_type) if leased else (b"", b"")
        return bool(
            await self._run(
                script.LEARN,
                name,
                snapshot.epoch,
                pack_digest(seen.digest),
                int(seen.primary_has),
                _SECONDARY.get(seen.secondary, b""),
                self._absent_ttl,
                (seen.tag or "").encode() if leased else b"",
                head,
                tail,
            )
        )

    async def primary_dropped(self, name: Name) -> None:
        await self._run(script.DROP, name, _token(), _token())

    async def secondary_has(self, name: Name, digests: Iterable[Digest]) -> None:
        if packed := [pack_digest(digest) for digest in digests]:
            await self._run(script.HAS, name, *packed)

    async def secondary_lost(self, name: Name, digest: Digest) -> None:
        await self._run(script.LOST, name, pack_digest(digest))

    async def void_leases(self) -> None:
        await self._round_trip(("SET", self._site, _token()))

    async def ping(self) -> None:
        await self._round_trip(("PING",))

    async def close(self) -> None:
        try:
            await self._client.aclose()
            await self._client.connection_pool.aclose()
        except (RedisError, OSError) as error:
            raise self._unavailable(error) from error

    def _call(self, which: script.Script, by_sha: bool, name: Name, arguments: Command) -> Command:
        how: Command = ("EVALSHA", which.sha) if by_sha else ("EVAL", which.text)
        return (*how, 1, f"{self._prefix}:{{{name}}}", self._name_ttl, *arguments)

    async def _run(self, which: script.Script, name: Name, *arguments: bytes | str | int) -> Any:
        try:
            (answer,) = await self._round_trip(self._call(which, True, name, arguments))
        except _NoScript:
            (answer,) = await self._round_trip(self._call(which, False, name, arguments))
        return answer

    async def _run_beside_site(
        self, which: script.Script, name: Name, *arguments: bytes | str | int
    ) -> tuple[Any, bytes]:
        """A script's answer, and the site's generation read *after* it ran.

        The two keys are in two slots: where they are on two nodes, these are two calls at once. Either order
        is right: the generation is from before the request is forwarded, and only its equality counts.
        """
        get: Command = ("GET", self._site)
        try:
            answer, generation = await self._round_trip(self._call(which, True, name, arguments), get)
        except _NoScript:
            answer, generation = await self._round_trip(self._call(which, False, name, arguments), get)
        if generation is None:
            _, generation = await self._round_trip(("SET", self._site, _token(), "NX"), get)
        return answer, generation or b""

    async def _round_trip(self, *commands: Command) -> list[Any]:
        """The commands' answers, in one write and not as a transaction. Raises _NoScript, StoreUnavailable.

        Always a pipeline: unlike a single command it shields the connection's return from cancellation.
        """
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        try:
            answers = await pipeline.execute(raise_on_error=False)
            failed = next((answer for answer in answers if isinstance(answer, Exception)), None)
            if isinstance(failed, ReadOnlyError) or "READONLY" in str(failed):
                # A demoted master: the address may lead to the new one by now, these connections never will.
                await self._client.connection_pool.disconnect(inuse_connections=False)
        except (RedisError, OSError, TimeoutError) as error:
            raise self._unavailable(error) from error
        if isinstance(failed, NoScriptError):
            raise _NoScript
        if failed is not None:
            raise self._unavailable(failed) from failed
        return answers

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        kind = "" if type(error) is ResponseError else f"{type(error).__name__}: "
        return StoreUnavailable(f"{self._name}: {kind}{str(error)[:_DETAIL_LIMIT]}")


class _NoScript(Exception):
    """The server does not know the script's SHA-1 (yet, or after SCRIPT FLUSH or a restart); nothing ran."""
