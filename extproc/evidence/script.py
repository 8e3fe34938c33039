"""The operations on one name as Lua scripts: each is one atomic step on one Redis hash. Claims are strings.

`lua/` has a file for each, and what those on a name share: `clock.lua` before each, and `name.lua` behind it or, in
`decide`, where a line asks for it: a server makes its functions anew each time that it comes to them.

Rules
1. Times are TIME inside the script; randomness comes from outside, for scripts have none.
2. Every script writes unconditionally or compares with what only a master wrote first: `decide` begins with
   HSETNX, so a replica (demoted master) refuses it with READONLY instead of answering from the past.
3. Every write sets the key's life anew: never expiring while there is a tombstone or the name was dropped,
   never before the last mark.
4. Fields: see docs/evidence.md, "Layout". The shapes are those of `packed`.

Scripts with TIME before writes need effects replication: Redis >= 5; HRANDFIELD needs >= 6.2.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from extproc.evidence.store import LONGEST_EXCHANGE


@dataclass(frozen=True, slots=True)
class Script:
    """A script's text, and the SHA-1 by which EVALSHA names it."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest())

    def call(
        self, key: str, arguments: tuple[bytes | str | int, ...], *, by_sha: bool
    ) -> tuple[bytes | str | int, ...]:
        """The command that runs it on one key."""
        return (*(("EVALSHA", self.sha) if by_sha else ("EVAL", self.text)), 1, key, *arguments)


_LUA: Final = Path(__file__).with_name("lua")


def _text(operation: str) -> str:
    return (_LUA / f"{operation}.lua").read_text(encoding="ascii")


_CLOCK: Final = _text("clock")
_NAME: Final = f"local longest_exchange = {LONGEST_EXCHANGE * 1e6:.0f}\n{_text('name')}\n"


def _on_name(operation: str) -> Script:
    return Script(_CLOCK + _NAME + _text(operation))


DECIDE: Final = Script(_CLOCK + _text("decide").replace("-- name.lua\n", _NAME))
INVALIDATE: Final = _on_name("invalidate")
CHANGED: Final = _on_name("changed")
LEARN: Final = _on_name("learn")
DROP: Final = _on_name("drop")
HAS: Final = _on_name("has")
LOST: Final = _on_name("lost")
INSPECT: Final = _on_name("inspect")
CLAIM: Final = Script(_text("claim"))
RELEASE: Final = Script(_text("release"))
