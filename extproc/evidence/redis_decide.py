"""What `decide` asks of Redis, and what the answers say. Pure."""

from __future__ import annotations

from random import Random
from typing import Any

from extproc.evidence import script
from extproc.evidence.model import DigestState, Evidence, Lease, Snapshot
from extproc.evidence.packed import TOKEN_SIZE, PackedLease, any_mark, pack_digest, unpack_state
from extproc.evidence.reach import Command
from extproc.oci.reference import Digest, Name, Tag


class Decide:
    """Of one store."""

    def __init__(self, prefix: str, name_ttl: int) -> None:
        """`name_ttl`: microseconds."""
        self._before = f"{prefix}:{{".encode()
        self._site = f"{prefix}:site".encode()
        self._name_ttl = name_ttl
        # Bytes, for numbers and text are made bytes each time.
        self._called: Command = (b"EVALSHA", script.DECIDE.sha.encode(), b"2")
        self._lives = str(name_ttl).encode()
        self._random = Random()
        """Seeded by the system. What it gives must differ from all that others give, and need be no secret: to ask
        the system each time costs more than the rest of a question."""

    def arguments(self, reference: Tag | Digest) -> Command:
        """Of DECIDE: an epoch and a generation, should there be none, and the tag or the digest."""
        fresh = self._random.getrandbits(16 * TOKEN_SIZE).to_bytes(2 * TOKEN_SIZE)
        tag, digest = (b"", pack_digest(reference)) if isinstance(reference, Digest) else (reference.encode(), b"")
        return fresh[:TOKEN_SIZE], fresh[TOKEN_SIZE:], tag, digest

    def command(self, name: Name, reference: Tag | Digest) -> Command:
        """All in one, for a server that has both keys: the script gives the site's generation, too."""
        fresh, generation, tag, digest = self.arguments(reference)
        key = self._before + name.encode() + b"}"
        return (*self._called, key, self._site, self._lives, fresh, generation, tag, digest)

    def evidence(self, answer: Any, generation: bytes, reference: Tag | Digest) -> Evidence:
        """Of the script's answer: seconds, microseconds, epoch, marks, dropped, lease, state (and the generation)."""
        told: list[Any] = answer
        now = int(told[0]) * 1_000_000 + int(told[1])
        snapshot = Snapshot(told[2], generation, now)
        marks = told[3]
        marked = marks is not None and any_mark(marks, now)
        held = None
        if isinstance(reference, Tag):
            held = self.held(told[5], generation, now)
            if held is None:
                return Evidence(snapshot, marked, None, DigestState.UNKNOWN)
        known = unpack_state(told[6], told[4] is not None, now, self._name_ttl)
        return Evidence(snapshot, marked, held, known.state, known.confirmed, known.deleted_as)

    def held(self, packed: bytes | None, generation: bytes, now: int) -> Lease | None:
        """A lease that the script gave, which has compared the name's generation. `now` in microseconds."""
        return None if packed is None else PackedLease.unpack(packed).held(generation, now, self._name_ttl)
