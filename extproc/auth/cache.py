"""Verified tokens, remembered so that a pull of thirty layers checks one signature.

Rules
1. An entry is never returned at or after its token's `exp`: leeway is for clocks, not for memory.
2. Only grants are kept, so a rejected token costs an attacker's flood no memory.
3. The key is the token's SHA-256: no credential is kept, and a token's length costs nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256

from extproc.auth.grant import Grant


class GrantCache:
    """The most recently used grants by token, at most `size` of them. For one thread."""

    __slots__ = ("_grants", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._grants: OrderedDict[bytes, Grant] = OrderedDict()

    def __len__(self) -> int:
        return len(self._grants)

    def get(self, token: str, now: float) -> Grant | None:
        """The grant of this ASCII token; `now` in seconds since the Unix epoch."""
        key = _key(token)
        grant = self._grants.get(key)
        if grant is None:
            return None
        if now >= grant.expires_at:
            del self._grants[key]
            return None
        self._grants.move_to_end(key)
        return grant

    def put(self, token: str, grant: Grant, now: float) -> None:
        """Remember the grant, in place of the least recently used one when full."""
        if now >= grant.expires_at:
            return
        key = _key(token)
        self._grants[key] = grant
        self._grants.move_to_end(key)
        if len(self._grants) > self._size:
            self._grants.popitem(last=False)

    def clear(self) -> None:
        """Forget all, as when the keys changed."""
        self._grants.clear()


def _key(token: str) -> bytes:
    return sha256(token.encode("ascii")).digest()
